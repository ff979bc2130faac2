"""What vmtpy returns to programs: values that compare, pickle and never change, and real enums."""

from __future__ import annotations

import dataclasses
import enum
import pickle
from typing import Any

import pytest

import vmtpy
from vmtpy import _core, _host
from vmtpy.results import plan_of, record_of

PATH = "/srv"
PAIRS = [
    (vmtpy.Filesystem, _core.Filesystem),
    (vmtpy.LeftOut, _core.LeftOut),
    (vmtpy.Plan, _core.Plan),
    (vmtpy.FilesystemRun, _core.FilesystemRun),
    (vmtpy.RunRecord, _core.RunRecord),
]
VALUES = [
    *(vmtpy.Filesystem, vmtpy.LeftOut, vmtpy.Plan, vmtpy.FilesystemRun, vmtpy.RunRecord),
    *(vmtpy.Probe, vmtpy.hardware.Hardware, vmtpy.hardware.HostTime),
]
ENUMS = [
    value
    for owner in (_core, _core.AgentEvent, _host)
    for value in vars(owner).values()
    if isinstance(value, enum.EnumMeta)
]


def made() -> vmtpy.Plan:
    return plan_of(_core.Plan([_core.Filesystem(PATH, also=["/a"], level=1)]))


def frozen_once() -> vmtpy.RunRecord:
    disk = _host.SimulatedDisk([PATH])
    options = _core.FreezeOptions(guardian=False)
    session = _core.FreezeSession(disk, None, disk.filesystems(), options)
    session.start()
    assert session.wait_for(_core.Phase.FROZEN, 60)
    session.release()
    session.wait_until_ended()
    return record_of(session.record())


@pytest.mark.parametrize(("public", "native"), PAIRS, ids=lambda kind: kind.__name__)
def test_each_fact_of_the_core_is_public_under_its_name(public: Any, native: Any) -> None:  # noqa: ANN401
    names = [name for name, value in vars(native).items() if isinstance(value, property)]
    assert sorted(field.name for field in dataclasses.fields(public)) == sorted(names)


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_each_attribute_is_described(kind: Any) -> None:  # noqa: ANN401
    for field in dataclasses.fields(kind):
        assert f"{field.name}:" in kind.__doc__ or f"{field.name}," in kind.__doc__, field.name


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_a_value_has_slots_and_is_frozen(kind: Any) -> None:  # noqa: ANN401
    value = kind(*([None] * len(dataclasses.fields(kind))))
    assert not hasattr(value, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, dataclasses.fields(kind)[0].name, 1)


@pytest.mark.parametrize("value", [vmtpy.plan(), made(), frozen_once(), vmtpy.probe()], ids=type)
def test_a_value_compares_hashes_prints_and_pickles(value: Any) -> None:  # noqa: ANN401
    copy = pickle.loads(pickle.dumps(value))
    assert copy == value
    assert hash(copy) == hash(value)
    assert repr(copy) == repr(value)
    assert repr(value).startswith(type(value).__name__ + "(")


def test_lists_of_the_core_are_tuples() -> None:
    (filesystem,) = made().filesystems
    assert (filesystem.path, filesystem.level, filesystem.also, filesystem.disks) == (
        PATH,
        1,
        ("/a",),
        (),
    )
    record = frozen_once()
    assert record.outcome is vmtpy.Outcome.RELEASED
    assert [run.path for run in record.filesystems] == [PATH]
    assert isinstance(record.filesystems[0], vmtpy.FilesystemRun)
    assert (record.warnings, record.left_out) == ((), ())


@pytest.mark.parametrize("kind", ENUMS, ids=lambda kind: kind.__qualname__)
def test_enums_are_enums(kind: type[enum.Enum]) -> None:
    for member in kind:
        assert isinstance(member, enum.Enum)
        assert kind(member.value) is member
        assert kind[member.name] is member
        assert pickle.loads(pickle.dumps(member)) is member


def test_there_are_enums() -> None:
    names = {kind.__qualname__ for kind in ENUMS}
    assert {"Cause", "Outcome", "Phase", "AgentEvent.Kind", "VsockFault"} <= names
