"""Signals of an emulator: what comes for it while a program runs goes to the program."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator


class WakeUp:
    """Lets the main thread sleep, and yet run Python's signal handlers at once.

    The kernel gives a signal to any thread: one that sleeps on a lock would not notice. Python's
    own handler writes to a descriptor, whichever thread it runs in.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def up(self) -> None:
        """Ends the sleep for a look at what it is for."""
        os.write(self._write, b"\0")

    def wait(self, event: threading.Event) -> None:
        """Sleeps until the event is set; who sets it says up() then."""
        while not event.is_set():
            os.read(self._read, 4096)

    def close(self) -> None:
        """Gives the descriptors back."""
        signal.set_wakeup_fd(self._before)
        os.close(self._read)
        os.close(self._write)


@contextlib.contextmanager
def signals_to(forward: Callable[[int], None]) -> Iterator[WakeUp]:
    """What a terminal sends goes to the program by itself; what is sent to us is passed on to it.

    Handlers, not SIG_IGN: that would be inherited by the program. What was ignored stays so.
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
