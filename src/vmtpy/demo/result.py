"""What a demo has to tell, whoever played it: the moments of one snapshot, the waits, the proof."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vmtpy.host.esxi import Periods

if TYPE_CHECKING:
    from vmtpy.host.script import BackupResult
    from vmtpy.host.verdict import Verdict

# The stun is shorter than ESXi's, so that it does not hide the host's copy and the guest's own
# time.
PERIODS = Periods(stun=0.01)


@dataclass(frozen=True, slots=True)
class Moment:
    """A point of the timeline.

    Attributes:
        name: "start", "received", "pre-sync", "frozen", "commit", "snapshot", "thawed", "done".
        time: seconds of CLOCK_MONOTONIC.
        note: an explanation.
    """

    name: str
    time: float
    note: str = ""


@dataclass(slots=True)
class DemoResult:
    """The outcome of a demo.

    Attributes:
        moments: the moments in the order of time; the first is the host's start.
        snapshot: the seconds that the host needed for its snapshot.
        copying: the seconds of these in which the host copied the disk.
        longest_wait: the longest wait of any write, in seconds.
        findings: sentences, each with whether it is good for the copy.
        simulated: whether the disk was simulated.
    """

    moments: list[Moment] = field(default_factory=list)
    snapshot: float = 0.0
    copying: float = 0.0
    longest_wait: float = 0.0
    findings: list[tuple[bool, str]] = field(default_factory=list)
    simulated: bool = False

    @property
    def passed(self) -> bool:
        """Whether the snapshot was taken and every finding is good."""
        return bool(self.findings) and all(good for good, _ in self.findings)

    def tell(
        self, result: BackupResult, *, presynced: float, all_frozen: float, all_thawed: float
    ) -> None:
        """Makes the timeline from the host's result and the times of the agent's record."""
        self.moments = [
            Moment("start", result.start, "the host asks for a snapshot"),
            Moment("received", result.received or 0.0, "the guest polls and gets the request"),
            Moment("pre-sync", presynced, "the pre-sync ends; programs still write"),
            Moment("frozen", all_frozen, "programs that write wait"),
            Moment("commit", result.commit or 0.0, "the host learns that all is frozen"),
            Moment(
                "snapshot",
                result.done_sent or 0.0,
                f"the host has its copy; it stunned the guest for {PERIODS.stun * 1e3:g} ms",
            ),
            Moment("thawed", all_thawed, "programs write again"),
            Moment("done", result.done or 0.0, "the guest sends req.done"),
        ]

    def judged(self, verdict: Verdict) -> None:
        """Adds what vSphere would show of the snapshot."""
        for snapshot in verdict.snapshots:
            text = ": ".join(filter(None, (snapshot.state, "; ".join(snapshot.reasons))))
            self.found(snapshot.good, f"vSphere would show: {text}")

    def found(self, good: bool, sentence: str) -> None:
        """Adds a finding."""
        self.findings.append((good, sentence))

    def as_dict(self) -> dict[str, object]:
        """The outcome for --json, with times in milliseconds since the start."""
        start = self.moments[0].time if self.moments else 0.0
        return {
            "passed": self.passed,
            "simulated": self.simulated,
            "timeline_ms": {
                moment.name: round((moment.time - start) * 1e3, 3) for moment in self.moments
            },
            "snapshot_ms": round(self.snapshot * 1e3, 3),
            "copying_ms": round(self.copying * 1e3, 3),
            "longest_wait_ms": round(self.longest_wait * 1e3, 3),
            "findings": [{"good": good, "text": text} for good, text in self.findings],
        }
