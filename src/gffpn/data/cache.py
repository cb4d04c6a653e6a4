"""A cache of decoded, letterboxed images, so that each image is decoded once for all epochs and runs."""

import hashlib
import inspect
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import PIL
from numpy.typing import NDArray

from gffpn.choice import one_of
from gffpn.data import letterbox
from gffpn.data.index import DataError, ImageRecord
from gffpn.data.letterbox import letterboxed
from gffpn.data.readers import images
from gffpn.data.readers.images import read_image
from gffpn.files.content import content_digest
from gffpn.files.writing import alone
from gffpn.machine.threads import in_threads

log = logging.getLogger(__name__)

# as it is when this process imports it, whatever is edited later
_CODE = [inspect.getsource(module) for module in (images, letterbox)]
CacheMode = Literal["disk", "ram", "none"]
Reader = Callable[[Path], NDArray[np.uint8]]


class ImageCache:
    """Cache of the images of one split as uint8 (3, H, W) arrays, indexed by position; read-only.

    With mode "disk", the images are in one memory-mapped file, built once and shared by all processes and
    runs; its folder is named after `folder`, the image size and the files' contents. With "ram", they are in
    one array in memory. With "none", each image is decoded at each read. If the disk cannot hold the file,
    "disk" falls back to "none" with a warning.

    Raises ValueError for any other mode, and DataError if a file does not contain the image described by its
    record.
    """

    def __init__(
        self,
        records: Sequence[ImageRecord],
        folder: Path,
        *,
        image_size: tuple[int, int],
        mode: CacheMode = "disk",
        read: Reader = read_image,
    ) -> None:
        one_of("cache", mode, CacheMode)
        self.records = records
        self.image_size = image_size
        self.read = read
        self.mode = mode
        self.folder = folder.with_name(f"{folder.name}-{image_size[0]}x{image_size[1]}-{_digest(records)}")
        self._pixels: NDArray[np.uint8] | None = None
        if mode == "ram":
            self._pixels = np.empty((len(records), 3, *image_size), np.uint8)
            for number, pixels in enumerate(self._decoded()):
                self._pixels[number] = pixels
            self._pixels.flags.writeable = False
        elif mode == "disk":
            self._pixels = self._open()
            if self._pixels is None:
                self._build_on_disk()

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, number: int) -> NDArray[np.uint8]:
        if self._pixels is None:
            return self._unchanged(number)
        return self._pixels[number]

    def __getstate__(self) -> dict[str, Any]:
        # spawned workers (unlike forked ones) receive a pickle, which would hold all bytes of the memory map
        return self.__dict__ | ({"_pixels": None} if self.mode == "disk" else {})

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        if self.mode == "disk":
            self._pixels = self._open()

    @property
    def file(self) -> Path:
        """Path of the pixels in mode "disk"; images.json next to it, written last, holds shape and length."""
        return self.folder / "images.npy"

    def _open(self) -> NDArray[np.uint8] | None:
        """Return the memory-mapped file, or None if it is missing or incomplete."""
        try:
            whole = json.loads(self.file.with_suffix(".json").read_text(encoding="utf-8")) == self._facts()
            return np.asarray(np.load(self.file, mmap_mode="r"), np.uint8) if whole else None
        except (OSError, json.JSONDecodeError):  # missing, or the folder of another user
            return None

    def _facts(self) -> dict[str, Any]:
        return {"shape": [len(self), 3, *self.image_size], "bytes": self.file.stat().st_size}

    def _build_on_disk(self) -> None:
        try:
            with alone(self.folder / "lock", waits_for=f"the image cache {self.folder}"):
                # another run may have built the cache while this one waited for the lock
                if self._open() is None:
                    self._write()
            self._pixels = self._open()
        except OSError as error:
            self.mode = "none"
            log.warning(
                "no image cache in %s (%s): images are decoded at each read, which is slow. "
                "Choose another cache folder, or cache=ram.",
                self.folder,
                error,
            )

    def _write(self) -> None:
        """Write the pixels, then images.json.

        The pixels are written through a file object because writing to a memory map on a full disk would kill
        the process.
        """
        log.info("caching %d images in %s", len(self), self.folder)
        needed = len(self) * 3 * self.image_size[0] * self.image_size[1]
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise OSError(f"{needed / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free")
        part = self.file.with_suffix(".part")
        try:
            with part.open("wb") as stream:
                self._write_pixels(stream)
            part.replace(self.file)
            part.write_text(json.dumps(self._facts()), encoding="utf-8")
            part.replace(self.file.with_suffix(".json"))
        finally:
            part.unlink(missing_ok=True)

    def _write_pixels(self, stream: BinaryIO) -> None:
        shape = (len(self), 3, *self.image_size)
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for pixels in self._decoded():
            stream.write(pixels.tobytes())
        stream.flush()
        os.fsync(stream.fileno())

    def _decoded(self) -> Iterator[NDArray[np.uint8]]:
        """Yield all images in order, decoded and letterboxed; raise DataError if one is not as inspected."""
        return in_threads(self._unchanged, range(len(self)), "Caching images")

    def _unchanged(self, number: int) -> NDArray[np.uint8]:
        record = self.records[number]
        try:
            changed = record.content and content_digest(record.path) != record.content
        except OSError as error:  # not to be taken for a fault of the cache
            raise DataError(
                f"{record.path}: {error.strerror}, although it could be read when this run started"
            ) from error
        if changed:
            raise DataError(f"{record.path}: the file changed since this run started; repeat the command")
        return self._letterboxed(number)

    def _letterboxed(self, number: int) -> NDArray[np.uint8]:
        record = self.records[number]
        pixels = self.read(record.path)
        if pixels.shape != (record.height, record.width, 3):
            raise DataError(
                f"{record.path}: got an image of shape {pixels.shape}, "
                f"expected {(record.height, record.width, 3)}"
            )
        return letterboxed(pixels, self.image_size)


def _digest(records: Sequence[ImageRecord]) -> str:
    """Return 8 hex digits of a hash of the files' contents and of the code that decodes and resizes them."""
    facts = [PIL.__version__, *_CODE, *(record.content for record in records)]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:8]
