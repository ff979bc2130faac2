"""Checks of what would be frozen, of what hinders a freeze, and of hooks, for `vmtpy doctor`.

Each check yields Findings. The checks rely on the native plan, on /proc and on the hooks' rules.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vmtpy import _core
from vmtpy.doctor import Finding
from vmtpy.doctor.machine import processes
from vmtpy.errors import VmtError
from vmtpy.hooks import HookError, legacy
from vmtpy.hooks.directory import executables, is_copy, is_hidden, why_not
from vmtpy.hooks.interpreter import interpreter_trouble
from vmtpy.hooks.postgresql import INSTALL
from vmtpy.hooks.trust import distrust

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmtpy.config import Config

Planner = Callable[[], _core.Plan]
# Kernel functions in which a writer waits for a thaw, as /proc/PID/wchan names them.
FREEZE_WAITS = ("sb_start_write", "percpu_rwsem_wait", "percpu_down_read", "sb_start_pagefault")
# A writer that waits for something else leaves wchan's function between two looks.
LOOKS, BETWEEN = 5, 0.1  # number, seconds
# Causes for which nobody expects a filesystem to be frozen.
EXPECTED = (_core.Cause.PSEUDO, _core.Cause.MEMORY)
UNKNOWN = (
    "a filesystem that another program has frozen cannot be detected until a process writes to it"
)
THAW = "`vmtpy thaw`; a filesystem that another program has frozen: `fsfreeze -u`"


def check_plan(plan: Planner) -> Iterator[Finding]:
    try:
        made = plan()
    except VmtError as error:
        yield Finding("plan", "problem", str(error), error.hint or "see `vmtpy plan`")
        return
    frozen = [filesystem.path for filesystem in made.filesystems if not filesystem.sync_only]
    if frozen:
        names = ", ".join(frozen[:5]) + (", …" if len(frozen) > 5 else "")
        yield Finding("plan", "ok", f"{len(frozen)} to be frozen: {names}")
    else:
        text = "there is no filesystem to freeze"
        yield Finding("plan", "problem", text, "`vmtpy plan` gives the reason for each filesystem")
    for filesystem in made.filesystems:
        if filesystem.sync_only:
            text = f"{filesystem.path} ({filesystem.type}) can only be synced, not frozen"
            yield Finding("plan", "note", text)
    for left in made.left_out:
        if left.cause not in EXPECTED:
            text = f"{left.path} ({left.type}) is not frozen: {left.reason}"
            yield Finding("plan", "note", text)
    for note in made.notes:
        yield Finding("plan", "note", note)


def check_own_files(plan: Planner, files: dict[str, str]) -> Iterator[Finding]:
    """Checks whether files of the agent lie on a filesystem that will be frozen.

    Args:
        plan: makes the plan.
        files: what each file is → its path.
    """
    devices: dict[int, str] = {}
    try:
        made = plan()
    except VmtError:  # check_plan() reports it
        return
    for filesystem in made.filesystems:
        if not filesystem.sync_only and not filesystem.behind_server:
            with suppress(OSError):  # the filesystem has been unmounted meanwhile
                devices[Path(filesystem.path).stat().st_dev] = filesystem.path
    for what, name in files.items():
        file = Path(name)
        while not file.exists() and file != file.parent:
            file = file.parent
        where = devices.get(file.stat().st_dev)
        if where is not None:
            text = f"{what} {name} lies on {where}, which will be frozen"
            remedy = "nothing need be done: the agent writes there only before and after a freeze"
            yield Finding("own files", "note", text, remedy)


def check_frozen(run: Path, proc: Path, *, expected: bool) -> Iterator[Finding]:
    """Checks for signs of a filesystem that is frozen. `expected`: a snapshot is in progress."""
    markers = sorted(run.glob("freeze-*")) if run.is_dir() else []
    waiting = [] if expected else waiting_for_thaw(proc)
    for marker in markers:
        paths = marked(marker)
        if not marker.exists():  # the filesystems have been thawed meanwhile
            continue
        if expected or is_held(marker, proc):
            text = f"vmtpy is freezing {', '.join(paths)} at this moment"
            yield Finding("frozen", "note", text)
        else:
            text = f"a dead vmtpy may have left {', '.join(paths)} frozen (its marker is {marker})"
            yield Finding("frozen", "problem", text, "`vmtpy thaw`")
    if waiting:
        names = ", ".join(f"{name} ({process})" for process, name in waiting[:5])
        text = f"processes wait as if for a frozen filesystem: {names}"
        yield Finding("frozen", "problem", text, THAW)
    elif not markers:
        text = "vmtpy has left nothing frozen, and no process waits for a thaw"
        yield Finding("frozen", "ok", f"{text}; {UNKNOWN}")


def marked(marker: Path) -> list[str]:
    """The mount points that a marker names."""
    try:
        lines = marker.read_text("utf-8", "replace").splitlines()
    except OSError as error:
        return [f"({error.strerror})"]
    return [line.split()[2] for line in lines if line.startswith("filesystem ")]


def is_held(marker: Path, proc: Path) -> bool:
    """Whether the process that wrote a marker lives: its number and its start time are equal."""
    try:
        words = marker.read_text("utf-8", "replace").partition("\nprocess ")[2].split()
        stat = (proc / words[0] / "stat").read_text("utf-8", "replace")
    except (OSError, IndexError):
        return False
    return stat.rpartition(")")[2].split()[19] == words[1]


def waiting_for_thaw(proc: Path) -> list[tuple[int, str]]:
    """Processes that wait in one of FREEZE_WAITS at each of several looks: number and name."""
    waiting = None
    for look in range(LOOKS):
        if look:
            time.sleep(BETWEEN)
        now = {(process, name) for process, name, _ in processes(proc) if waits(proc, process)}
        waiting = now if waiting is None else waiting & now
        if not waiting:
            break
    return sorted(waiting or ())


def waits(proc: Path, process: int) -> bool:
    try:
        wchan = (proc / str(process) / "wchan").read_text()
    except OSError:
        return False
    return any(function in wchan for function in FREEZE_WAITS)


def check_hooks(config: Config) -> Iterator[Finding]:
    complaints = list(legacy.complaints(config.hooks))
    for complaint in complaints:
        yield Finding(complaint.check, "problem", complaint.text, complaint.remedy)
    skipped: list[str] = []
    try:
        count = len(executables(config.hooks, skipped.append))
    except HookError as error:
        remedy = "`chown root` and `chmod go-w` it, because hooks run as root"
        yield Finding("hooks", "problem", str(error), remedy)
        return
    good = not any(complaint.check == "hooks" for complaint in complaints)
    for path in hook_files(config):
        reason, remedy = trouble_of(path)
        if reason:
            good = False
            yield Finding("hooks", "problem", f"{path}: {reason}", remedy)
    if config.postgresql.dsn and not has_psycopg():
        good = False
        text = "[postgresql] is configured, but psycopg is not installed"
        yield Finding("hooks", "problem", text, INSTALL)
    if good:
        yield Finding("hooks", "ok", f"{count} executable{'s' * (count != 1)}" if count else "none")


def hook_files(config: Config) -> Iterator[Path]:
    if config.hooks.legacy:
        yield from (
            Path(name) for name in (legacy.PRE_FREEZE, legacy.POST_THAW) if os.path.lexists(name)
        )
    directories = [legacy.BACKUP_SCRIPTS] if config.hooks.legacy else []
    for directory in [*directories, config.hooks.directory]:
        if directory and Path(directory).is_dir():
            yield from sorted(Path(directory).iterdir())


def trouble_of(path: Path) -> tuple[str, str]:
    """Why a file in the hooks directory will not run, and the remedy.

    The reason is "" if the file will run, or is not meant to run.
    """
    remedy = "`chmod 755` and `chown root` it"
    if is_hidden(path.name) or is_copy(path.name) or path.is_dir():
        return "", ""
    try:
        if reason := why_not(path) or distrust(str(path)):
            return reason, remedy
        reason = interpreter_trouble(str(path))
    except OSError as error:
        return str(error.strerror), remedy
    return reason, "install the interpreter, or correct the first line of the hook"


def has_psycopg() -> bool:
    from importlib.util import find_spec

    return find_spec("psycopg") is not None
