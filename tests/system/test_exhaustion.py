"""A machine that has no more memory, processes or threads to give, while a backup is under way."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.cgroup import control_group
from support.freezing import await_gone, guardians_of
from support.guest import running_guest
from support.hooks import write_script
from support.loop import loop_mount
from support.patience import PATIENCE, await_true, fastest
from support.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.cgroup import ControlGroup
    from support.guest import Guest
    from support.loop import LoopMount

MEMORY = 64 << 20  # of the group in which agent and hog compete
SILENT = '[status]\nsocket = ""\n'
IDLE = 2  # threads of an agent that tells no status: Python and the native loop

# Takes memory until somebody of its group is killed, itself perhaps.
HOG = """
import os, sys
def read_events():
    with open(sys.argv[2]) as events:
        return [line for line in events if line.startswith("oom_kill ")]
with open(sys.argv[1], "w") as group:
    group.write(str(os.getpid()))
before = read_events()
taken = []
while read_events() == before:
    taken.append(b"x" * (1 << 20))
"""


@pytest.fixture
def mount() -> Iterator[LoopMount]:
    with loop_mount("ext4") as mount:
        yield mount


def back_up(guest: Guest) -> None:
    """A good one."""
    guest.entries.clear()
    guest.freeze()
    assert guest.command("vmbackup.snapshotDone") == b"OK "
    guest.done()
    assert not any(event.startswith((b"req.error", b"req.aborted")) for event in guest.events())


def fail(guest: Guest) -> bytes:
    """A backup that cannot be; what the host reads."""
    guest.entries.clear()
    assert guest.command("vmbackup.start 1") == b"OK "
    guest.done()
    assert not any(event.startswith(b"prov.snapshotCommit") for event in guest.events())
    return guest.events()[-2]


@pytest.fixture
def memory() -> Iterator[ControlGroup]:
    with control_group("memory") as group:
        group.limit(MEMORY)
        yield group


@pytest.fixture
def threads() -> Iterator[ControlGroup]:
    with control_group("pids") as group:
        yield group


def inside(group: ControlGroup) -> str:
    """Words in front of the agent's command that put it into the group."""
    return f"sh -c 'echo $$ >{group.path}/cgroup.procs && exec \"$@\"' sh"


def run_out_of_memory(guest: Guest, group: ControlGroup, writer: Writer) -> float:
    """The kernel's OOM killer ends the frozen agent. Seconds until writers went on."""
    [guardian] = guardians_of(guest.pid)
    if has_sys_resource():
        assert Path(f"/proc/{guardian}/oom_score_adj").read_text() == "-1000\n"
    Path(f"/proc/{guest.pid}/oom_score_adj").write_text("1000")  # rather than the hog
    before, deaths = writer.acknowledged, group.deaths()
    files = [str(group.path / name) for name in ("cgroup.procs", group.events)]
    with subprocess.Popen([sys.executable, "-IS", "-c", HOG, *files]):
        deadline = time.monotonic() + PATIENCE
        while group.deaths() == deaths:  # the kernel counts them when it kills
            alive = time.monotonic()
            assert alive < deadline
        writer.wait_for(before + 2)
        waited = time.monotonic() - alive
    await_gone(guardian)
    return waited


def test_an_agent_ended_by_the_oom_killer_while_frozen_leaves_nothing_frozen(
    mount: LoopMount, memory: ControlGroup, tmp_path: Path
) -> None:
    with Writer(mount.path / "log", sync=False) as writer:

        def die() -> float:
            """Seconds until writers go on."""
            with running_guest([mount], tmp_path / "log", "", inside(memory)) as guest:
                guest.freeze()
                waited = run_out_of_memory(guest, memory, writer)
                assert guest.host.wait(time.monotonic() + PATIENCE)
                assert os.WTERMSIG(guest.host.wait_status()) == signal.SIGKILL
            assert not mount.thaw()
            return waited

        assert fastest(die, 0.1) < 0.1


@pytest.mark.parametrize(
    ("spare", "missing"), [(0, b"pthread_create"), (1, b"pthread_create"), (3, b"fork")]
)
def test_where_no_thread_or_process_can_be_made_nothing_is_frozen_and_the_next_backup_works(
    spare: int, missing: bytes, mount: LoopMount, threads: ControlGroup, tmp_path: Path
) -> None:
    """A session starts its own thread, one for the filesystem, a scout, and then the guardian."""
    with (
        Writer(mount.path / "log") as writer,
        running_guest([mount], tmp_path / "log", SILENT, inside(threads)) as guest,
    ):
        back_up(guest)
        await_threads(threads, IDLE)
        threads.limit(IDLE + spare)
        told = fail(guest)
        assert told == b"req.error 3 " + missing + b": Resource temporarily unavailable"
        writer.wait_for_more()
        assert not mount.thaw()
        await_threads(threads, IDLE)
        threads.limit(None)
        back_up(guest)


def test_a_hook_that_cannot_be_started_fails_the_backup_and_the_next_one_works(
    mount: LoopMount, threads: ControlGroup, tmp_path: Path
) -> None:
    hooks = tmp_path / "hooks.d"
    hooks.mkdir(mode=0o755)
    hook = write_script(hooks / "10-one")
    config = f'{SILENT}[hooks]\ndirectory = "{hooks}"\n'
    with running_guest([mount], tmp_path / "log", config, inside(threads)) as guest:
        await_threads(threads, IDLE)
        threads.limit(IDLE)
        told = fail(guest).decode()
        assert told.startswith("req.error 2 ")
        assert str(hook) in told or "10-one" in told
        assert "Resource temporarily unavailable" in told
        threads.limit(None)
        back_up(guest)


def await_threads(group: ControlGroup, number: int) -> None:
    """Waits until that many are left in the group."""
    await_true(lambda: group.threads() == number, group.threads)


def test_an_agent_that_gets_no_more_memory_leaves_nothing_frozen_and_goes_on(
    mount: LoopMount, tmp_path: Path
) -> None:
    """It is given 16 KiB more each time. In the end a backup works, as does one without a limit."""
    told = []
    with Writer(mount.path / "log") as writer, running_guest([mount], tmp_path / "log") as guest:
        while told[-1:] != [b"req.done 0 "]:
            assert len(told) < 400
            limit_memory(guest.pid, 16 * len(told))
            told.append(try_to_back_up(guest))
            limit_memory(guest.pid, None)
            writer.wait_for_more()
            assert not mount.thaw()
        back_up(guest)
    assert any(b"memory" in request for request in told), told


def try_to_back_up(guest: Guest) -> bytes:
    """A backup that may fail; the host's error, or "req.done 0 " alone."""
    guest.entries.clear()
    guest.device.send_command("vmbackup.start 1")
    guest.until(lambda: guest.events()[-1:] in ([b"req.done 0 "], [b"prov.snapshotCommit 0 "]))
    if guest.events()[-1] == b"prov.snapshotCommit 0 ":
        guest.device.send_command("vmbackup.snapshotDone")
        guest.done()
    errors = [event for event in guest.events() if event.startswith((b"req.error", b"req.aborted"))]
    return (errors or guest.events())[-1]


def limit_memory(process: int, spare: int | None) -> None:
    """Lets the process have that many KiB of address space more than now; None: all."""
    status = Path(f"/proc/{process}/status").read_text()
    [size] = re.findall(r"^VmSize:\s+(\d+)", status, re.M)
    _, hard = resource.prlimit(process, resource.RLIMIT_AS)
    soft = hard if spare is None else (int(size) + spare) << 10
    resource.prlimit(process, resource.RLIMIT_AS, (soft, hard))


def has_sys_resource() -> bool:
    status = Path("/proc/self/status").read_text()
    [effective] = re.findall(r"^CapEff:\s+(\w+)", status, re.M)
    return bool(int(effective, 16) >> 24 & 1)
