"""What vmtpy promises holds on each kernel that Debian has had since 2021.

A machine boots each once, with writers on an ext4 of its disk.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from support.images import filled
from support.initramfs import found
from support.patience import PATIENCE, await_true
from support.vm_backup import PATIENT, VMTPY, busy_guest

from vmtpy.demo.writers import read_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.qemu import Root
    from support.vm_backup import BusyGuest

pytestmark = pytest.mark.timeout(900)

# As `.ci/kernel` names them, and how `uname -r` begins.
KERNELS = {"5.10": "5.10.", "amd64": "6.1.", "6.12": "6.12.", "newest": ""}
# Where each has what is dirty from. Only where debugfs is mounted it is known of each disk.
SOURCES = {"5.10": "debugfs", "amd64": "meminfo", "6.12": "meminfo", "newest": "debugfs"}
MIB = 1 << 20
HOOK = "#!/bin/sh\necho $1 >>/data/hooks\n"
CONFIG = PATIENT + '[hooks]\ndirectory = "/run/hooks.d"\n'
BOUNDS = ("strict_limit", "min_ratio_fine", "max_ratio_fine")
FOUND = {"strict_limit": "0", "min_ratio_fine": "10000", "max_ratio_fine": "800000"}


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = tmp_path_factory.mktemp("disk") / "disk.raw"
    filled(image, 512 * MIB, 4 * MIB)
    return image


@pytest.fixture(scope="module", params=KERNELS)
def kernel(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def image(kernel: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That of the machine's disk."""
    return tmp_path_factory.mktemp(f"guest-{kernel}") / "disk.qcow2"


@pytest.fixture(scope="module")
def guest(
    kernel: str, root_of: Callable[[str], Root], small_disk: Path, image: Path
) -> Iterator[BusyGuest]:
    """A machine with one of the kernels, for all tests here."""
    with busy_guest(root_of(kernel), image, small_disk, "synced", "buffered", "churn") as made:
        made.machine.check("mkdir", "-m", "755", "/run/hooks.d")
        made.machine.write("/run/hooks.d/10-hook", HOOK)
        made.machine.check("chmod", "755", "/run/hooks.d/10-hook")
        if SOURCES[kernel] == "debugfs":
            made.machine.check("mount", "-t", "debugfs", "debugfs", "/sys/kernel/debug")
        if can_pace(made):
            preset(made)
        yield made


def release_of(guest: BusyGuest) -> str:
    return guest.machine.check("uname", "-r").strip()


def can_pace(guest: BusyGuest) -> bool:
    """Whether it is Linux 6.2 or later."""
    major, minor = release_of(guest).split(".")[:2]
    return (int(major), int(minor)) >= (6, 2)


def bdi(guest: BusyGuest) -> str:
    return "/sys/class/bdi/" + guest.machine.read("/sys/block/vda/dev").strip()


def bounds(guest: BusyGuest) -> dict[str, str]:
    """What the kernel has of them: all, or none."""
    files = [f"{bdi(guest)}/{name}" for name in BOUNDS]
    values = guest.machine.run("cat", *files).out.split()
    return dict(zip(BOUNDS, values, strict=bool(values)))


def record(guest: BusyGuest) -> dict[str, Any]:
    """That of the last backup."""
    return dict(json.loads(guest.machine.read("/run/record").splitlines()[-1]))


def assert_nothing_is_left(guest: BusyGuest) -> None:
    """Of a freeze: no marker, and the kernel's switches as they were."""
    await_true(lambda: guest.markers() == [])
    await_true(lambda: guest.machine.read("/sys/kernel/rcu_expedited") == "0\n")
    assert bounds(guest) in ({}, FOUND)


def preset(guest: BusyGuest) -> None:
    """Values that an administrator might have set, so that they are what has to be put back."""
    for name, percent in (("max_ratio", 80), ("min_ratio", 1)):
        guest.machine.check("sh", "-c", f"echo {percent} >{bdi(guest)}/{name}")
    assert bounds(guest) == FOUND


class Copy:
    """What the snapshot holds; no kernel of this machine has to mount it."""

    def __init__(self, image: Path, work: Path) -> None:
        self._raw = work / "copy.raw"
        self._work = work
        convert = ("qemu-img", "convert", "-U", "-O", "raw", str(image), str(self._raw))
        subprocess.run(convert, check=True, timeout=PATIENCE)

    def checked(self) -> int:
        """The exit code of a check that repairs nothing."""
        command = [str(found("e2fsck")), "-fn", str(self._raw)]
        return subprocess.run(command, check=False, timeout=PATIENCE).returncode

    def file(self, path: str) -> Path:
        into = self._work / path.replace("/", "-")
        command = [str(found("debugfs")), "-R", f"dump /{path} {into}", str(self._raw)]
        subprocess.run(command, check=True, timeout=PATIENCE)
        return into


def test_the_kernel_is_the_one_named_and_the_doctor_says_what_it_lacks(
    guest: BusyGuest, kernel: str
) -> None:
    release = release_of(guest)
    assert release.startswith(KERNELS[kernel])
    probed = json.loads(guest.machine.run(*VMTPY, "probe", "--json").out)
    assert (probed["case"], probed["way"]) == ("vmport", "port with iopl")
    findings = json.loads(guest.machine.run(*VMTPY, "doctor", "--json").out)
    said = [(one["level"], one["text"]) for one in findings if one["check"] == "kernel"]
    assert said[0] == ("ok", f"Linux {release}")
    version = ".".join(release.split(".")[:2])
    lacks = [text for _, text in said if text.startswith(f"Linux {version} has no limit")]
    assert len(lacks) == (not can_pace(guest))
    uncounted = [text for _, text in said if "how much of each disk is dirty" in text]
    assert len(uncounted) == (SOURCES[kernel] == "meminfo")
    (plan,) = [one["text"] for one in findings if one["check"] == "plan"]
    assert "/data" in plan


def test_a_backup_under_load_has_its_hooks_run_and_its_copy_is_clean_and_complete(
    guest: BusyGuest, image: Path, tmp_path: Path
) -> None:
    host = guest.freeze(CONFIG)
    before = guest.acknowledged.now()
    guest.machine.qmp.execute(
        "blockdev-snapshot-sync",
        **{"node-name": "disk0", "snapshot-file": str(image.with_name("after.qcow2"))},
        **{"snapshot-node-name": "after", "format": "qcow2"},
    )
    guest.release()
    assert guest.machine.wait(host) == 0, guest.machine.read("/run/emulate")
    assert guest.phases()["backup ended"]["outcome"] == "done", guest.phases()
    assert record(guest)["outcome"] == "released"
    assert record(guest)["rcu_expedited"]
    guest.acknowledged.wait_for_more()
    assert guest.machine.read("/data/hooks").split() == ["freeze", "thaw"]
    assert_nothing_is_left(guest)
    copy = Copy(image, tmp_path)
    assert copy.checked() == 0
    assert copy.file("hooks").read_text() == "freeze\n"
    assert read_log(copy.file("synced/log")) >= before["synced"]
    assert read_log(copy.file("buffered/log")) >= before["buffered"]


def test_an_agent_killed_while_frozen_has_writers_go_on_and_leaves_nothing(
    guest: BusyGuest, capsys: pytest.CaptureFixture[str]
) -> None:
    guest.machine.check("touch", "/data/bystander")
    host = guest.freeze(CONFIG)
    agent = str(guest.agent())
    waited = guest.machine.check("python", "/opt/guest/bystander.py", "/data/bystander", agent)
    assert float(waited) < 200  # the limit is 240 s
    assert_nothing_is_left(guest)
    guest.acknowledged.wait_for_more()
    guest.release()
    assert guest.machine.wait(host) == -9
    with capsys.disabled():
        print(f"\nLinux {release_of(guest)}: writers went on {float(waited) * 1e3:.1f} ms after")
