"""What the pages of the documentation run as root, on a filesystem of the test's: the commands of
docs/emulator.md, the programs of docs/python.md and docs/hooks.md.

/srv of a page is the test's mount, and no agent that a page starts may freeze anything else.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.emulation import emulate, require_low_ports, require_ptrace
from support.loop import loop_mount, require_loop
from support.pages import blocks
from support.patience import PATIENCE
from support.programs import path_with_programs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.emulation import Run
    from support.loop import LoopMount

BACKUP = ("--backup-after", "1", "--end-after-backup")


@pytest.fixture(autouse=True)
def _ptrace() -> None:
    require_ptrace()


@pytest.fixture
def mount() -> Iterator[LoopMount]:
    require_loop()
    with loop_mount() as made:
        made.check_ours()
        yield made


def lines() -> list[str]:
    found = [line for block in blocks("docs/emulator.md", "sh") for line in block.splitlines()]
    assert all(line.startswith("vmtpy emulate ") for line in found)
    return found


def limited(program: str, mount: LoopMount) -> str:
    """A program of a page with an agent that keeps to the mount."""
    whole = ("vmtpy.Agent()", "vmtpy.Agent(vmtpy.Config())")
    assert sum(program.count(page) for page in whole) == 1
    config = (
        "vmtpy.Config(quiesce=__import__('vmtpy.config').config.QuiesceConfig("
        f"include=({str(mount.path)!r},)), "
        "hooks=__import__('vmtpy.config').config.HooksConfig(directory=''))"
    )
    for page in whole:
        program = program.replace(page, f"vmtpy.Agent({config})")
    return program


def run(program: str) -> Run:
    done = emulate(sys.executable, "-c", program, options=BACKUP)
    assert done.code == 0, done.stderr
    return done


def confirmed(done: Run) -> bool:
    """The host was told that all was frozen."""
    events = [line["event"]["name"] for line in done.of_kind("rpci") if line.get("event")]
    return "prov.snapshotCommit" in events


def test_the_commands_of_the_emulators_page_run(mount: LoopMount, tmp_path: Path) -> None:
    require_low_ports()
    environment = path_with_programs(tmp_path)
    answers = 0
    for line in lines():
        assert "vmtpy run" not in line or line.endswith("--include /srv")
        done = subprocess.run(
            ["sh", "-euc", line.replace("/srv", str(mount.path))],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        answers += done.stdout.strip() == "42"
        assert "vmtpy run" not in line or "prov.snapshotCommit" in done.stderr
    assert answers == 2


def test_the_first_program_of_the_page_on_python_runs() -> None:
    program = f"{blocks('docs/python.md', 'python')[0]}\nprint(user_data)"
    done = emulate(
        *(sys.executable, "-c", program),
        options=("--guestinfo", "userdata=aGk=", "--guestinfo", "userdata.encoding=base64"),
    )
    assert done.code == 0, done.stderr
    assert done.stdout == b"b'hi'\n"


def test_its_freeze_runs(mount: LoopMount) -> None:
    program = blocks("docs/python.md", "python")[1]
    assert program.count("/srv") == 1
    program = program.replace("/srv", str(mount.path))
    program = f"def copy_the_disk():\n    print(session.frozen)\n\n{program}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"True\n"


CONNECTION = """
class connection:
    @staticmethod
    @__import__("contextlib").contextmanager
    def locked():
        print("locked", flush=True)
        yield
        print("free", flush=True)
"""


def test_its_agent_runs_with_its_hook(mount: LoopMount) -> None:
    done = run(CONNECTION + limited(blocks("docs/python.md", "python")[2], mount))
    assert done.stdout == b"locked\nfree\n"
    assert confirmed(done)


def test_the_hook_of_the_page_on_hooks_runs(mount: LoopMount) -> None:
    (program,) = blocks("docs/hooks.md", "python")
    done = run(f"{limited(program, mount)}\nagent.run(stop_on=[15])")
    assert done.stdout == b"paused\nrunning\n"
    assert confirmed(done)
