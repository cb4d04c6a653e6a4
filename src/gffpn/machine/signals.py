"""Signals that end a process: SIGTERM interrupts it as Ctrl-C does. Does not import torch."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 130
"""Exit code of a process that is ended by Ctrl-C or SIGTERM."""
HOW_TO_CONTINUE = "Interrupted. Repeat the command to continue; finished epochs are kept."


def interrupt_on_sigterm() -> None:
    """Make SIGTERM raise KeyboardInterrupt in this process; do nothing outside of its main thread."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Make SIGTERM raise KeyboardInterrupt inside the block."""
    before = signal.getsignal(signal.SIGTERM)
    interrupt_on_sigterm()
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextmanager
def stop_asked() -> Iterator[threading.Event]:
    """Yield an event, which the first Ctrl-C or SIGTERM inside the block sets; the next one interrupts."""
    asked = threading.Event()
    # a process that was started with a signal ignored, as by nohup, keeps ignoring it
    heard = [one for one in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(one) != signal.SIG_IGN]
    if threading.current_thread() is not threading.main_thread():
        heard = []

    def note(*_: object) -> None:
        asked.set()
        for one in heard:
            signal.signal(one, signal.default_int_handler)

    before = {one: signal.signal(one, note) for one in heard}
    try:
        yield asked
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def ignore_signals() -> None:
    """Ignore Ctrl-C and SIGTERM in the rest of this process, which is about to end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
