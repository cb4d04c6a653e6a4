"""Progress of many images on stderr: how many are done, images per second, time left."""

import sys
from time import monotonic

TERMINAL_S = 0.5
LOG_S = 10.0
"""Time between two lines where stderr is no terminal."""


class Progress:
    """Progress of `total` images, or of an unknown number if None."""

    def __init__(self, total: int | None) -> None:
        self._total = total
        self._terminal = sys.stderr.isatty()
        self._start = self._shown = monotonic()
        self._done = self._before = 0

    def skip(self) -> None:
        """Count an image that was finished before; it has no part in the speed."""
        self._done += 1
        self._before += 1

    def step(self) -> None:
        """Count an image, and show the progress from time to time."""
        self._done += 1
        now = monotonic()
        if now - self._shown >= (TERMINAL_S if self._terminal else LOG_S):
            self._shown = now
            end = "\r" if self._terminal else "\n"
            print(
                progress_line(self._done, self._before, self._total, now - self._start),
                end=end,
                file=sys.stderr,
            )

    def close(self) -> float:
        """End the line of a terminal, and return the images per second."""
        if self._terminal and self._shown > self._start:
            print(file=sys.stderr)
        return (self._done - self._before) / max(monotonic() - self._start, 1e-9)


def progress_line(done: int, before: int, total: int | None, seconds: float) -> str:
    """Return `30 of 90 images, 5.0 images/s, 0:12 left`; `before` of the done images were not timed."""
    rate = (done - before) / max(seconds, 1e-9)
    if total is None:
        return f"{done} images, {rate:.1f} images/s"
    left = round((total - done) / rate) if rate else 0
    return f"{done} of {total} images, {rate:.1f} images/s, {left // 60}:{left % 60:02} left"
