"""The in-process host with a recorder in front of it, for unit tests of the wire."""

from __future__ import annotations

from vmtpy._core import SteadyClock
from vmtpy._host import Device, EmulatedBackdoor, Frame, RecordingBackdoor

# wire.h
MAGIC = 0x564D5868
SENDSIZE, SENDPAYLOAD, RECVSIZE, RECVPAYLOAD, RECVSTATUS, CLOSE = 1, 2, 3, 4, 5, 6
SUCCESS, DORECV, CHECKPOINT = 1, 2, 0x10

STEPS = ["OPEN", "SENDSIZE", "SENDPAYLOAD", "RECVSIZE", "RECVPAYLOAD", "RECVSTATUS", "CLOSE"]


class EmulatedHost:
    """A Device, the backdoor to it, and the record of what went through.

    Attributes:
        device: the emulated VMware.
        backdoor: what the code under test is given.
    """

    def __init__(self, **options: bool | int) -> None:
        self.device = Device(SteadyClock(), **options)  # type: ignore[arg-type]
        self.backdoor = RecordingBackdoor(EmulatedBackdoor(self.device))

    def traps(self) -> int:
        """The number of traps so far."""
        return len(self.backdoor.frames())

    def steps(self, since: int = 0) -> list[str]:
        """The traps in order, by name: "SENDSIZE", "rep outsb", …"""
        return [name(frame) for frame in self.backdoor.frames()[since:]]

    def frames(self, step: str) -> list[Frame]:
        """The traps with this name."""
        return [frame for frame in self.backdoor.frames() if name(frame) == step]


def name(frame: Frame) -> str:
    if frame.instruction != "in":
        return frame.instruction
    return STEPS[frame.before["rcx"] >> 16]


def pattern(size: int) -> bytes:
    """Bytes in which no two groups of four are equal, so that a wrong order is visible."""
    return bytes((i * 7 + i // 251 + 1) % 256 for i in range(size))
