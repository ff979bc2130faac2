"""`help()` of each public name is worth reading: what it is, its arguments, what it raises."""

from __future__ import annotations

import ast
import enum
import inspect
from pathlib import Path
from typing import Any

import pytest

import vmtpy
import vmtpy.testing

NAMES = [name for name in vmtpy.__all__ if name != "__version__"]


def bases_of(name: str) -> tuple[type, ...]:
    """A class of vmtpy.testing, and what it inherits from."""
    made = getattr(vmtpy.testing, name)
    return made.__mro__ if inspect.isclass(made) else ()


def public_calls() -> dict[str, Any]:
    """Functions, and methods of classes and of `guestinfo`, that a program calls."""
    bases = [base for name in vmtpy.testing.__all__ for base in bases_of(name)]
    owners = [
        vmtpy.hardware,
        *(base for base in bases if base.__module__.startswith("vmtpy.testing")),
    ]
    found = {}
    for name in NAMES:
        public = getattr(vmtpy, name)
        if inspect.isfunction(public):
            found[name] = public
        elif inspect.isclass(public) and not issubclass(public, (Exception, enum.Enum, tuple)):
            owners.append(public)
    for owner in owners:
        own = {key: value for key, value in vars(owner).items() if inspect.isfunction(value)}
        found |= {
            f"{owner.__name__}.{key}": value
            for key, value in own.items()
            if not key.startswith("_")
            and value.__module__ == getattr(owner, "__module__", owner.__name__)
        }
    return found


CALLS = public_calls()


@pytest.mark.parametrize("name", NAMES)
def test_each_public_name_says_more_than_one_line(name: str) -> None:
    text = inspect.getdoc(getattr(vmtpy, name)) or ""
    assert len(text.splitlines()) > 2
    assert text.splitlines()[1] == "", "one sentence first"


def test_the_calls_are_found() -> None:
    expected = {
        "EmulatedHost.run",
        "freeze",
        "plan",
        "probe",
        "GuestInfo.get",
        "Rpci.call",
        "Agent.run",
    }
    assert expected <= {*CALLS}
    assert any(name.endswith("hardware.read") for name in CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_each_call_describes_its_arguments_and_what_it_raises(name: str) -> None:
    call = CALLS[name]
    text = inspect.getdoc(call) or ""
    assert text
    arguments = [
        parameter for parameter in inspect.signature(call).parameters if parameter != "self"
    ]
    if arguments:
        assert "\nArgs:\n" in text
        assert "\nRaises:\n" in text
        for argument in arguments:
            assert f"    {argument}:" in text, argument


def test_each_class_of_the_core_is_described_in_its_stub() -> None:
    tree = ast.parse(Path(vmtpy.__file__).with_name("_core.pyi").read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert len(classes) > 40
    assert [node.name for node in classes if not ast.get_docstring(node)] == []
