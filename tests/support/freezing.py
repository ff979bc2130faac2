"""A process that freezes filesystems and holds them, for tests that kill it.

It prints "frozen". When it gets a line on stdin, or when the session ends by itself, it prints the
outcome and the error, and the record as JSON. A line before the freeze makes it give up. Tests find
its guardian by name and parent.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


FIFREEZE = 0xC0045877


class FreezingProcess:
    """A running one; ended by kill if it still runs at the end of the `with`.

    Args:
        paths: mount points to freeze.
        run_directory: of the marker.
        cwd: its working directory.
        wrapper: a command that runs it.
        stops: the file of its StoppingSystem, if it is to have one.
        options: further FreezeOptions, enumerators by their names; for `stuck` seconds, once it
            is frozen, the interpreter does nothing and holds the GIL.
    """

    def __init__(
        self,
        paths: list[Path],
        run_directory: Path,
        *,
        cwd: Path = Path("/"),
        wrapper: Sequence[str] = (),
        stops: Path | None = None,
        **options: float | str,
    ) -> None:
        facts = {"paths": [str(path) for path in paths], "run_directory": str(run_directory)}
        if stops is not None:
            facts["stops"] = str(stops)
        self.process = subprocess.Popen(
            [*wrapper, sys.executable, __file__, json.dumps({**facts, **options})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=cwd,
        )

    def __enter__(self) -> FreezingProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.wait(timeout=60)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self) -> str:
        """The next line of output; "" at the end."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def silent(self) -> bool:
        """Whether there is no unread output."""
        assert self.process.stdout is not None
        return not select.select([self.process.stdout], [], [], 0)[0]

    def release(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("release\n")
        self.process.stdin.flush()

    def record(self) -> dict[str, Any]:
        """What its session's record says, when that has ended. Its other lines are skipped."""
        while not (line := self.line()).startswith("{"):
            assert line, "it has ended without a record"
        return dict(json.loads(line))

    def guardian(self) -> int:
        """The process id of its guardian."""
        [found] = guardians_of(self.pid)
        if "address" in os.environ.get("VMTPY_SANITIZE", ""):  # it is looked over, too
            assert "libasan" in Path(f"/proc/{found}/maps").read_text()
        return found


def guardians_of(parent: int) -> list[int]:
    """The pids of all living guardians that are children of `parent`.

    A test runner that is process 1 inherits the dead ones of agents that were killed, as zombies.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            left, _, right = (entry / "stat").read_text().rpartition(")")
        except OSError:
            continue
        state, of = right.split()[:2]
        if left.endswith("(vmtpy-guardian") and int(of) == parent and state != "Z":
            found.append(int(entry.name))
    return found


def exists(pid: int) -> bool:
    """Whether the process exists, even as a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def state_of(pid: int) -> str:
    """The letter of the process's state in /proc: "T" for stopped, "Z" for a zombie, "" if it is
    gone.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def in_freeze(pid: int) -> bool:
    """Whether one of the process's threads is in FIFREEZE."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        call = (thread / "syscall").read_text().split()
        if len(call) > 2 and int(call[2], 16) == FIFREEZE:
            return True
    return False


def await_gone(pid: int, timeout: float = 60) -> None:
    """Waits until a process that is not our child has ended, or is a zombie of its parent."""
    deadline = time.monotonic() + timeout
    while exists(pid):
        if state_of(pid) in ("Z", ""):
            return
        assert time.monotonic() < deadline, f"process {pid} does not end"
        time.sleep(0.001)


def main(facts: dict[str, object]) -> None:
    from vmtpy import _core
    from vmtpy.record import as_dict

    paths = facts.pop("paths")
    assert isinstance(paths, list)
    stuck = int(float(str(facts.pop("stuck", 0))))
    machine = _core.real_system()
    if "stops" in facts:
        from vmtpy import _host

        machine = _host.StoppingSystem(machine, str(facts.pop("stops")))
    if "converge" in facts:
        facts["converge"] = getattr(_core.Converge, str(facts["converge"]))
    if "already_frozen" in facts:
        facts["already_frozen"] = getattr(_core.AlreadyFrozen, str(facts["already_frozen"]))
    plan = _core.make_plan(_core.PlanRequest(include=paths))
    session = _core.FreezeSession(
        machine,
        None,
        plan.filesystems,
        _core.FreezeOptions(**facts),  # type: ignore[arg-type]
    )
    signal.signal(signal.SIGCHLD, lambda *_: print("SIGCHLD", flush=True))
    session.start()
    poll = select.poll()
    poll.register(0, select.POLLIN)
    frozen = False
    while (phase := session.phase()) != _core.Phase.ENDED:
        if phase == _core.Phase.FROZEN and not frozen:
            frozen = True
            print("frozen", flush=True)
            if stuck:
                ctypes.PyDLL(None).sleep(stuck)
        if poll.poll(5):
            session.release()
            poll.unregister(0)
    record = session.record()
    print(f"{record.outcome.name} {record.error}", flush=True)
    print(json.dumps(as_dict(record)), flush=True)
    sys.stdin.read()  # stays, as an agent does, until it is ended


def write_marker(directory: Path, *entries: str) -> Path:
    """A marker of a process that is dead; an entry is "major:minor", path and type."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    path = directory / "freeze-1-1"
    lines = "".join(f"filesystem {entry}\n" for entry in entries)
    path.write_text(f"vmtpy freeze marker 1\nboot {boot}\nprocess {(1 << 22) + 1} 1\n{lines}end\n")
    return path


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
