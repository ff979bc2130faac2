"""mountinfo as the planner reads it: escapes, optional fields, what hides what, and rubbish."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.machine import Machine, reasons

from vmtpy import _core
from vmtpy.errors import PlanError, SystemCallError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.disk("sda", "8:0")
    made.partition("sda1", "8:1", of="sda")
    made.partition("sda2", "8:2", of="sda")
    return made


def only(plan: _core.Plan) -> _core.Filesystem:
    (filesystem,) = plan.filesystems
    return filesystem


def plan_of(text: bytes, path: Path) -> _core.Plan:
    (path / "mountinfo").write_bytes(text)
    sources = _core.PlanSources(
        mountinfo=path / "mountinfo", swaps=path / "none", sys=path / "sys", dev=path / "dev"
    )
    return _core.make_plan(_core.PlanRequest(), sources)


def test_a_mount_is_read_with_its_id_device_type_and_source(machine: Machine) -> None:
    number = machine.mount("/")
    found = only(machine.plan())
    assert (found.path, found.mount_id, found.device) == ("/", number, "8:1")
    assert (found.type, found.source) == ("ext4", "/dev/sda1")
    assert (found.level, found.also, found.stands_on, found.sync_only) == (0, [], [], False)


@pytest.mark.parametrize("name", ["/a b", "/tab\there", "/new\nline", "/back\\slash", "/\\040"])
def test_octal_escapes_in_paths_are_undone(machine: Machine, name: str) -> None:
    machine.mount(name)
    assert only(machine.plan()).path == name


def test_a_path_that_is_no_utf_8_survives_as_os_fsdecode_gives_it(
    machine: Machine, tmp_path: Path
) -> None:
    text = b"20 1 8:1 / /caf\xe9 rw - ext4 /dev/sda1 rw\n"
    assert os.fsencode(only(plan_of(text, tmp_path)).path) == b"/caf\xe9"


def test_an_error_that_names_a_path_that_is_no_utf_8_can_be_raised(machine: Machine) -> None:
    machine.mount("/")
    with pytest.raises(PlanError) as caught:
        machine.plan(include=("/caf\udce9",))
    assert "/caf\udce9" in str(caught.value)


@pytest.mark.parametrize("tags", ["", "shared:1", "shared:1 master:2", "unbindable x y:z"])
def test_any_number_of_optional_fields_is_skipped(machine: Machine, tags: str) -> None:
    machine.mount("/", tags=tags)
    assert only(machine.plan()).source == "/dev/sda1"


def test_a_source_may_be_empty(machine: Machine) -> None:
    machine.mount("/", source="")
    assert only(machine.plan()).source == ""


def test_bind_mounts_are_one_filesystem_opened_by_its_root(machine: Machine) -> None:
    machine.mount("/")
    machine.mount("/x", root="/srv/data", device="8:2", source="/dev/sda2")
    machine.mount("/srv", device="8:2", source="/dev/sda2")
    machine.mount("/longer/srv", device="8:2", source="/dev/sda2")
    root, srv = machine.plan().filesystems
    assert root.path == "/"
    assert srv.path == "/srv"
    assert srv.also == ["/longer/srv", "/x"]


def test_a_shared_subtree_counts_once(machine: Machine) -> None:
    machine.mount("/", tags="shared:1")
    machine.mount("/chroot", tags="master:1")
    machine.mount("/chroot/again", tags="shared:7 master:1 propagate_from:2")
    assert only(machine.plan()).also == ["/chroot", "/chroot/again"]


def test_a_mount_that_another_one_covers_is_not_the_one_to_open(machine: Machine) -> None:
    machine.mount("/")
    machine.mount("/srv", device="8:2", source="/dev/sda2")
    machine.mount("/srv", "tmpfs", "0:40", "tmpfs")
    machine.mount("/elsewhere", device="8:2", source="/dev/sda2")
    plan = machine.plan()
    assert [(f.path, f.also) for f in plan.filesystems] == [("/", []), ("/elsewhere", [])]


def test_a_filesystem_all_of_whose_mounts_are_covered_is_left_out(machine: Machine) -> None:
    machine.mount("/")
    machine.mount("/srv/deep", device="8:2", source="/dev/sda2")
    machine.mount("/srv", "tmpfs", "0:40", "tmpfs")
    assert reasons(machine.plan())["/srv/deep"] == "hidden by a mount over /srv"


def test_a_mount_upon_another_at_the_same_point_wins(machine: Machine) -> None:
    machine.mount("/", "tmpfs", "0:2", "rootfs")
    machine.mount("/")
    plan = machine.plan()
    assert only(plan).path == "/"
    assert only(plan).device == "8:1"


def test_in_a_chroot_where_no_root_is_listed_mounts_below_are_found(machine: Machine) -> None:
    machine.lines.append("50 49 8:2 / /srv rw - ext4 /dev/sda2 rw")
    assert only(machine.plan()).path == "/srv"
    with pytest.raises(PlanError, match="nothing is mounted there"):
        machine.plan(include=("/var",))


@pytest.mark.parametrize("type_", ["nfs4", "fuse.sshfs"])
def test_a_mount_behind_a_server_is_opened_only_if_there_is_no_other(
    type_: str, machine: Machine
) -> None:
    machine.partition("sda3", "8:3", of="sda")
    machine.mount("/")
    machine.mount("/n", type_, "0:40", "server:/")
    machine.mount("/n/d", device="8:2", source="/dev/sda2")
    machine.mount("/n/d/e", device="8:3", source="/dev/sda3")
    machine.mount("/far/away", device="8:3", source="/dev/sda3")
    found = {f.path: (f.also, f.behind_server) for f in machine.plan().filesystems}
    assert found == {
        "/": ([], False),
        "/n/d": ([], True),
        "/far/away": (["/n/d/e"], False),
    }


def test_read_only_is_a_matter_of_the_superblock_not_of_the_mount(machine: Machine) -> None:
    machine.mount("/", options="ro,relatime", super_options="rw")
    machine.mount("/usr", device="8:2", super_options="ro,errors=continue")
    plan = machine.plan()
    assert only(plan).path == "/"
    assert reasons(plan) == {"/usr": "read-only"}


def test_an_option_that_only_contains_ro_is_not_read_only(machine: Machine) -> None:
    machine.mount("/", super_options="rw,errors=remount-ro,x=ro")
    assert only(machine.plan()).path == "/"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "rubbish",
        "20 1 8:1 / / rw ext4 /dev/sda1 rw",
        "20 1 8:1 / / rw -",
        "20 1 8:1 / / rw - ext4 /dev/sda1",
        "x 1 8:1 / / rw - ext4 /dev/sda1 rw",
        "20 -1 8:1 / / rw - ext4 /dev/sda1 rw",
        "20 1 8 / / rw - ext4 /dev/sda1 rw",
        "20 1 8:1:1 / / rw - ext4 /dev/sda1 rw",
        "20 1 8:1 / relative rw - ext4 /dev/sda1 rw",
        "20 1 8:1 / / rw -  /dev/sda1 rw",
        "99999999999999999999999 1 8:1 / / rw - ext4 /dev/sda1 rw",
    ],
)
def test_a_line_that_is_no_mount_is_dropped_and_noted(machine: Machine, line: str) -> None:
    machine.mount("/srv")
    machine.lines.insert(0, line)
    plan = machine.plan()
    assert only(plan).path == "/srv"
    assert len(plan.notes) == (1 if line else 0)


def test_mounts_that_name_each_other_as_parents_do_not_go_round_for_ever(machine: Machine) -> None:
    machine.lines += [
        "20 21 8:1 / /a rw - ext4 /dev/sda1 rw",
        "21 20 8:2 / /a rw - ext4 /dev/sda2 rw",
        "21 1 8:2 / / rw - ext4 /dev/sda2 rw",
        "22 22 8:1 / / rw - ext4 /dev/sda1 rw",
    ]
    assert only(machine.plan()).path == "/"


def test_no_mountinfo_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    sources = _core.PlanSources(mountinfo=tmp_path / "missing")
    with pytest.raises(SystemCallError, match="missing: No such file"):
        _core.make_plan(_core.PlanRequest(), sources)


NUMBERS = st.sampled_from([b"0", b"1", b"2", b"3", b"4", b"-", b"x"])
FIELDS = st.tuples(
    NUMBERS,
    NUMBERS,
    st.sampled_from([b"8:1", b"8:2", b"0:3", b"0:0", b"9"]),
    st.sampled_from([b"/", b"/sub"]),
    st.sampled_from([b"/", b"/a", b"/a/b", b"/a/b/", b"//", b"/a\\040b", b"a"]),
    st.sampled_from([b"rw", b"- -", b"rw shared:1"]),
    st.sampled_from([b"- ext4 x rw", b"- btrfs x rw", b"- overlay x upperdir=/a", b"-", b"- nfs"]),
).map(b" ".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(text=st.one_of(st.binary(max_size=300), st.lists(FIELDS, max_size=12).map(b"\n".join)))
def test_whatever_the_bytes_the_answer_is_a_plan_or_a_plan_error(
    tmp_path: Path, text: bytes
) -> None:
    try:
        plan = plan_of(text, tmp_path)
    except PlanError:
        return
    assert plan.filesystems == []  # there is no sysfs, hence no block device
    assert len({left.device for left in plan.left_out}) == len(plan.left_out)
