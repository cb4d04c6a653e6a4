"""The gallery's page: plain HTML that needs only the sheets in the same folder."""

import html
from collections.abc import Sequence

STYLE = """
body { font: 16px/1.45 system-ui, sans-serif; color: #1a1a1e;
  margin: 2rem auto; max-width: 1500px; padding: 0 1rem; }
figure { margin: 1rem 0 3rem; }
img { max-width: 100%; height: auto; border: 1px solid #ccc; }
figcaption { max-width: 60rem; margin-top: .4rem; }
nav a { margin-right: 1rem; }
.warn { border-left: 4px solid #d33; padding-left: .8rem; }
"""


def page(entries: Sequence[tuple[str, str, str]], introduction: str) -> str:
    """Return the HTML page of entries (name, title, caption); sheets are `name`.png in the same folder."""
    links = "\n".join(f'<a href="#{name}">{html.escape(title)}</a>' for name, title, _ in entries)
    figures = "\n".join(
        f'<figure id="{name}"><h2>{html.escape(title)}</h2>'
        f'<a href="{name}.png"><img src="{name}.png" alt="{html.escape(title)}" loading="lazy"></a>'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for name, title, caption in entries
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Gallery of the simulated TinyIndus</title>\n<style>{STYLE}</style></head>\n<body>\n"
        f'<h1>The simulated TinyIndus</h1>\n<p class="warn">{html.escape(introduction)}</p>\n'
        f"<nav>{links}</nav>\n{figures}\n</body></html>\n"
    )
