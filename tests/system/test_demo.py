"""`vmtpy demo` as a stranger runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.guest import require_ptrace
from support.loop import require_loop

if TYPE_CHECKING:
    from collections.abc import Iterator

MOMENTS = [
    "start", "received", "pre-sync", "frozen", "commit", "snapshot", "thawed", "done",
]  # fmt: skip
QUIESCED = {"good": True, "text": "vSphere would show: quiesced, the host has the manifest"}


def demo(*arguments: str, store: Path, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vmtpy", "demo", "--store", str(store), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=280, check=False, **options
    )  # type: ignore[call-overload]


def require_everything(fs: str) -> None:
    require_loop(fs)
    require_ptrace()


@pytest.fixture
def store() -> Iterator[Path]:
    """Where the demo's disk goes: not below pytest's directories, which are removed by anybody."""
    with tempfile.TemporaryDirectory(prefix="vmtpy-test-demo-", dir="/tmp") as directory:
        yield Path(directory)


def nothing_left(store: Path) -> bool:
    mounts = Path("/proc/self/mounts").read_text()
    backing = [path.read_text() for path in Path("/sys/block").glob("loop*/loop/backing_file")]
    return (
        str(store) not in mounts
        and not any(str(store) in line for line in backing)
        and list(store.iterdir()) == []
    )


@pytest.mark.parametrize("deleted_open", [False, True], ids=["", "deleted-open"])
@pytest.mark.parametrize("fs", ["ext4", "xfs", "btrfs"])
def test_it_proves_a_snapshot_and_leaves_nothing_behind(
    fs: str, deleted_open: bool, store: Path
) -> None:
    require_everything(fs)
    flags = ["--deleted-open"] if deleted_open else []
    done = demo("--json", "--size", "400M", "--fs", fs, *flags, store=store)
    assert done.returncode == 0, done.stdout + done.stderr
    story = json.loads(done.stdout)
    assert story["passed"]
    assert not story["simulated"]
    assert list(story["timeline_ms"]) == MOMENTS
    times = list(story["timeline_ms"].values())
    assert times == sorted(times)
    assert story["findings"][-1] == QUIESCED
    assert 0 < story["copying_ms"] <= story["snapshot_ms"] <= story["longest_wait_ms"]
    assert nothing_left(store)


def test_it_tells_people_what_happened(store: Path) -> None:
    require_everything("ext4")
    done = demo("--size", "200M", store=store)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "frozen" in done.stdout
    assert "Longest wait of any write" in done.stdout
    assert f"✓ {QUIESCED['text']}" in done.stdout
    assert "The snapshot is clean and complete." in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_takes_everything_away(number: signal.Signals, store: Path) -> None:
    require_everything("ext4")
    running = subprocess.Popen(
        [sys.executable, "-m", "vmtpy", "demo", "--size", "200M", "--store", str(store)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list(store.glob("vmtpy-demo-*/mnt/log/records.log")):
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.01)
    os.kill(running.pid, number)
    assert running.wait(timeout=60) != 0
    assert nothing_left(store)


def test_without_root_it_simulates_says_so_and_succeeds(store: Path) -> None:
    options: dict[str, object] = {}
    if os.geteuid() == 0:
        store.chmod(0o777)
        options = {"user": 65534, "group": 65534, "extra_groups": [], "cwd": "/"}
    done = demo("--size", "200M", store=store, **options)
    lacking = "this machine lacks root (run it with sudo)"
    assert done.returncode == 0, done.stdout + done.stderr
    assert lacking in done.stdout.replace("\n", " ")
    assert "simulated" in done.stdout
    assert f"✓ {QUIESCED['text']}" in done.stdout
    assert "clean and complete" not in done.stdout
    assert nothing_left(store)


def test_a_users_path_does_not_make_it_a_simulation(store: Path) -> None:
    require_everything("ext4")
    environment = {**os.environ, "PATH": "/usr/bin:/bin"}
    done = demo("--json", "--size", "200M", store=store, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not json.loads(done.stdout)["simulated"]


def test_a_disk_that_does_not_fit_is_refused_with_the_figures(store: Path) -> None:
    require_everything("ext4")
    done = demo("--size", "100000T", store=store)
    assert done.returncode == 1
    found = re.fullmatch(
        r"vmtpy demo: a disk( and its copy)? of 102400000\.0 GiB need up to ([0-9.]+) GiB in "
        rf"{store}, which has ([0-9.]+) GiB free: choose a smaller --size, or another --store\n",
        done.stderr,
    )
    assert found, done.stderr
    assert float(found[2]) > float(found[3])
    assert nothing_left(store)


def test_a_disk_too_small_is_refused_by_name(store: Path) -> None:
    done = demo("--size", "16M", "--fs", "xfs", store=store)
    assert done.returncode == 2
    assert "--size: xfs needs at least" in done.stderr
