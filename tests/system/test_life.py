"""A whole life on the wire against a golden file: open, reset, register, options, information,
backup, suspend and resume, halt, the end.

VMTPY_UPDATE_GOLDEN=1 writes the file anew: look at the difference before it is committed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from support import life
from support.guest import running_guest
from support.loop import loop_mount
from support.namespace import INSIDE, inside, require_namespaces

if TYPE_CHECKING:
    from support.guest import Guest

GOLDEN = Path(__file__).with_name("life.txt")
# So that nothing is told between two steps of the life but what the step brings about.
CONFIG = """
[guest_info]
interval = 3600
[time]
interval = 3600
[power]
halt = ["true"]
reboot = ["true"]
"""


class Life:
    """Chapters of what was said."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.text: list[str] = []
        self.read = 0

    def options(self, command: str) -> None:
        """An option and what it brings about, which may be told before the answer arrives."""
        self.guest.device.send_command(command)
        self.guest.until(lambda: len(self.news()) == 3)
        speakers = ("host", "answer", "guest")
        lines = sorted(self.news(), key=lambda line: speakers.index(line.split()[0]))
        self.text += ["# options", *lines, ""]
        self.read = len(self.guest.entries)

    def chapter(self, title: str, last: str, *commands: str) -> None:
        """The host's commands, and all that follows, up to a line that begins with `last`."""
        for command in commands:
            self.guest.device.send_command(command)
        self.guest.until(lambda: any(line.startswith(last) for line in self.news()))
        self.text += [f"# {title}", *self.steady(self.news()), ""]
        self.read = len(self.guest.entries)

    def news(self) -> list[str]:
        return life.lines(self.guest.entries[self.read :])

    def steady(self, lines: list[str]) -> list[str]:
        """Without what the clock and the filling of disks add to a look at the guest."""
        if any(line.startswith("guest  SetGuestInfo  1 ") for line in lines):
            return lines
        moving = ("guest  SetGuestInfo  7 ", "guest  SetGuestDiskInfo ")
        return [line for line in lines if not line.startswith(moving)]


def test_a_whole_life_is_what_the_golden_file_says(tmp_path: Path) -> None:
    require_namespaces()
    with (
        loop_mount("ext4") as mount,
        running_guest([mount], tmp_path / "log", CONFIG, INSIDE) as guest,
    ):
        story = Life(guest)
        everything = "guest  SetGuestDiskInfo"
        story.chapter("open", everything)
        story.chapter("reset", everything, "reset")
        story.chapter("register", everything, "Capabilities_Register")
        story.chapter("ping", "answer OK", "ping")
        story.options("Set_Option broadcastIP 1")
        story.chapter("a bad option", "answer", "Set_Option broadcastIP maybe")
        story.chapter("an unknown option", "answer", "Set_Option copypaste 1")
        story.chapter("an unknown command", "answer", "Unity_Enter")
        inside(guest.pid, "ip addr add 198.51.100.7/24 dev eth0")
        story.chapter("a new address", "guest  SetGuestInfo  10")
        story.chapter("a backup", "guest  vmbackup.eventSet prov", "vmbackup.start 1")
        story.chapter("a command meanwhile", "answer", "OS_Reboot")
        story.chapter("and its end", "guest  info-set guestinfo.vmtpy", "vmbackup.snapshotDone")
        story.chapter("no backup any more", "answer", "vmbackup.snapshotDone")
        story.chapter("suspend", "answer", "OS_Suspend")
        story.chapter("resume", everything, "OS_Resume")
        story.chapter("halt", "answer", "OS_Halt")
        guest.end()
        guest.read()
        story.chapter("the end", "guest  log")
    told = "\n".join(story.text)
    if os.environ.get("VMTPY_UPDATE_GOLDEN"):
        GOLDEN.write_text(told)
    assert told == GOLDEN.read_text()
