"""What the host's start, abort and done mean for this guest: the wiring, all of it.

    vmbackup.start         hooks are entered, the plan is made, a native session is armed with it
                           (startWithOpts: fewer of these, if the host says so).
    (the session)          pre-syncs, starts the guardian, freezes; the loop says snapshotCommit.
    vmbackup.snapshotDone  the session thaws, natively.
    vmbackup.abort         the session thaws, natively; so do the limit, SIGTERM and a lost host.
    (ended)                the record arrives here; hooks are left, the host hears req.done.

Between start() and ended() no Python runs.
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

# Marks the snapshot as quiesced in vSphere. The native agent serves it to the host from memory:
# there is no such file.
MANIFEST_PATH = f"{RUN_DIRECTORY}/quiesce_manifest.xml"
MANIFEST = b"""<quiesceManifest>
   <productVersion>1</productVersion>
   <providerName>fifreeze</providerName>
</quiesceManifest>
"""

# What nobody expects to be frozen, what was left out on purpose, and how much is told of the rest.
NOT_MISSED = (_core.Cause.PSEUDO, _core.Cause.MEMORY)
WANTED = (_core.Cause.EXCLUDED, _core.Cause.NOT_INCLUDED, _core.Cause.NOT_REQUESTED)
MOST_REASONS = 5

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
        """Takes a new configuration; between backups."""
        self._config = config

    @property
    def armed(self) -> bool:
        """From the handing over of a session until its end has been taken: Python keeps still."""
        return self._session is not None

    def start(self, agent: _core.Agent, request: _core.QuiesceRequest) -> None:
        """Prepares and arms; or refuses with the code and text that the host is to show."""
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
            agent.refuse(_core.BackupCode.SCRIPT, str(error))
        except VmtError as error:
            agent.refuse(_core.BackupCode.SYNC, str(error))
        except Exception as error:
            agent.refuse(_core.BackupCode.UNEXPECTED, f"{type(error).__name__}: {error}")
        else:
            agent.arm(self._session)

    def ended(self, agent: _core.Agent, record: _core.RunRecord) -> None:
        """Leaves the hooks, writes the log, lets the host hear the end."""
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
        except Exception as error:  # whatever it is: the agent goes on
            self._log.error(f"the record is lost: {type(error).__name__}: {error}")

    def close(self) -> None:
        """Leaves what is still held when the agent ends without the end of a backup."""
        self._hooks.thaw(aborted=True, argument=self._argument)

    def plan(self, volumes: str = "") -> _core.Plan:
        """The plan for the volumes that the host named, "" for all.

        Raises:
            PlanError: it cannot be decided, or there is nothing to freeze.
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
            self._log(f"no filesystem lies on {', '.join(plan.unmatched)}, which the host named")
        if all(one.sync_only for one in plan.filesystems):
            raise PlanError("; ".join(["nothing to freeze", *reasons(plan)]))
        return plan

    def _options(self, plan: _core.Plan) -> _core.FreezeOptions:
        return _core.FreezeOptions(
            limit=self._config.timeout,
            filesystem_budget=self._config.filesystem_timeout,
            expedite_rcu=self._config.expedite_rcu,
            guardian=self._guardian,
            run_directory=RUN_DIRECTORY,
            accept_frozen=self._config.already_frozen == "accept",
            left_out=[one for one in plan.left_out if one.writable],
            stall_goal=self._config.stall_goal,
            converge=_core.Converge[self._config.converge.upper()],
        )


def reasons(plan: _core.Plan) -> list[str]:
    """Why nothing can be frozen, in a few clauses: a host takes no long texts."""
    told = [f"no filesystem lies on {name}" for name in plan.unmatched]
    told += [f"{one.path}: only synced, {one.type} cannot be frozen" for one in plan.filesystems]
    told += [f"{one.path}: {one.reason}" for one in plan.left_out if one.cause not in NOT_MISSED]
    return shortened(told)


def shortened(texts: list[str]) -> list[str]:
    """The first few, and how many more there are."""
    more = len(texts) - MOST_REASONS
    return [*texts[:MOST_REASONS], *([f"{more} more (see `vmtpy plan`)"] if more > 0 else [])]


def summary(record: _core.RunRecord) -> list[tuple[int, str]]:
    """A run in a few lines for the log, with their levels."""
    lines = [(WARNING, one) for one in record.warnings]
    count = len(record.filesystems)
    if record.outcome == _core.Outcome.RELEASED and not count:
        lines.append((INFO, "nothing was frozen, as the host asked"))
    elif record.outcome == _core.Outcome.RELEASED:
        held = (record.all_thawed - record.first_freeze) * 1000
        freezing = (record.all_frozen - record.first_freeze) * 1000
        text = (
            f"quiesced: {count} filesystem{'s' * (count != 1)} held for {held:.1f} ms, "
            f"frozen after {freezing:.1f} ms"
        )
        lines += [(INFO, text), *partial(record)]
    else:
        text = f"not quiesced ({record.outcome.name.lower()}): {record.error}"
        lines.append((ERROR, text))
    return lines


def partial(record: _core.RunRecord) -> list[tuple[int, str]]:
    """What a successful snapshot does not hold in a consistent state, in lines for the log."""
    missed = [one for one in record.left_out if one.cause not in WANTED]
    wanted = [one for one in record.left_out if one.cause in WANTED]
    lines = []
    for level, left_out, text in (
        (WARNING, missed, "the snapshot is partial: writable, but not frozen"),
        (INFO, wanted, "not frozen, as configured or asked for"),
    ):
        if left_out:
            names = [f"{one.path} ({one.type}: {one.reason})" for one in left_out]
            lines.append((level, f"{text}: {'; '.join(shortened(names))}"))
    return lines
