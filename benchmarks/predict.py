"""Images per second of `gffpn predict`, and of its network alone.

    python -m benchmarks.predict runs/NAME best.onnx --images photos/ --rounds 5

Each round runs, in turns, the bare network on constant batches, and the whole of predict on the images with
each set of outputs: reading, letterbox, network, suppression, journal, files. The bare network is that of
predict, in the same form, batch size and number of threads, without reading and without decoding; for an ONNX
file it includes the suppression that is a part of the file. Starting
Python and loading the network are not included, because they do not depend on the number of images; their
time is shown apart. Without `--images`, the benchmark draws JPEG files: of 640 x 480 pixels, and as large as
the network's input.

Then it reports the CPU time of each stage per image, on one thread.
"""

import argparse
import contextlib
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from gffpn.data.letterbox import GREY
from gffpn.deploy.detector import ImageDetector, View, load_detector
from gffpn.deploy.drawing import picture
from gffpn.deploy.journal import result_of
from gffpn.deploy.predict import predict
from gffpn.deploy.sources import Images, images
from gffpn.machine.timing import rotated

BARE = "network alone"
WRITES = {"none": [], "coco,csv": ["coco", "csv"], "pictures,coco,csv": ["pictures", "coco", "csv"]}
SAMPLE = 32
"""Images that the CPU times of the stages are taken from."""


def draw_images(folder: Path, count: int, size: tuple[int, int]) -> Path:
    """Write `count` JPEG files of `size` (height, width): a rough surface with spots."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[: size[0], : size[1]]
    for number in range(count):
        coarse = Image.fromarray(generator.integers(90, 160, (size[0] // 16, size[1] // 16), np.uint8))
        pixels = np.asarray(coarse.resize(size[::-1], Image.Resampling.BICUBIC)).astype(np.float32)
        pixels += generator.normal(0, 6, size)
        for _ in range(4):
            y, x, radius = generator.random(3) * (*size, 12)
            pixels -= 70 * ((rows - y) ** 2 + (columns - x) ** 2 < (2 + radius) ** 2)
        grey = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        grey.convert("RGB").save(folder / f"{number:04}.jpg", quality=90)
    return folder


class Spent(NamedTuple):
    """Seconds of wall time, and seconds of CPU time of all threads."""

    wall: float
    cpu: float


class _Clock:
    def __init__(self) -> None:
        self._start = time.perf_counter(), time.process_time()

    def spent(self) -> Spent:
        return Spent(time.perf_counter() - self._start[0], time.process_time() - self._start[1])


def bare(detector: ImageDetector, count: int, batch: int) -> Spent:
    """Return the time of the network alone for `count` constant images, `batch` at a time."""
    network = detector.network
    full = np.full((batch, 3, *network.image_size), GREY, np.uint8)
    clock = _Clock()
    for first in range(0, count, batch):
        network.raw(full[: min(batch, count - first)])
    return clock.spent()


def whole(detector: ImageDetector, found: Images, write: Sequence[str], batch: int) -> Spent:
    """Return the time of a prediction into a new folder. Raises RuntimeError for an unreadable image."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        clock = _Clock()
        summary = predict(detector, found, Path(folder), write=write, batch=batch)
        spent = clock.spent()
    if summary.unreadable or summary.images != len(found.files):
        raise RuntimeError(f"{summary.images} of {len(found.files)} images were read")
    return spent


def start_seconds(weights: Path, image: Path) -> float:
    """Return the seconds of the command `gffpn predict` for a single image."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["-m", "gffpn", "predict", str(weights), str(image), "--out", folder, "--write", "none"]
        start = time.perf_counter()
        subprocess.run([sys.executable, *words], check=True, capture_output=True)
        return time.perf_counter() - start


def stages(detector: ImageDetector, found: Images, batch: int) -> dict[str, float]:
    """Return the CPU milliseconds per image of each stage; of the network, those of all its threads."""
    items = list(found)[:SAMPLE]
    views: list[View] = []
    pixels: list[NDArray[np.uint8]] = []
    spent: dict[str, float] = {}

    def timed(name: str, work: Callable[[], object]) -> None:
        start = time.process_time()
        work()
        spent[name] = 1e3 * (time.process_time() - start) / len(items)

    timed("reading", lambda: pixels.extend(item.read() for item in items))
    timed("letterbox", lambda: views.extend(view for image in pixels for view in detector.views(image)))
    stacks = [np.stack([v.canvas for v in views[k : k + batch]]) for k in range(0, len(views), batch)]
    raw: list[object] = []
    timed("network", lambda: raw.extend(detector.network.raw(stack) for stack in stacks))
    timed("decoding and NMS", lambda: raw.extend(detector.network(stack) for stack in stacks))
    spent["decoding and NMS"] -= spent["network"]
    results = [
        result_of(item, image.shape, detector(image)) for item, image in zip(items, pixels, strict=True)
    ]
    drawn: list[Image.Image] = []
    timed(
        "drawing",
        lambda: drawn.extend(
            picture(image, result, detector.classes) for image, result in zip(pixels, results, strict=True)
        ),
    )
    timed("JPEG", lambda: [_encoded(image) for image in drawn])
    spent["detections per image"] = sum(len(result.scores) for result in results) / len(items)
    return spent


def _encoded(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90, subsampling=0)
    return file.getvalue()


def cases(asked: argparse.Namespace, size: tuple[int, int], scratch: Path) -> Iterator[tuple[str, Images]]:
    """Yield the name and the images of each case."""
    if asked.images:
        yield str(asked.images), images([str(asked.images)])
        return
    for height, width in dict.fromkeys(((480, 640), size)):
        folder = scratch / f"{width} x {height}"
        if not folder.exists():
            draw_images(folder, asked.count, (height, width))
        yield folder.name, images([str(folder)])


def table(taken: dict[str, list[Spent]], count: int) -> str:
    """Return a line per way: medians over the rounds, and the ratios of the rounds to the network alone."""
    lines = [f"  {'':20}images/s  ratio  CPU ms/image  ratio  ratios of the rounds, best first"]
    for way, rounds in taken.items():
        wall, cpu = (statistics.median(values) for values in zip(*rounds, strict=True))
        ratios = np.array(taken[BARE]) / np.array(rounds)
        share, of_cpu = np.median(ratios, axis=0)
        listed = ", ".join(f"{ratio:.0%}" for ratio in sorted(ratios[:, 0], reverse=True))
        lines.append(
            f"  {way:20}{count / wall:8.1f}{share:7.0%}{1e3 * cpu / count:14.2f}{of_cpu:7.0%}  {listed}"
        )
    return "\n".join(lines)


def measure(weights: Path, asked: argparse.Namespace, scratch: Path) -> None:
    """Measure one network on each case, and print medians and ratios."""
    detector = load_detector(weights, half=asked.half)
    for name, found in cases(asked, detector.network.image_size, scratch):
        count, batch = len(found.files), asked.batch
        taken: dict[str, list[Spent]] = defaultdict(list)
        for number in range(asked.rounds + 1):
            for way in rotated([BARE, *asked.write], number):
                if way == BARE:
                    spent = bare(detector, count, batch)
                else:
                    spent = whole(detector, found, WRITES[way], batch)
                taken[way] += [spent] if number else []
        print(f"\n{weights}: {count} images, {name}; input {detector.network.image_size}, batch {batch}")
        print(table(taken, count))
        each = stages(detector, found, batch)
        print("  CPU ms: " + ", ".join(f"{stage} {value:.2f}" for stage, value in each.items()), flush=True)
    print(f"  the whole command for one image: {start_seconds(weights, found.files[0]):.1f} s")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each network in alternating rounds."""
    parser = argparse.ArgumentParser(description="images per second of predict and of its network alone")
    parser.add_argument("weights", nargs="+", type=Path, help="finished runs' folders or ONNX files")
    parser.add_argument("--images", type=Path, help="folder of images (default: drawn ones)")
    parser.add_argument("--count", type=int, default=300, help="images to draw (default: 300)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds after a warm-up round (default: 5)")
    parser.add_argument("--batch", type=int, default=16, help="default: 16")
    parser.add_argument("--half", action="store_true", help="compute in bf16")
    parser.add_argument("--write", nargs="+", default=list(WRITES), choices=WRITES, help="default: all")
    asked = parser.parse_args(arguments)
    print(f"{torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory() as scratch:
        for weights in asked.weights:
            measure(weights, asked, Path(scratch))


if __name__ == "__main__":
    main()
