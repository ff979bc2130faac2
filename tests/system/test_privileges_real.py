"""What `vmtpy run` has given up while it holds a filesystem frozen; hooks have not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support.freezing import guardians_of
from support.guest import running_guest
from support.hooks import write_script
from support.loop import loop_mount, require_program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.guest import Guest
    from support.loop import LoopMount

NUMBERS = {
    "dac_override": 1,
    "dac_read_search": 2,
    "kill": 5,
    "net_bind_service": 10,
    "ipc_lock": 14,
    "sys_rawio": 17,
    "sys_ptrace": 19,
    "sys_admin": 21,
    "sys_resource": 24,
    "sys_time": 25,
}
HOST = {"ipc_lock", "sys_rawio", "net_bind_service"}
FREEZE = {"ipc_lock", "sys_admin"}
SCOUT = {"ipc_lock", "dac_read_search", "sys_ptrace"}
CONDUCTOR = {*FREEZE, *SCOUT, "dac_override", "sys_resource"}
MAIN = {*HOST, *SCOUT, "dac_override", "sys_time", "kill"}
NATIVE = {
    "vmtpy-loop": HOST,
    "vmtpy-freeze": CONDUCTOR,
    "vmtpy-fs": {*FREEZE, "dac_read_search"},
    "vmtpy-scout": SCOUT,
    "vmtpy-guardian": {*FREEZE, "dac_override"},
    "vmtpy-status": HOST,
}


class Thread(NamedTuple):
    """What the kernel says of one."""

    effective: int
    permitted: int
    inheritable: int
    ambient: int
    no_new_privileges: bool
    filters: int  # of system calls


@pytest.fixture
def mount() -> Iterator[LoopMount]:
    with loop_mount("ext4") as mount:
        yield mount


def read(status: Path) -> tuple[str, dict[str, str]]:
    facts = dict(re.findall(r"^(\w+):\s+(\S+)", status.read_text(), re.M))
    return facts["Name"], facts


def look_at(process: int) -> dict[str, Thread]:
    """The threads of a process by their names. Python's second one answers `vmtpy status`."""
    found = {}
    for task in sorted(Path(f"/proc/{process}/task").iterdir(), key=lambda entry: int(entry.name)):
        name, facts = read(task / "status")
        if not name.startswith("vmtpy-"):
            name = "main" if int(task.name) == process else "vmtpy-status"
        sets = [int(facts[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")]
        found[name] = Thread(*sets, facts["NoNewPrivs"] == "1", int(facts["Seccomp_filters"]))
    return found


def threads_of(guest: Guest) -> dict[str, Thread]:
    """All threads while frozen, the guardian's too."""
    [guardian] = guardians_of(guest.pid)
    return {**look_at(guest.pid), **look_at(guardian)}


def bounding_set() -> int:
    return int(read(Path("/proc/self/status"))[1]["CapBnd"], 16)


def mask(names: set[str]) -> int:
    """As far as there are such rights to be had here."""
    return sum(1 << NUMBERS[name] for name in names) & bounding_set()


def give_up_the_snapshot(guest: Guest) -> None:
    assert guest.command("vmbackup.snapshotDone") == b"OK "
    guest.done()


def test_while_frozen_every_thread_has_what_its_role_needs_and_no_more(
    mount: LoopMount, tmp_path: Path
) -> None:
    config = f'[status]\nsocket = "{tmp_path}/status"\n'
    with running_guest([mount], tmp_path / "log", config, "", "--log-level", "debug") as guest:
        guest.freeze()
        found = threads_of(guest)
        give_up_the_snapshot(guest)
        guest.until(lambda: "capabilities of the main thread: cap_dac_override" in guest.text())
    main = found.pop("main")
    filters = main.filters + 1  # the emulated host may have one of its own
    assert found == {
        name: Thread(mask(names), mask(names), 0, 0, no_new_privileges=True, filters=filters)
        for name, names in NATIVE.items()
    }
    reserve = mask(MAIN | CONDUCTOR)
    assert main == Thread(mask(MAIN), reserve, 0, 0, no_new_privileges=False, filters=main.filters)


@pytest.mark.parametrize("inside", ["", "setpriv --no-new-privs"])
def test_hooks_and_power_actions_have_all_rights_of_root(
    inside: str, mount: LoopMount, tmp_path: Path
) -> None:
    """Also where nobody gets more by an exec than the agent has, as under the unit."""
    require_program("setpriv")
    told = tmp_path / "told"
    script = f"grep CapEff /proc/self/status >>{told}"
    hooks = tmp_path / "hooks.d"
    hooks.mkdir(mode=0o755)
    write_script(hooks / "10-tell", script)
    config = f'[hooks]\ndirectory = "{hooks}"\n[power]\nhalt = ["sh", "-c", "{script}"]\n'
    with running_guest([mount], tmp_path / "log", config, inside) as guest:
        guest.freeze()
        give_up_the_snapshot(guest)
        assert guest.command("OS_Halt") == b"OK "
        guest.until(lambda: told.read_text().count("\n") == 3)
    assert told.read_text() == f"CapEff:\t{bounding_set():016x}\n" * 3


def test_where_others_code_runs_python_keeps_its_capabilities(
    mount: LoopMount, tmp_path: Path
) -> None:
    config = "[hooks]\nentry_points = true\n"
    with running_guest([mount], tmp_path / "log", config) as guest:
        guest.freeze()
        found = threads_of(guest)
        give_up_the_snapshot(guest)
    assert found["main"].effective == bounding_set()
    assert found["vmtpy-loop"].permitted == mask(HOST)
    assert found["vmtpy-loop"].filters == found["main"].filters + 1
