"""What a demo has to tell, whoever played it: the moments of one snapshot, the waits, the proof."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vmtpy.host.esxi import Periods

if TYPE_CHECKING:
    from vmtpy.host.script import BackupResult
    from vmtpy.host.verdict import Verdict

# As ESXi, but for a stun that hides neither the host's copy nor what the guest itself costs.
PERIODS = Periods(stun=0.01)


@dataclass(frozen=True, slots=True)
class Moment:
    """A point of the timeline.

    Attributes:
        name: "start", "received", "pre-sync", "frozen", "commit", "snapshot", "thawed", "done".
        time: CLOCK_MONOTONIC seconds.
        note: what a reader should know of it.
    """

    name: str
    time: float
    note: str = ""


@dataclass(slots=True)
class DemoResult:
    """The outcome of a demo.

    Attributes:
        moments: in the order of time; the first is the host's start.
        snapshot: seconds that the host took for its snapshot.
        copying: seconds of it in which it copied; beside them it stunned the guest.
        longest_wait: seconds of the longest wait of any write.
        findings: sentences, each with whether it speaks for the copy.
        simulated: nothing real was frozen.
    """

    moments: list[Moment] = field(default_factory=list)
    snapshot: float = 0.0
    copying: float = 0.0
    longest_wait: float = 0.0
    findings: list[tuple[bool, str]] = field(default_factory=list)
    simulated: bool = False

    @property
    def passed(self) -> bool:
        """The snapshot was taken and every finding speaks for it."""
        return bool(self.findings) and all(good for good, _ in self.findings)

    def tell(
        self, result: BackupResult, *, presynced: float, all_frozen: float, all_thawed: float
    ) -> None:
        """The timeline, from what the host saw and what the agent's record says."""
        self.moments = [
            Moment("start", result.start, "the host asks"),
            Moment("received", result.received or 0.0, "the guest's next poll"),
            Moment("pre-sync", presynced, "ends; writers are still running"),
            Moment("frozen", all_frozen, "writers wait"),
            Moment("commit", result.commit or 0.0, "the host hears it"),
            Moment(
                "snapshot",
                result.done_sent or 0.0,
                f"the host has its copy; it stunned the guest for {PERIODS.stun * 1e3:g} ms",
            ),
            Moment("thawed", all_thawed, "writers run"),
            Moment("done", result.done or 0.0, "req.done"),
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
        """For --json: milliseconds since the start."""
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
