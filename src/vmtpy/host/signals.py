"""Forwards the signals of an emulator to the program that it runs."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator


class WakeUp:
    """Lets the main thread sleep and still run Python's signal handlers at once.

    The kernel delivers a signal to any thread, and a main thread that sleeps on a lock would not
    notice. Python's C handler writes to a descriptor from whichever thread it runs in.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def up(self) -> None:
        """Wakes the main thread, which then checks its event."""
        os.write(self._write, b"\0")

    def wait(self, event: threading.Event) -> None:
        """Sleeps until the event is set; the thread that sets the event calls up() afterwards."""
        while not event.is_set():
            os.read(self._read, 4096)

    def close(self) -> None:
        """Closes the descriptors."""
        signal.set_wakeup_fd(self._before)
        os.close(self._read)
        os.close(self._write)


@contextlib.contextmanager
def signals_to(forward: Callable[[int], None]) -> Iterator[WakeUp]:
    """Forwards SIGTERM and SIGHUP to the program; a terminal sends SIGINT and SIGQUIT to both.

    It uses handlers and not SIG_IGN, which the program would inherit. Signals that were ignored
    stay ignored.
    """
    wake = WakeUp()
    handlers = {
        signal.SIGINT: lambda _number, _frame: None,
        signal.SIGQUIT: lambda _number, _frame: None,
        signal.SIGTERM: lambda number, _frame: forward(number),
        signal.SIGHUP: lambda number, _frame: forward(number),
    }
    before = {}
    for number, handler in handlers.items():
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, handler)
    try:
        yield wake
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)
        wake.close()
