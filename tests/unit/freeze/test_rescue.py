"""Thawing by markers: which ones count, which do not, and what is said about the others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmtpy._core import Rescue, RescueResult, real_system, thaw_from_markers
from vmtpy._host import FaultySystem
from vmtpy.errors import SystemCallError

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
NO_PROCESS = (1 << 22) + 1  # beyond the highest pid_max


def marker(
    directory: Path,
    name: str = "freeze-1-1",
    *,
    boot: str = BOOT,
    process: str = f"{NO_PROCESS} 1",
    rest: str = "",
) -> Path:
    """A marker of a dead process, without a filesystem unless `rest` has one."""
    path = directory / name
    path.write_text(f"vmtpy freeze marker 1\nboot {boot}\nprocess {process}\n{rest}end\n")
    return path


def start_time(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def rescue(directory: Path, *, force: bool = False) -> list[RescueResult]:
    return thaw_from_markers(real_system(), directory, force)


def test_without_markers_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert rescue(tmp_path) == []
    assert rescue(tmp_path / "never made") == []


def test_a_marker_directory_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemCallError, match=r"opendir .*file: Not a directory"):
        rescue(tmp_path / "file")


def test_a_marker_of_an_earlier_boot_is_removed(tmp_path: Path) -> None:
    path = marker(
        tmp_path, boot="00000000-0000-0000-0000-000000000000", rest="filesystem 7:0 /x ext4\n"
    )
    [result] = rescue(tmp_path)
    assert result.result == Rescue.STALE
    assert result.text == f"{path} is of an earlier boot"
    assert not path.exists()


def test_a_marker_of_a_living_process_is_refused(tmp_path: Path) -> None:
    path = marker(
        tmp_path,
        process=f"{os.getpid()} {start_time(os.getpid())}",
        rest="filesystem 4095:1 /gone ext4\nfilesystem 4095:2 /away xfs\n",
    )
    [result] = rescue(tmp_path)
    assert result.result == Rescue.REFUSED
    assert result.text == f"process {os.getpid()} is alive and holds this freeze: /gone /away"
    assert path.exists()
    assert {result.result for result in rescue(tmp_path, force=True)} == {Rescue.NOT_MOUNTED}
    assert not path.exists()


def test_another_process_with_the_same_number_is_not_the_owner(tmp_path: Path) -> None:
    path = marker(tmp_path, process=f"{os.getpid()} {start_time(os.getpid()) - 1}")
    assert rescue(tmp_path) == []
    assert not path.exists()


def test_what_is_not_mounted_any_more_is_told_and_its_marker_kept(tmp_path: Path) -> None:
    path = marker(tmp_path, rest="filesystem 4095:1 /was\\040here ext4\n")
    [result] = rescue(tmp_path)
    assert (result.result, result.path) == (Rescue.NOT_MOUNTED, "/was here")
    assert "mount its device again" in result.text
    assert path.exists()
    rescue(tmp_path, force=True)
    assert not path.exists()


def number_of_proc() -> str:
    """The device number of /proc, which may be mounted over another: the last one counts."""
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [mount[2] for mount in mounts if mount[4] == "/proc"][-1]


def test_a_filesystem_that_was_not_frozen_is_told(tmp_path: Path) -> None:
    number = number_of_proc()
    system = FaultySystem(real_system())
    system.fail(1, 22, for_good=True, call="thaw")  # as FITHAW of what is not frozen
    path = marker(tmp_path, rest=f"filesystem {number} /elsewhere proc\n")
    [result] = thaw_from_markers(system, tmp_path)
    assert (result.result, result.device) == (Rescue.NOT_FROZEN, number)
    assert not path.exists()


@pytest.mark.parametrize("call", ["open_directory", "thaw"])
def test_what_cannot_be_thawed_is_named_and_its_marker_kept(call: str, tmp_path: Path) -> None:
    number = number_of_proc()
    system = FaultySystem(real_system())
    system.fail(1, 5, for_good=True, call=call)
    path = marker(tmp_path, rest=f"filesystem {number} /proc proc\n")
    [result] = thaw_from_markers(system, tmp_path)
    assert (result.result, result.path) == (Rescue.FAILED, "/proc")
    assert result.text.endswith("/proc: Input/output error")
    assert path.exists()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", 'does not begin with "vmtpy freeze marker 1"'),
        ("vmtpy freeze marker 2\n", 'does not begin with "vmtpy freeze marker 1"'),
        ("vmtpy freeze marker 1\n", "is incomplete"),
        (f"vmtpy freeze marker 1\nboot {BOOT}\nprocess 5 5\n", "is incomplete"),
        ("vmtpy freeze marker 1\nend\n", "is incomplete"),
        ("vmtpy freeze marker 1\nprocess x\n", "line 2 is not understood: process x"),
        ("vmtpy freeze marker 1\nprocess -1 1\n", "line 2 is not understood: process -1 1"),
        ("vmtpy freeze marker 1\nfilesystem 7 /x xfs\n", "line 2 is not understood: filesystem 7 "),
        ("vmtpy freeze marker 1\nfilesystem 7:1 /x\n", "line 2 is not understood: filesystem 7:1 "),
        ("vmtpy freeze marker 1\nfilesystem 7:1 \\9 xfs\n", "line 2 is not understood"),
        ("vmtpy freeze marker 1\nfilesystem 7:1 /x \\9\n", "line 2 is not understood"),
        ("vmtpy freeze marker 1\nrcu_expedited 7; reboot\n", "line 2 is not understood"),
        ("vmtpy freeze marker 1\nbound /proc/sys/vm/swappiness 1\n", "line 2 is not understood"),
        ("vmtpy freeze marker 1\nbound /proc/sys/vm/../vm/dirty_bytes 1\n", "line 2 is not"),
        ("vmtpy freeze marker 1\nbound /sys/class/bdi/../strict_limit 1\n", "line 2 is not"),
        ("vmtpy freeze marker 1\nbound /sys/class/bdi/7:0/read_ahead_kb 1\n", "line 2 is not"),
        ("vmtpy freeze marker 1\nbound /sys/class/bdi/7:0/strict_limit x\n", "line 2 is not"),
        ("vmtpy freeze marker 1\nhello\n", "line 2 is not understood: hello"),
        ("\0\xff" * 5000, "does not begin with"),
    ],
)
def test_a_damaged_marker_is_named_and_the_others_still_count(
    text: str, complaint: str, tmp_path: Path
) -> None:
    damaged = tmp_path / "freeze-0-1"
    damaged.write_text(text, encoding="latin-1")
    good = marker(tmp_path, boot="another")
    first, second = rescue(tmp_path)
    assert (first.result, second.result) == (Rescue.FAILED, Rescue.STALE)
    assert first.text.startswith(f"{damaged} {complaint}")
    assert damaged.exists()
    assert not good.exists()
