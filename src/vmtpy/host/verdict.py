"""Judges what vSphere would show of a guest, from the guest's messages to an emulated host.

The Judge gets each command when it is sent and each message when it has passed, from esxi.py or
from tests. It sends nothing and waits for nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from vmtpy._host import MessageKind
from vmtpy.host.script import BackupOutcome

if TYPE_CHECKING:
    from vmtpy._host import TranscriptEntry
    from vmtpy.host.script import BackupResult

# Seconds after which a command has timed out for a host.
ANSWER = 9.0

_REGISTER = b"Capabilities_Register"
_UPTIME = b"SetGuestInfo  7 "
_HGFS = b"tools.capability.hgfs_server toolbox 1"
_SHOWN = 80  # characters of a reply in a reason

# A fact that vSphere shows of a guest → alternative sets of requests that report it.
_GUEST_INFO: dict[str, tuple[tuple[bytes, ...], ...]] = {
    "host name": ((b"SetGuestInfo  1 ",),),
    "operating system": (
        (b"SetGuestInfo  11 ",),
        (b"SetGuestInfo  5 ", b"SetGuestInfo  6 "),
    ),
    "uptime": ((_UPTIME,),),
    "network": ((b"SetGuestInfo  10 ",), (b"SetGuestInfo  9 ",)),
    "disks": ((b"SetGuestDiskInfo ",), (b"SetGuestInfo  3 ",)),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A fact that vSphere shows.

    Attributes:
        what: the name of the fact, as "VMware Tools".
        good: whether it is as it should be.
        state: the state in a word or two, as "running".
        reasons: why it is not good; empty if it is.
    """

    what: str
    good: bool
    state: str
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        head = f"{self.what}: {self.state}"
        return f"{head}: {'; '.join(self.reasons)}" if self.reasons else head


@dataclass(frozen=True, slots=True)
class Verdict:
    """What vSphere would show of a guest.

    Attributes:
        tools: whether VMware Tools are running.
        power: whether a soft shutdown or restart is possible, also a second time.
        guest_info: whether the facts that vSphere shows of the guest are complete.
        snapshots: whether each requested snapshot is quiesced.
        remarks: faults of the guest that a host tolerates.
    """

    tools: Finding
    power: Finding
    guest_info: Finding
    snapshots: tuple[Finding, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, in the order in which they are shown."""
        return (self.tools, self.power, self.guest_info, *self.snapshots)

    @property
    def good(self) -> bool:
        """Whether every finding is good; remarks do not count."""
        return all(finding.good for finding in self.findings)

    def as_dict(self) -> dict[str, object]:
        """For JSON: each finding with "good", "state" and "reasons"."""

        def told(finding: Finding) -> dict[str, object]:
            return {
                "good": finding.good,
                "state": finding.state,
                "reasons": list(finding.reasons),
            }

        return {
            "good": self.good,
            "tools": told(self.tools),
            "power": told(self.power),
            "guest_info": told(self.guest_info),
            "snapshots": [told(finding) for finding in self.snapshots],
            "remarks": list(self.remarks),
        }


@dataclass(slots=True)
class _Command:
    """A command of the host with its reply; a time is None if there was no reply."""

    text: bytes
    sent: float
    reply: bytes | None = None
    replied: float | None = None
    uptime: bool = False  # whether the guest reported its uptime before the reply

    @property
    def name(self) -> str:
        return self.text.split(b" ")[0].rstrip(b"\0").decode("utf-8", "backslashreplace")

    @property
    def title(self) -> str:
        """The name; for an option the name and the key."""
        words = self.text.split(b" ")
        shown = words[:2] if words[0] == b"Set_Option" else words[:1]
        return b" ".join(shown).rstrip(b"\0").decode("utf-8", "backslashreplace")

    @property
    def shown(self) -> str:
        """The reply, for people."""
        return repr((self.reply or b"").decode("utf-8", "backslashreplace")[:_SHOWN])

    def is_late(self, limit: float) -> bool:
        """Whether the reply came after the host had given up."""
        return self.replied is not None and self.replied - self.sent > limit


class Judge:
    """Watches one guest, and tells at the end what vSphere would show of it.

    Args:
        answer: the seconds that a guest may take for an answer.
    """

    def __init__(self, answer: float = ANSWER) -> None:
        self._answer = answer
        self._waiting: deque[_Command] = deque()  # sent, and not yet received by the guest
        self._current: _Command | None = None  # received, and not yet answered
        self._commands: list[_Command] = []
        self._requests: list[bytes] = []
        self._snapshots: list[Finding] = []

    def sent(self, command: bytes, moment: float) -> None:
        """Notes a command that the host sends.

        Args:
            command: the text of the command.
            moment: the time, by the clock of the transcript.
        """
        made = _Command(command, moment)
        self._waiting.append(made)
        self._commands.append(made)

    def entry(self, entry: TranscriptEntry) -> None:
        """Notes a message that has passed."""
        if entry.kind == MessageKind.TCLO_COMMAND:
            self._current = self._taken(entry)
        elif entry.kind == MessageKind.TCLO_REPLY:
            if self._current:
                self._current.reply, self._current.replied = entry.request, entry.time
            self._current = None
        elif entry.reply.startswith(b"1"):
            request = entry.request.rstrip(b"\0")
            self._requests.append(request)
            if self._current and request.startswith(_UPTIME):
                self._current.uptime = True

    def _taken(self, entry: TranscriptEntry) -> _Command:
        if self._waiting and self._waiting[0].text == entry.request:
            return self._waiting.popleft()
        made = _Command(entry.request, entry.time)  # a backup sends its commands without sent()
        self._commands.append(made)
        return made

    def serves_files(self) -> bool:
        """Whether the guest has announced that it serves HGFS."""
        return self._told(_HGFS)

    def snapshot(self, result: BackupResult, manifest: bytes | None, error: str = "") -> None:
        """Notes a snapshot that has ended.

        Args:
            result: the result of the backup.
            manifest: the file that the guest named in req.genericManifest; None if the host did not
                get it.
            error: why the host did not get it.
        """
        reasons = []
        if result.outcome is not BackupOutcome.DONE:
            reasons.append(f"{result.outcome.value}: {result.error}")
        elif manifest is None:
            reasons.append(f"the host did not get the manifest: {error}")
        elif fault := fault_of_manifest(manifest):
            reasons.append(f"the manifest is not valid: {fault}")
        state = "not quiesced" if reasons else "quiesced, the host has the manifest"
        self._snapshots.append(Finding("snapshot", not reasons, state, tuple(reasons)))

    def verdict(self, now: float) -> Verdict:
        """What vSphere would show now.

        Args:
            now: the time, by the clock of the transcript. A command without a reply counts only if
                the time for an answer has passed.
        """
        return Verdict(
            tools=self._tools(now),
            power=self._power(),
            guest_info=self._guest_info(),
            snapshots=tuple(self._snapshots),
            remarks=self._remarks(),
        )

    def _tools(self, now: float) -> Finding:
        reasons = []
        if not self._commands:
            reasons.append("the guest never asked the host for commands")
        elif not self._told(b"tools.set.version ") and not self._told(b"tools.set.versiontype "):
            reasons.append("the guest announced no version")
        for name, beginning in (("reset", b"OK ATR "), (_REGISTER.decode(), b"OK ")):
            for command in self._named(name):
                if command.reply is not None and not command.reply.startswith(beginning):
                    text = beginning.decode().strip()
                    reasons.append(f"{name} was answered {command.shown}, not {text}")
        reasons += self._pings()
        reasons += self._timed_out(now)
        state = "not running" if reasons else "running"
        return Finding("VMware Tools", not reasons, state, tuple(reasons))

    def _pings(self) -> list[str]:
        pings = [ping for ping in self._named("ping") if ping.reply is not None]
        wrong = [ping for ping in pings if not (ping.reply or b"").startswith(b"OK ")]
        if not wrong:
            return []
        return [f"{len(wrong)} of {len(pings)} pings were answered {wrong[-1].shown}, not OK"]

    def _timed_out(self, now: float) -> list[str]:
        reasons = []
        limit = f"within {self._answer:g} s"
        for command in self._commands:
            if command.is_late(self._answer) or (
                command.reply is None and now - command.sent > self._answer
            ):
                reasons.append(f"{command.name} was not answered {limit}")
        return sorted(set(reasons))

    def _power(self) -> Finding:
        reasons = []
        if not self._told(b"tools.capability.statechange"):
            reasons.append("the guest did not announce tools.capability.statechange")
        registered = self._named(_REGISTER.decode())
        if any(command.reply is not None and not command.uptime for command in registered):
            reasons.append(
                "the uptime did not come before the answer to Capabilities_Register: "
                "a host refuses the second soft restart"
            )
        state = "not possible" if reasons else "possible"
        return Finding("soft power operations", not reasons, state, tuple(reasons))

    def _guest_info(self) -> Finding:
        missing = tuple(
            f"no {what}"
            for what, ways in _GUEST_INFO.items()
            if not any(all(self._told(request) for request in way) for way in ways)
        )
        return Finding("guest info", not missing, "incomplete" if missing else "complete", missing)

    def _remarks(self) -> tuple[str, ...]:
        remarks = []
        for command in self._commands:
            if command.reply is None or command.name in ("ping", "reset", _REGISTER.decode()):
                continue
            if command.reply.startswith(b"ERROR "):
                text = f"{command.title} was refused: {command.shown}"
            elif not command.reply.startswith(b"OK "):
                text = f"{command.title} was answered {command.shown}, neither OK nor ERROR"
            else:
                continue
            if text not in remarks:
                remarks.append(text)
        return tuple(remarks)

    def _named(self, name: str) -> list[_Command]:
        return [command for command in self._commands if command.name == name]

    def _told(self, beginning: bytes) -> bool:
        return any(request.startswith(beginning) for request in self._requests)


def fault_of_manifest(manifest: bytes) -> str:
    """Why `manifest` is not a manifest of a quiesced snapshot; "" if it is one."""
    try:
        root = ElementTree.fromstring(manifest)  # noqa: S314 - expat bounds what it expands
    except ElementTree.ParseError as error:
        return f"it is not XML ({error})"
    if root.tag != "quiesceManifest":
        return f"its root element is {root.tag}, not quiesceManifest"
    for name in ("productVersion", "providerName"):
        if not (root.findtext(name) or root.get(name)):
            return f"it has no {name}"
    return ""
