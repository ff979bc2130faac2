"""Checks of what would be frozen, of what hinders a freeze, and of hooks."""

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
from vmtpy.hooks.directory import executables, why_not
from vmtpy.hooks.interpreter import interpreter_trouble
from vmtpy.hooks.trust import distrust

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmtpy.config import Config

Planner = Callable[[], _core.Plan]
# Where the kernel lets a writer wait for the end of a freeze: /proc/PID/wchan, by version.
FREEZE_WAITS = ("sb_start_write", "percpu_rwsem_wait", "percpu_down_read", "sb_start_pagefault")
LOOKS, BETWEEN = 5, 0.1  # seconds: a writer that waits for something else moves on
# Nobody expects these to be frozen.
EXPECTED = (_core.Cause.PSEUDO, _core.Cause.MEMORY)
UNTOLD = "whether others have frozen a filesystem cannot be told while nobody writes to it"
THAW = "`vmtpy thaw`; what another program froze, that program or `fsfreeze -u` thaws"


def check_plan(plan: Planner) -> Iterator[Finding]:
    try:
        found = plan()
    except VmtError as error:
        yield Finding("plan", "problem", str(error), error.hint or "see `vmtpy plan`")
        return
    frozen = [one for one in found.filesystems if not one.sync_only]
    if frozen:
        names = ", ".join(one.path for one in frozen[:5]) + (", …" if len(frozen) > 5 else "")
        yield Finding("plan", "ok", f"{len(frozen)} to be frozen: {names}")
    else:
        text = "there is no filesystem to freeze"
        yield Finding("plan", "problem", text, "`vmtpy plan` gives the reason for each")
    for one in found.filesystems:
        if one.sync_only:
            yield Finding("plan", "note", f"{one.path} ({one.type}) can only be synced, not frozen")
    for left in found.left_out:
        if left.cause not in EXPECTED:
            text = f"{left.path} ({left.type}) is not frozen: {left.reason}"
            yield Finding("plan", "note", text)
    for note in found.notes:
        yield Finding("plan", "note", note)


def check_own_files(plan: Planner, files: dict[str, str]) -> Iterator[Finding]:
    """`files`: what the agent writes, by what it is. On a frozen filesystem it would wait."""
    devices: dict[int, str] = {}
    try:
        frozen = [one.path for one in plan().filesystems if not one.sync_only]
    except VmtError:  # said by check_plan()
        return
    for path in frozen:
        with suppress(OSError):  # unmounted meanwhile
            devices[Path(path).stat().st_dev] = path
    for what, name in files.items():
        file = Path(name)
        while not file.exists() and file != file.parent:
            file = file.parent
        where = devices.get(file.stat().st_dev)
        if where is not None:
            text = f"{what} {name} lies on {where}, which is frozen"
            remedy = "nothing: the agent writes there before and after a freeze only"
            yield Finding("own files", "note", text, remedy)


def check_frozen(run: Path, proc: Path, *, expected: bool) -> Iterator[Finding]:
    """Signs of a filesystem that is frozen already; `expected` if a snapshot is under way."""
    markers = sorted(run.glob("freeze-*")) if run.is_dir() else []
    waiting = [] if expected else waiting_for_thaw(proc)
    for marker in markers:
        paths = marked(marker)
        if not marker.exists():  # all has been thawed meanwhile
            continue
        if expected or is_held(marker, proc):
            text = f"a freeze of vmtpy's is under way: {', '.join(paths)}"
            yield Finding("frozen", "note", text)
        else:
            text = f"the marker {marker} says that {', '.join(paths)} may be frozen"
            yield Finding("frozen", "problem", text, "`vmtpy thaw`")
    if waiting:
        names = ", ".join(f"{name} ({process})" for process, name in waiting[:5])
        text = f"waiting as for a frozen filesystem: {names}"
        yield Finding("frozen", "problem", text, THAW)
    elif not markers:
        text = "nothing is left of a freeze of vmtpy's, and no process waits for a thaw"
        yield Finding("frozen", "ok", f"{text}; {UNTOLD}")


def marked(marker: Path) -> list[str]:
    """The mount points that a marker names."""
    try:
        lines = marker.read_text("utf-8", "replace").splitlines()
    except OSError as error:
        return [f"({error.strerror})"]
    return [one.split(maxsplit=2)[2] for one in lines if one.startswith("filesystem ")]


def is_held(marker: Path, proc: Path) -> bool:
    """Whether the process that wrote a marker still lives: the same number, the same start."""
    try:
        words = marker.read_text().partition("\nprocess ")[2].split()
        stat = (proc / words[0] / "stat").read_text()
    except (OSError, IndexError):
        return False
    return stat.rpartition(")")[2].split()[19] == words[1]


def waiting_for_thaw(proc: Path) -> list[tuple[int, str]]:
    """Processes that wait in the kernel where writers wait for a thaw, again and again."""
    found = None
    for look in range(LOOKS):
        if look:
            time.sleep(BETWEEN)
        now = {(process, name) for process, name, _ in processes(proc) if waits(proc, process)}
        found = now if found is None else found & now
        if not found:
            break
    return sorted(found or ())


def waits(proc: Path, process: int) -> bool:
    try:
        wchan = (proc / str(process) / "wchan").read_text()
    except OSError:
        return False
    return any(one in wchan for one in FREEZE_WAITS)


def check_hooks(config: Config) -> Iterator[Finding]:
    complaints = list(legacy.complaints(config.hooks))
    for one in complaints:
        yield Finding(one.check, "problem", one.text, one.remedy)
    skipped: list[str] = []
    try:
        count = len(executables(config.hooks, skipped.append))
    except HookError as error:
        remedy = "chown root, chmod go-w: hooks run as root"
        yield Finding("hooks", "problem", str(error), remedy)
        return
    good = not any(one.check == "hooks" for one in complaints)
    for path in hook_files(config):
        reason = trouble_of(path)
        if reason:
            good = False
            remedy = "chmod 755, chown root"
            if "interpreter" in reason:
                remedy = "install the interpreter, or correct the first line"
            yield Finding("hooks", "problem", f"{path}: {reason}", remedy)
    if config.postgresql.dsn and not has_psycopg():
        good = False
        text = "[postgresql] is configured, but psycopg is not installed"
        yield Finding("hooks", "problem", text, "pip install 'vmtpy[postgresql]'")
    if good:
        yield Finding("hooks", "ok", f"{count} executables" if count else "none")


def hook_files(config: Config) -> Iterator[Path]:
    if config.hooks.legacy:
        yield from (
            Path(one) for one in (legacy.PRE_FREEZE, legacy.POST_THAW) if os.path.lexists(one)
        )
    if config.hooks.directory and Path(config.hooks.directory).is_dir():
        yield from sorted(Path(config.hooks.directory).iterdir())


def trouble_of(path: Path) -> str:
    """Why a hook will not run although somebody wants it to, "" if it will."""
    reason = why_not(path)
    if reason in ("hidden", "the name of a backup copy"):
        return ""
    try:
        return reason or distrust(str(path)) or interpreter_trouble(str(path))
    except OSError as error:
        return str(error.strerror)


def has_psycopg() -> bool:
    from importlib.util import find_spec

    return find_spec("psycopg") is not None
