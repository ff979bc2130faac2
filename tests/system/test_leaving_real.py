"""A machine with open-vm-tools' scripts changes over: what it is told, and what runs its scripts.

The machine is this one with its own layer over /etc and /usr/sbin.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.emulation import Run, emulate, require_ptrace
from support.loop import loop_mount, require_loop

from vmtpy.hooks import legacy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.loop import LoopMount

VMTPY = (sys.executable, "-m", "vmtpy")
LAYERS = ("/etc", "/usr/sbin")
ENTER = """\
set -e
layers=$1; shift
for place in /etc /usr/sbin; do
    over=$layers$place
    mount -t overlay overlay -o "lowerdir=$place,upperdir=$over,workdir=$over.work" "$place"
done
exec "$@"
"""


@pytest.fixture
def machine(tmp_path: Path) -> tuple[str, ...]:
    """In front of a program: it runs on the machine with scripts."""
    require_loop()
    require_ptrace()
    layers = tmp_path / "layers"
    for place in LAYERS:
        for name in (place, f"{place}.work"):
            (layers / name[1:]).mkdir(parents=True)
    calls = tmp_path / "calls"
    for path in (legacy.PRE_FREEZE, legacy.POST_THAW, f"{legacy.BACKUP_SCRIPTS}/10-db"):
        script = layers / path[1:]
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(f'#!/bin/sh\necho "${{0##*/}} $*" >> {calls}\n')
        script.chmod(0o755)
    found = ("unshare", "-m", "sh", "-c", ENTER, "sh", str(layers))
    tried = subprocess.run([*found, "true"], capture_output=True, check=False, timeout=60)
    if tried.returncode != 0:
        pytest.skip("capability missing: overlay filesystems in a mount namespace")
    return found


@pytest.fixture
def mount() -> Iterator[LoopMount]:
    with loop_mount() as made:
        yield made


def doctor(machine: tuple[str, ...]) -> list[dict[str, Any]]:
    """What it says of hooks."""
    done = subprocess.run(
        [*machine, *VMTPY, "doctor", "--json"], stdout=subprocess.PIPE, check=False, timeout=60
    )
    return [finding for finding in json.loads(done.stdout) if finding["check"] == "hooks"]


def snapshot(machine: tuple[str, ...], mount: LoopMount) -> Run:
    mount.check_ours()
    command = [*VMTPY, "run", "--include", mount.path]
    options = ("--as", "esxi", "--backup-after", "1", "--end-after-backup")
    return emulate(*command, options=options, inside=machine)


def test_scripts_are_missed_aloud_until_the_machine_has_migrated(
    machine: tuple[str, ...], mount: LoopMount, tmp_path: Path
) -> None:
    (problem,) = doctor(machine)
    assert problem["level"] == "problem"
    assert legacy.PRE_FREEZE in problem["text"]
    before = snapshot(machine, mount)
    assert b"PROBLEM: snapshots do not run these scripts" in before.stderr
    assert not (tmp_path / "calls").exists()

    done = subprocess.run(
        [*machine, *VMTPY, "migrate"], capture_output=True, text=True, check=True, timeout=60
    )
    assert f"{legacy.POST_THAW}\n" in done.stdout
    assert "wrote /etc/vmtpy/vmtpy.toml\n" in done.stdout

    (good,) = doctor(machine)
    assert (good["level"], good["text"]) == ("ok", "2 executables")  # the pair is one
    after = snapshot(machine, mount)
    assert b"PROBLEM" not in after.stderr
    assert after.code == 0
    (verdict,) = after.of_kind("verdict")
    assert [snapshot["state"] for snapshot in verdict["snapshots"]] == [
        "quiesced, the host has the manifest"
    ]
    assert (tmp_path / "calls").read_text().splitlines() == [
        "pre-freeze-script freeze",
        "10-db freeze",
        "10-db thaw",
        "post-thaw-script thaw",
    ]
