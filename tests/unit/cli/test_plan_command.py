"""`vmtpy plan` and `vmtpy.plan()`: the same plan for people, for programs and for Python."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.machine import Machine

import vmtpy
from vmtpy import __main__ as cli
from vmtpy import _core
from vmtpy.cli import plan as command

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.disk("sda", "8:0")
    for number in (1, 2, 3):
        made.partition(f"sda{number}", f"8:{number}", of="sda")
    made.loop("loop0", "7:0", "/srv/vm.img")
    made.mount("/")
    made.mount("/proc", "proc", "0:5", "proc")
    made.mount("/run", "tmpfs", "0:6", "tmpfs")
    made.mount("/srv", "xfs", "8:2", "/dev/sda2")
    made.mount("/export", "xfs", "8:2", "/dev/sda2")
    made.mount("/boot/efi", "vfat", "8:3", "/dev/sda3")
    made.mount("/vm", "ext4", "7:0", "/dev/loop0")
    made.mount("/net", "nfs4", "0:9", "server:/")
    return made


@pytest.fixture
def on_machine(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The command line looks at the made-up machine."""

    def planned(include: list[str], exclude: list[str], volumes: list[str]) -> _core.Plan:
        return machine.plan(include=tuple(include), exclude=tuple(exclude), volumes=tuple(volumes))

    monkeypatch.setattr(command, "plan", planned)
    return machine


@pytest.mark.usefixtures("on_machine")
def test_the_tree_tells_levels_stacks_reasons_and_counts_pseudo(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["plan"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Would freeze 3 filesystems, one level after the other (2), and thaw in reverse",
        "├── level 0",
        "│   ├── /          ext4 on /dev/sda1 (8:1)",
        "│   ├── /boot/efi  vfat on /dev/sda3 (8:3); only synced: vfat cannot be frozen",
        "│   └── /vm        ext4 on /dev/loop0 (7:0), stands on /srv",
        "└── level 1",
        "    └── /srv  xfs on /dev/sda2 (8:2), also at /export",
        "Left out",
        "├── /net  nfs4: network filesystem",
        "└── 1 pseudo and 1 in memory (`--all` names them)",
    ]


@pytest.mark.usefixtures("on_machine")
def test_all_names_every_filesystem(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "--all"]) == 0
    out = capsys.readouterr().out
    assert "├── /proc  proc: pseudo filesystem" in out
    assert "└── /run   tmpfs: in memory" in out


@pytest.mark.usefixtures("on_machine")
def test_json_has_the_names_of_the_python_attributes(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--json", "--exclude", "/boot/*", "--volumes", "/srv", "--volumes", "uuid"]
    assert cli.main(["plan", *arguments]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["filesystems"] == [
        {
            "path": "/srv",
            "mount_id": 23,
            "device": "8:2",
            "type": "xfs",
            "source": "/dev/sda2",
            "level": 0,
            "sync_only": False,
            "also": ["/export"],
            "stands_on": [],
            "mapped": [],
            "disks": ["8:0"],
        }
    ]
    assert {
        "path": "/boot/efi",
        "device": "8:3",
        "type": "vfat",
        "reason": "excluded by exclude = /boot/*",
        "writable": True,
        "cause": "excluded",
    } in answer["left_out"]
    assert (answer["unmatched"], answer["notes"]) == (["uuid"], [])


@pytest.mark.usefixtures("on_machine")
def test_paths_and_include_together_limit_the_plan(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    assert cli.main(["plan", "--json", "srv", "--include", "/v*"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [filesystem["path"] for filesystem in answer["filesystems"]] == ["/vm", "/srv"]


@pytest.mark.usefixtures("on_machine")
def test_nothing_to_freeze_and_unmatched_volumes_are_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["plan", "--volumes", "6000C29-a"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Nothing would be frozen.\n")
    assert out.endswith("Volumes without a filesystem of this machine\n└── 6000C29-a\n")


def test_notes_are_shown(on_machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    on_machine.swap("/vm/swap", "file")
    assert cli.main(["plan"]) == 0
    assert "Notes\n└── swap on /vm/swap is written into" in capsys.readouterr().out


def test_names_that_are_no_text_or_look_like_markup_are_shown_harmlessly(
    on_machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    on_machine.mount("/[red]x[/red]\x1b[31m\udce9", "nfs", "0:10", "server:/")
    assert cli.main(["plan"]) == 0
    assert "/[red]x[/red]\\x1b[31m\\udce9  nfs: network" in capsys.readouterr().out


@pytest.mark.usefixtures("on_machine")
def test_a_path_that_is_no_mount_point_ends_with_one_line_and_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["plan", "/srv/www"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(
        "vmtpy plan: include /srv/www: it is not a mount point; it lies on"
    )


def test_python_gets_the_plan_of_this_machine() -> None:
    made = vmtpy.plan(exclude=["/*/*"])
    assert isinstance(made, vmtpy.Plan)
    assert {left.reason for left in made.left_out if left.path == "/proc"} == {"pseudo filesystem"}


@pytest.mark.parametrize("include", ["/srv", b"/srv", [3], 3])
def test_an_include_that_is_no_list_of_paths_is_a_type_error(include: object) -> None:
    with pytest.raises(TypeError):
        vmtpy.plan(include=include)  # type: ignore[arg-type]


def test_attributes_of_a_plan_are_read_only(machine: Machine) -> None:
    (filesystem, *_) = machine.plan().filesystems
    with pytest.raises(AttributeError):
        filesystem.path = "/other"  # type: ignore[misc]
