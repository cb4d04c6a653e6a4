"""Frames of videos and cameras, decoded by PyAV, the library of the extra `video`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gffpn.data.index import DataError
from gffpn.deploy.onnx_file import ExtraMissingError

SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".webm", ".wmv"})


def is_video(path: Path) -> bool:
    """Return whether a file's suffix is that of a video."""
    return path.suffix.lower() in SUFFIXES


def library(source: str | int) -> Any:
    """Import PyAV, which reads `source`. Raises ExtraMissingError, naming it, if it is not installed."""
    try:
        return __import__("av")
    except ModuleNotFoundError:
        raise ExtraMissingError(
            f"{_name(source)}: videos and cameras need PyAV; install the extra `video`: "
            "pip install -e '.[video]'"
        ) from None


def _name(source: str | int) -> str:
    return source if isinstance(source, str) else f"/dev/video{source}"


def frames(source: str | int) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a video file or of a camera (its number, on Linux), upright, RGB (H, W, 3).

    Raises DataError, naming the source, if it cannot be decoded.
    """
    av, name = library(source), _name(source)
    form = None if isinstance(source, str) else "v4l2"
    try:
        # titles and comments, which nobody reads here, are often in an older encoding
        with av.open(name, format=form, metadata_errors="replace") as container:
            if not container.streams.video:
                raise DataError(f"{name}: contains no video")
            container.streams.video[0].thread_type = "AUTO"
            for frame in container.decode(video=0):
                yield upright(frame.to_ndarray(format="rgb24"), frame.side_data.get("DISPLAYMATRIX"))
    except (av.FFmpegError, OSError) as error:
        raise DataError(f"{name}: not readable as a video: {error}") from error


def upright(pixels: NDArray[np.uint8], matrix: Any) -> NDArray[np.uint8]:
    """Return a frame as it is to be shown: turned by right angles, mirrored, or as it is.

    Phones record as the sensor lies, and note the rest. `matrix` is the buffer of FFmpeg's display matrix, or
    None: nine int32 (a b u c d v x y w), with (x a + y c, x b + y d) as the place of (x, y).
    """
    a, b, _, c, d = (1, 0, 0, 0, 1) if matrix is None else np.frombuffer(matrix, np.int32)[:5].tolist()
    if abs(a) < abs(b):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return np.ascontiguousarray(pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
