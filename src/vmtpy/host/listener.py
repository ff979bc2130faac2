"""Passes the messages of an emulated host to all followers, as they arrive.

Only one reader can take the transcript of a Device, and the Listener is that reader. A slow
follower (a timeline on a frozen disk) does not delay the others.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from vmtpy._host import Device, TranscriptEntry

# Longer than any test or program runs; Device.end_waits() ends the wait.
_FOREVER = 10 * 365 * 86400.0


class Follower:
    """The queue of messages of one reader, from the time when the follower was made."""

    def __init__(self) -> None:
        # Python 3.10's SimpleQueue may wait forever when the timeout is 0.
        self._queue: queue.Queue[TranscriptEntry | None] = queue.Queue()
        self._ended = False

    def put(self, entry: TranscriptEntry | None) -> None:
        """Appends a message; None is the end."""
        self._queue.put(entry)

    def next(self, deadline: float | None = None) -> TranscriptEntry | None:
        """Waits for the next message.

        Args:
            deadline: on time.monotonic(); None waits until the Listener ends.

        Returns:
            The message, or None at the deadline and after the end.
        """
        if self._ended:
            return None
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            entry = self._queue.get(timeout=timeout)
        except queue.Empty:
            return None
        self._ended = entry is None
        return entry

    @property
    def ended(self) -> bool:
        """Whether next() has reached the end, so that no message will follow."""
        return self._ended

    def wait_for(
        self, wanted: Callable[[TranscriptEntry], bool], deadline: float
    ) -> TranscriptEntry | None:
        """Waits for the next message that is `wanted`, and skips those before it."""
        while entry := self.next(deadline):
            if wanted(entry):
                return entry
        return None


class Listener:
    """Reads the transcript of a device in its own thread, from entering to leaving.

    Leaving delivers the remaining messages and ends the device's waits for good, so a device can
    have only one Listener.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._followers: list[Follower] = []
        self._lock = threading.Condition()
        self._delivered = 0
        self._ending = False
        self._over = False
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def follow(self) -> Follower:
        """Makes a follower, which gets every message from now on, also before entering."""
        follower = Follower()
        with self._lock:
            self._followers.append(follower)
            if self._over:
                follower.put(None)
        return follower

    def leave(self, follower: Follower) -> None:
        """Stops sending messages to a follower."""
        with self._lock:
            self._followers.remove(follower)

    def end(self, follower: Follower) -> None:
        """The follower gets what has passed by now, then its end."""
        self.catch_up()
        self.leave(follower)
        follower.put(None)

    def catch_up(self) -> None:
        """Waits until the followers have been handed all that has passed by now."""
        passed = self._device.messages()
        with self._lock:
            self._lock.wait_for(lambda: self._over or self._delivered >= passed)

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ending = True
        self._device.end_waits()
        self._thread.join()

    def _run(self) -> None:
        while True:
            ending = self._ending  # read first, so that all earlier messages are in the transcript
            entries = self._device.take_transcript(time.monotonic() + _FOREVER)
            self._deliver(entries)
            if ending and not entries:
                break
        with self._lock:
            self._over = True
            for follower in self._followers:
                follower.put(None)
            self._lock.notify_all()

    def _deliver(self, entries: list[TranscriptEntry]) -> None:
        with self._lock:
            for follower in self._followers:
                for entry in entries:
                    follower.put(entry)
            self._delivered += len(entries)
            self._lock.notify_all()
