"""The ptrace host, used from Python: CPUID both ways, detaching, and other people's children."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from support.emulation import TIMEOUT, compile_c, require_ptrace
from support.patience import PATIENCE

from vmtpy._core import SteadyClock
from vmtpy._host import CpuidMethod, Device, TrapHost
from vmtpy.errors import SystemCallError

GUESTS = Path(__file__).parent / "guests"


@pytest.fixture(scope="module", autouse=True)
def _ptrace() -> None:
    require_ptrace()


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(compile_c(GUESTS / "guest.c", tmp_path_factory.mktemp("guest")))


def make_host(*command: str, cpuid: CpuidMethod = CpuidMethod.FAULT) -> TrapHost:
    return TrapHost(Device(SteadyClock()), command, cpuid=cpuid)


def run(host: TrapHost) -> int:
    host.start()
    assert host.wait(time.monotonic() + TIMEOUT)
    return os.waitstatus_to_exitcode(host.wait_status())


def test_cpuid_is_answered_by_overwriting_it_where_the_processor_cannot_fault(guest: str) -> None:
    host = make_host(guest, "cpuid", cpuid=CpuidMethod.PATCH)
    assert run(host) == 0
    assert host.cpuid_answered() == CpuidMethod.PATCH


def test_cpuid_is_left_alone_on_request(guest: str) -> None:
    host = make_host(guest, "cpuid", cpuid=CpuidMethod.NONE)
    assert run(host) == 1
    assert host.cpuid_answered() == CpuidMethod.NONE


def test_a_program_that_cannot_be_started_is_an_error_that_names_it() -> None:
    before = children()
    with pytest.raises(SystemCallError) as caught:
        make_host("/nonexistent/program").start()
    assert children() <= before  # an earlier test's may end
    assert caught.value.call == "exec"
    assert caught.value.filename == "/nonexistent/program"
    assert caught.value.errno == 2


# Runs the program $0 in the mode $1, with the files of the directory $2.
SCRIPT = 'exec "$0" "$1" < "$2/in" > "$2/out"'


def let_go(guest: str, mode: str, directory: Path, after: float = 0.0) -> int:
    """Starts the guest and lets it go when it is ready, before it gets its line.

    Returns its wait status.
    """
    os.mkfifo(directory / "in")
    (directory / "out").touch()
    host = make_host("sh", "-c", SCRIPT, guest, mode, str(directory), cpuid=CpuidMethod.PATCH)
    host.start()
    with (directory / "in").open("wb", buffering=0) as stdin:
        pid = host.process()
        wait_until(lambda: b"ready" in (directory / "out").read_bytes())
        time.sleep(after)
        del host
        gc.collect()
        stdin.write(b"\n")
    return os.waitpid(pid, 0)[1]


def test_a_program_that_is_let_go_runs_on_and_has_its_cpuid_back(
    guest: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    fifo = tmp_path / "in"
    os.mkfifo(fifo)
    script = f"exec {guest} cpuid_later < {fifo} > {out}"
    host = make_host("sh", "-c", script)
    host.start()
    with fifo.open("wb", buffering=0) as stdin:
        pid = host.process()
        wait_until(lambda: out.exists() and b"ready" in out.read_bytes())
        del host
        gc.collect()
        assert "TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text()
        stdin.write(b"\n")
        wait_until(lambda: b"later" in out.read_bytes())
    assert out.read_bytes() == b"ready: good\nlater: good\n"


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("first_thread_ends", b"ready: good\nlater: good\n"),
        ("vfork_later", b"ready: good\nlater: good\nparent: good\n"),
    ],
)
def test_a_program_with_a_thread_that_cannot_stop_is_let_go(
    guest: str, tmp_path: Path, mode: str, said: bytes
) -> None:
    assert let_go(guest, mode, tmp_path) == 0
    assert (tmp_path / "out").read_bytes() == said


def test_children_that_are_born_while_a_program_is_let_go_are_let_go_too(
    guest: str, tmp_path: Path
) -> None:
    """Their CPUID would otherwise stay overwritten, and kill them."""
    for turn in range(10):
        directory = tmp_path / str(turn)
        directory.mkdir()
        assert let_go(guest, "births", directory, after=0.01 * turn) == 0


def test_the_children_of_other_threads_are_never_stolen(guest: str) -> None:
    """The tracer waits for any child, but only of its own thread."""
    wrong: list[int] = []

    def run_children() -> None:
        for number in range(20):
            command = ["sh", "-c", f"exit {number}"]
            if subprocess.run(command, check=False, timeout=TIMEOUT).returncode != number:
                wrong.append(number)

    host = make_host(guest, "threads")
    thread = threading.Thread(target=run_children)
    thread.start()
    assert run(host) == 0
    thread.join(TIMEOUT)
    assert not thread.is_alive()
    assert wrong == []


def test_two_programs_at_once_each_have_their_own_host(guest: str) -> None:
    hosts = [make_host(guest, "threads") for _ in range(2)]
    for host in hosts:
        host.start()
    for host in hosts:
        assert host.wait(time.monotonic() + TIMEOUT)
        assert host.wait_status() == 0


def test_the_end_of_the_program_is_told_before_the_end_of_its_descendants(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    host = make_host("sh", "-c", f"(read line < {fifo}) & exit 3")
    host.start()
    assert host.wait_program(time.monotonic() + TIMEOUT)
    assert os.waitstatus_to_exitcode(host.wait_status()) == 3
    assert not host.wait(time.monotonic() + 0.05)
    fifo.write_bytes(b"\n")
    assert host.wait(time.monotonic() + TIMEOUT)


def test_a_stun_stops_every_thread_and_descendant(tmp_path: Path) -> None:
    files = [tmp_path / "one", tmp_path / "two"]
    loops = " & ".join(f"(while :; do echo >> {file}; done)" for file in files)
    host = make_host("sh", "-c", f"{loops} & wait")
    host.start()

    def sizes() -> list[int]:
        return [file.stat().st_size if file.exists() else 0 for file in files]

    def all_go_on(since: list[int]) -> bool:
        return all(now > before for now, before in zip(sizes(), since, strict=True))

    wait_until(lambda: all_go_on([0, 0]))
    try:
        assert not host.stun(time.monotonic()), "it says nothing to its host"
        wait_until(lambda: not processes_running(host.process()))
        stopped = sizes()
        time.sleep(0.05)
        assert sizes() == stopped
        host.resume()
        wait_until(lambda: all_go_on(stopped))
    finally:
        for process in [*descendants(host.process()), host.process()]:
            os.kill(process, signal.SIGKILL)
        assert host.wait(time.monotonic() + TIMEOUT)


def test_a_stun_of_a_program_that_has_ended_returns() -> None:
    host = make_host("true")
    assert run(host) == 0
    assert not host.stun(time.monotonic() + TIMEOUT)
    host.resume()


def test_a_stunned_program_can_be_let_go(tmp_path: Path) -> None:
    file = tmp_path / "file"
    host = make_host("sh", "-c", f"sleep 0.01; while [ ! -e {file}.end ]; do echo >> {file}; done")
    host.start()
    pid = host.process()
    wait_until(file.exists)
    host.stun(time.monotonic())
    before = file.stat().st_size
    del host
    gc.collect()
    assert "TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text()
    wait_until(lambda: file.stat().st_size > before)
    Path(f"{file}.end").touch()
    os.waitpid(pid, 0)


def descendants(process: int) -> list[int]:
    """The children of a process, and theirs."""
    found = []
    for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
        found += [int(child), *descendants(int(child))]
    return found


def processes_running(process: int) -> bool:
    """One of a process and its descendants is not stopped by its tracer."""
    states = [
        Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        for pid in [process, *descendants(process)]
    ]
    return any(state != "t" for state in states)


def children() -> set[str]:
    """The pids of all children of all threads of this process."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {pid for task in tasks for pid in task.read_text().split()}


def wait_until(condition: object) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.005)
