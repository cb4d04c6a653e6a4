"""The simulator's gallery: `python -m tinyindus.gallery FOLDER` writes its sheets and index.html."""

import sys
from pathlib import Path

from tinyindus.gallery import sheets
from tinyindus.gallery.page import page
from tinyindus.gallery.poster import poster
from tinyindus.store import DESCRIPTION


def main(folder: Path) -> None:
    """Write all sheets, the HTML page and the README's picture (gallery.jpg) to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for show in (sheets.products, sheets.classes, sheets.twins, sheets.dials, sheets.presets):
        for shown in show():
            shown.image.save(folder / f"{shown.name}.png")
            entries.append((shown.name, shown.title, shown.caption))
            print(folder / f"{shown.name}.png", flush=True)
    poster().save(folder / "gallery.jpg", quality=88)
    (folder / "index.html").write_text(page(entries, DESCRIPTION))
    print(folder / "index.html")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
