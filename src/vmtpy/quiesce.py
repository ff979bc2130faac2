"""Python's part of a backup: connects the host's commands, the hooks, the plan and the session.

    vmbackup.start         Python enters the hooks, makes the plan, and arms a native session.
                           With startWithOpts the host can ask for fewer of these.
    (the session)          It pre-syncs, starts the guardian and freezes; the loop sends
                           snapshotCommit.
    vmbackup.snapshotDone  The session thaws. It also thaws at vmbackup.abort, at the limit, at
                           SIGTERM and when the host is lost.
    (ENDED)                Python receives the record and leaves the hooks; the loop sends req.done.

Between start() and ended() nothing waits for Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vmtpy import _core
from vmtpy.errors import PlanError, VmtError
from vmtpy.hooks import HookError, Hooks
from vmtpy.log import ERROR, INFO, WARNING, Log

if TYPE_CHECKING:
    from vmtpy.config import QuiesceConfig

RUN_DIRECTORY = "/run/vmtpy"

# The manifest, by which vSphere shows the snapshot as quiesced. The native agent serves it to the
# host from memory; no file of this name exists.
MANIFEST_PATH = f"{RUN_DIRECTORY}/quiesce_manifest.xml"
MANIFEST = b"""<quiesceManifest>
   <productVersion>1</productVersion>
   <providerName>fifreeze</providerName>
</quiesceManifest>
"""

# Causes for which nobody expects a filesystem to be frozen; causes by which a user or the host left
# it out on purpose; how many other reasons a message names.
NOT_MISSED = (_core.Cause.PSEUDO, _core.Cause.MEMORY)
WANTED = (_core.Cause.EXCLUDED, _core.Cause.NOT_INCLUDED, _core.Cause.NOT_REQUESTED)
MOST_REASONS = 5
MIB = 1 << 20

Planner = Callable[[_core.PlanRequest], _core.Plan]


class Quiesce:
    """Answers the agent's START and ENDED events."""

    def __init__(
        self,
        config: QuiesceConfig,
        hooks: Hooks,
        *,
        system: _core.System,
        clock: _core.Clock,
        planner: Planner = _core.make_plan,
        guardian: bool = True,
        log: Log,
        on_record: Callable[[_core.RunRecord], None] | None = None,
    ) -> None:
        self._config = config
        self._hooks = hooks
        self._system = system
        self._clock = clock
        self._planner = planner
        self._guardian = guardian
        self._log = log
        self._on_record = on_record
        self._session: _core.FreezeSession | None = None
        self._manifest = False
        self._argument = ""

    def configure(self, config: QuiesceConfig) -> None:
        """Takes a new configuration. It is called only between backups."""
        self._config = config

    @property
    def armed(self) -> bool:
        """Whether a session is armed and its end not yet handled; the services wait then."""
        return self._session is not None

    def start(self, agent: _core.Agent, request: _core.QuiesceRequest) -> None:
        """Prepares the backup and arms its session, or refuses it with a code and a text for the
        host.
        """
        self._manifest = request.manifest
        self._argument = request.script_argument
        try:
            if request.scripts:
                self._hooks.freeze(
                    request.script_argument,
                    cancelled=lambda: not agent.preparing(),
                )
            if not request.freeze:
                agent.skip(self._config.timeout)
                return
            plan = self.plan(request.volumes)
            self._session = _core.FreezeSession(
                self._system, self._clock, plan.filesystems, self._options(plan)
            )
        except HookError as error:
            _refuse(agent, _core.BackupCode.SCRIPT, str(error))
        except VmtError as error:
            _refuse(agent, _core.BackupCode.SYNC, str(error))
        except Exception as error:
            _refuse(agent, _core.BackupCode.UNEXPECTED, f"{type(error).__name__}: {error}")
        else:
            agent.arm(self._session)

    def ended(self, agent: _core.Agent, record: _core.RunRecord) -> None:
        """Leaves the hooks, writes the log, and lets the native agent end the backup."""
        succeeded = record.outcome == _core.Outcome.RELEASED
        manifest = ("", b"")
        try:
            self._hooks.thaw(aborted=not succeeded, argument=self._argument, alive=agent.preparing)
            for level, line in summary(record):
                self._log(line, level)
            self._hand_out(record)
            if succeeded and self._manifest:
                manifest = (MANIFEST_PATH, MANIFEST)
        finally:
            self._session = None
            agent.finish(*manifest)

    def _hand_out(self, record: _core.RunRecord) -> None:
        if self._on_record is None:
            return
        try:
            self._on_record(record)
        except Exception as error:  # no failure of a receiver ends the agent
            self._log.error(
                f"the record of the backup could not be handled: {type(error).__name__}: {error}"
            )

    def close(self) -> None:
        """Leaves the hooks that are still held when the agent ends during a backup."""
        self._hooks.thaw(aborted=True, argument=self._argument)

    def plan(self, volumes: str = "") -> _core.Plan:
        """The plan for the volumes that the host named; "" for all volumes.

        Raises:
            PlanError: no safe order exists, or there is nothing to freeze.
        """
        request = _core.PlanRequest(
            include=list(self._config.include),
            exclude=list(self._config.exclude),
            volumes=volumes.split(),
        )
        plan = self._planner(request)
        for note in plan.notes:
            self._log(note)
        if plan.unmatched:
            names = ", ".join(plan.unmatched)
            self._log(f"the host named volumes without a filesystem of this guest: {names}")
        if all(filesystem.sync_only for filesystem in plan.filesystems):
            raise PlanError("; ".join(["there is nothing to freeze", *reasons(plan)]))
        return plan

    def _options(self, plan: _core.Plan) -> _core.FreezeOptions:
        return _core.FreezeOptions(
            timeout=self._config.timeout,
            filesystem_timeout=self._config.filesystem_timeout,
            expedite_rcu=self._config.expedite_rcu,
            guardian=self._guardian,
            run_directory=RUN_DIRECTORY,
            already_frozen=_core.AlreadyFrozen[self._config.already_frozen.upper()],
            left_out=[left for left in plan.left_out if left.writable],
            stall_goal=self._config.stall_goal,
            converge=_core.Converge[self._config.converge.upper()],
        )


def _refuse(agent: _core.Agent, code: _core.BackupCode, text: str) -> None:
    from vmtpy.backup_report import readable

    agent.refuse(code, readable(text))


def reasons(plan: _core.Plan) -> list[str]:
    """Why nothing can be frozen, in a few clauses, since a host accepts no long texts."""
    texts = [f"no filesystem lies on {name}" for name in plan.unmatched]
    texts += [
        f"{filesystem.path}: {filesystem.type} can only be synced, not frozen"
        for filesystem in plan.filesystems
    ]
    texts += [
        f"{left.path}: {left.reason}" for left in plan.left_out if left.cause not in NOT_MISSED
    ]
    return shortened(texts)


def shortened(texts: list[str]) -> list[str]:
    """The first MOST_REASONS texts, and how many more there are."""
    more = len(texts) - MOST_REASONS
    return [*texts[:MOST_REASONS], *([f"{more} more (see `vmtpy plan`)"] if more > 0 else [])]


def summary(record: _core.RunRecord) -> list[tuple[int, str]]:
    """The lines for the log about a backup, with their levels."""
    lines = [(WARNING, warning) for warning in record.warnings]
    count = len(record.filesystems)
    if record.outcome == _core.Outcome.RELEASED and not count:
        lines.append((INFO, "nothing was frozen, as the host asked"))
    elif record.outcome == _core.Outcome.RELEASED:
        held = (record.all_thawed - record.first_freeze) * 1000
        freezing = (record.all_frozen - record.first_freeze) * 1000
        text = (
            f"quiesced: {count} filesystem{'s' * (count != 1)} frozen within {freezing:.1f} ms "
            f"and held for {held:.1f} ms"
        )
        lines += [(INFO, text), *pacing(record), *partial(record)]
    else:
        text = f"not quiesced ({record.outcome.name.lower()}): {record.error}"
        lines.append((ERROR, text))
    return lines


def pacing(record: _core.RunRecord) -> list[tuple[int, str]]:
    """Whose writers were slowed down for the freeze, in lines for the log."""
    return [
        (
            INFO,
            f"{run.path}: writers were slowed down for {run.paced:.1f} s, {why_paced(run)}: "
            f"{(run.dirty_before or 0) / MIB:.0f} MiB were dirty before and "
            f"{(run.dirty_left or 0) / MIB:.1f} left; its freeze took {run.freeze * 1000:.0f} ms, "
            f"{run.expected_hold * 1000:.0f} were expected (by {record.dirty_source})",
        )
        for run in record.filesystems
        if run.paced
    ]


def why_paced(run: _core.FilesystemRun) -> str:
    if not run.disk_rate:  # a disk has to be busy for a while before its rate is known
        return "as the disk might have been too slow for them"
    rates = run.writer_rate / MIB, run.disk_rate / MIB
    return f"as they dirty {rates[0]:.0f} MiB/s and the disk takes {rates[1]:.0f}"


def partial(record: _core.RunRecord) -> list[tuple[int, str]]:
    """The lines for the log about filesystems that a successful backup did not freeze."""
    missed = [left for left in record.left_out if left.cause not in WANTED]
    wanted = [left for left in record.left_out if left.cause in WANTED]
    lines = []
    for level, left_out, text in (
        (WARNING, missed, "the snapshot is partial; these filesystems are writable and not frozen"),
        (INFO, wanted, "filesystems not frozen, as configured or as the host asked"),
    ):
        if left_out:
            names = [f"{left.path} ({left.type}: {left.reason})" for left in left_out]
            lines.append((level, f"{text}: {'; '.join(shortened(names))}"))
    return lines
