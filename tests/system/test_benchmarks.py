"""The benchmarks run and write what they promise; what they measure is not judged here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.guest import require_ptrace
from support.loop import loop_mount, require_loop, require_program, require_root
from support.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parent.parent.parent
sys.path.append(str(REPOSITORY))


def benchmarks(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`python -m benchmarks`, as the README says to run it."""
    command = [sys.executable, "-m", "benchmarks", *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def measured(scenario: str, directory: Path, *arguments: str) -> dict[str, Any]:
    """One run of vmtpy alone; the JSON file."""
    done = benchmarks(scenario, "-n", "1", "--only", "vmtpy", "--out", directory, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    facts: dict[str, Any] = json.loads((directory / f"{scenario}.json").read_text())
    return facts


@contextmanager
def running(command: list[str], program: str) -> Iterator[int]:
    """A process that becomes `program`; its pid, when it has."""
    process = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + PATIENCE
        while Path(f"/proc/{process.pid}/exe").readlink().name != program:
            assert process.poll() is None, f"{command} has ended"
            assert time.monotonic() < deadline, f"{command} does not become {program}"
            time.sleep(0.01)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def metrics(facts: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(case, metrics) of each result; all of them are vmtpy's."""
    for result in facts["results"]:
        assert result["contender"] == "vmtpy"
        assert "failures" not in result
        yield result["case"], result["metrics"]


@pytest.fixture
def ready() -> None:
    """What every measurement needs."""
    require_root()
    require_program("cc", "losetup")
    require_loop("ext4")
    require_ptrace()


def test_help_names_every_scenario() -> None:
    done = benchmarks("--help")
    assert done.returncode == 0, done.stderr
    for scenario in ("quiesce", "dirty", "many", "rpc", "startup", "idle", "transports", "demo"):
        assert scenario in done.stdout


def test_an_unknown_scenario_is_refused_with_the_known_ones() -> None:
    done = benchmarks("speed")
    assert done.returncode == 2
    assert "'speed'" in done.stderr
    assert "quiesce" in done.stderr


@pytest.mark.usefixtures("ready")
def test_rpc_counts_traps_and_draws_a_plot(tmp_path: Path) -> None:
    facts = measured("rpc", tmp_path, "--case", "16 B, ptrace", "--case", "16 B, in-process")
    found = dict(metrics(facts))
    assert set(found) == {"16 B, ptrace", "16 B, in-process"}
    assert found["16 B, ptrace"]["traps"]["median"] == 5
    for value in found.values():
        assert len(value["round_trip_us"]["runs"]) == 1
        assert value["round_trip_us"]["min"] > 0
    assert facts["runs"] == 1
    assert facts["machine"]["kernel"]
    assert facts["versions"]["vmtpy"]
    if find_spec("matplotlib"):
        assert (tmp_path / "rpc.svg").read_text().startswith("<?xml")
        assert (tmp_path / "rpc.png").stat().st_size > 0


@pytest.mark.usefixtures("ready")
def test_startup_compares_programs_with_python_alone(tmp_path: Path) -> None:
    only = ("vmtpy rpc", "vmtpy guestinfo get", "python -c pass", "vmtpy")
    options = [word for name in only for word in ("--only", name)]
    done = benchmarks("startup", "-n", "1", "--out", tmp_path, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    facts = json.loads((tmp_path / "startup.json").read_text())
    found = {result["contender"]: result["metrics"] for result in facts["results"]}
    assert set(found) == set(only)
    # What imports our modules needs more than Python does; or the numbers are not its own.
    for name in only[:2]:
        assert found[name]["memory_mib"]["min"] > found[only[2]]["memory_mib"]["max"] > 1
    assert found["vmtpy"]["memory_mib"]["max"] < found[only[2]]["memory_mib"]["min"]


@pytest.mark.usefixtures("ready")
def test_transports_measures_each_way_by_itself(tmp_path: Path) -> None:
    only = ("--only", "port", "--only", "vsock", "--case", "16 B, *")
    done = benchmarks("transports", "-n", "1", "--out", tmp_path, *only)
    assert done.returncode == 0, done.stdout + done.stderr
    facts = json.loads((tmp_path / "transports.json").read_text())
    found = {
        (result["case"], result["contender"]): result["metrics"] for result in facts["results"]
    }
    assert found["16 B, ptrace", "port"]["traps"]["median"] == 5
    assert found["16 B, ptrace", "vsock"]["traps"]["median"] == 0
    for host in ("in-process", "ptrace"):
        for transport in ("port", "vsock"):
            assert found[f"16 B, {host}", transport]["round_trip_us"]["min"] > 0


@pytest.mark.usefixtures("ready")
def test_quiesce_measures_a_freeze_and_leaves_nothing_behind(tmp_path: Path) -> None:
    case = "ext4, snapshot of 100 ms"
    facts = measured("quiesce", tmp_path, "--case", case, "--store", str(tmp_path))
    ((name, found),) = metrics(facts)
    assert name == case
    wanted = {"beyond_ms", "start_commit_ms", "asked_commit_ms", "done_running_ms", "done_done_ms"}
    assert wanted <= set(found)
    # The writers have felt the freeze, or the numbers speak of something else.
    assert found["stall_ms"]["median"] > 100
    assert found["gap_ms"]["median"] >= 0
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
    assert list(tmp_path.glob("*.img")) == []


@pytest.mark.usefixtures("ready")
def test_a_peer_that_sees_a_filesystem_of_somebody_else_is_refused(tmp_path: Path) -> None:
    require_program("unshare", "pivot_root")
    from benchmarks.disks import Disk, UnsafeError
    from benchmarks.jail import Jail

    shared = Path("/dev/shm") / f"vmtpy-test-{tmp_path.name}"
    shared.mkdir()
    try:
        with loop_mount("ext4") as one, loop_mount("ext4") as other:
            disks = [
                Disk(mount.image, mount.device, mount.path, mount.fs, mount.number)
                for mount in (one, other)
            ]
            jailed = Jail(shared, disks, {})
            with running(jailed.command("sleep", "60"), "sleep") as process:
                jailed.check(process, "sleep")
                with pytest.raises(UnsafeError, match="none of our disks"):
                    Jail(shared, disks[:1], {}).check(process, "sleep")
                with pytest.raises(UnsafeError, match="not vmtoolsd"):
                    jailed.check(process, "vmtoolsd")
        with (
            running(["sleep", "60"], "sleep") as process,
            pytest.raises(UnsafeError, match="our own mount namespace"),
        ):
            Jail(shared, [], {}).check(process, "sleep")
    finally:
        shutil.rmtree(shared)


# Freezes a disk of the benchmarks and says so; then another process waits for it.
FREEZER = """
import subprocess, sys
from pathlib import Path
from benchmarks import disks
store = Path(sys.argv[1])
with disks.made("ext4", 1, 128 << 20, store, store) as made:
    (disk,) = made.disks
    made.guard.tell("arm", sys.argv[2])
    subprocess.run(["fsfreeze", "--freeze", disk.path], check=True)
    print("frozen", flush=True)
    subprocess.run(["touch", disk.path / "file"], check=True)
    print("thawed", flush=True)
"""


@contextmanager
def freezer(store: Path, seconds: float) -> Iterator[subprocess.Popen[bytes]]:
    """The program above, when its disk is frozen; the watchdog thaws after so many seconds."""
    command = [sys.executable, "-c", FREEZER, str(store), str(seconds)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"frozen\n"
            yield process
        finally:
            process.kill()


def wait_until_gone(store: Path) -> None:
    """Waits until neither a mount nor an image is left."""
    deadline = time.monotonic() + PATIENCE
    while str(store) in Path("/proc/mounts").read_text() or list(store.glob("*.img")):
        assert time.monotonic() < deadline, "the watchdog does not clean up"
        time.sleep(0.02)


@pytest.mark.usefixtures("ready")
def test_the_watchdog_thaws_what_stays_frozen_for_too_long(tmp_path: Path) -> None:
    require_program("fsfreeze")
    with freezer(tmp_path, 0.5) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"thawed\n"
        assert process.wait(timeout=PATIENCE) == 0
    wait_until_gone(tmp_path)


@pytest.mark.usefixtures("ready")
def test_a_run_that_is_killed_while_frozen_leaves_nothing(tmp_path: Path) -> None:
    require_program("fsfreeze")
    with freezer(tmp_path, 60) as process:
        process.kill()
        wait_until_gone(tmp_path)


@pytest.mark.usefixtures("ready")
def test_runs_are_added_to_those_that_are_there(tmp_path: Path) -> None:
    only = ("--case", "16 B, in-process", "--only", "vmtpy", "--out", tmp_path)
    assert benchmarks("rpc", "-n", "1", *only).returncode == 0
    first = json.loads((tmp_path / "rpc.json").read_text())["results"]
    assert benchmarks("rpc", "-n", "2", "--more", *only).returncode == 0
    facts = json.loads((tmp_path / "rpc.json").read_text())
    (before,), (after,) = first, facts["results"]
    runs, runs_before = (report["metrics"]["round_trip_us"]["runs"] for report in (after, before))
    assert runs[:1] == runs_before
    assert len(runs) == facts["runs"] == 2
    assert facts["storage"] == "disk images in memory"
    # No run begins after the time is over, and what is there stays.
    assert benchmarks("rpc", "-n", "9", "--more", "--minutes", "0", *only).returncode == 0
    assert json.loads((tmp_path / "rpc.json").read_text())["results"] == facts["results"]


def test_the_table_of_the_readme_is_what_the_results_say() -> None:
    from benchmarks import readme

    text = readme.FRONT.read_text()
    written = text[text.index(readme.BEGIN) + len(readme.BEGIN) : text.index(readme.END)]
    assert written == readme.front(readme.README.parent / "results")
