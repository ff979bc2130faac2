"""`import vmtpy`: lazy, complete, and without side effects."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import vmtpy


def test_importing_the_package_loads_nothing_else() -> None:
    script = "import sys, vmtpy; print([name for name in sys.modules if 'vmtpy.' in name])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", [name for name in vmtpy.__all__ if name != "__version__"])
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(vmtpy, name) is getattr(vmtpy, name)
    assert name in dir(vmtpy)


@pytest.mark.parametrize("name", ["freeze", "plan", "probe"])
def test_a_function_is_not_hidden_by_the_module_of_its_name(name: str) -> None:
    script = (
        f"import importlib, vmtpy; importlib.import_module('vmtpy._{name}');"
        f"print(callable(vmtpy.{name}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "True\n"


def test_the_package_is_a_plain_module_and_guestinfo_an_object() -> None:
    assert type(vmtpy) is ModuleType
    assert type(vmtpy.hardware) is ModuleType
    assert isinstance(vmtpy.guestinfo, vmtpy.GuestInfo)
    with pytest.raises(TypeError, match="cannot list the keys"):
        iter(vmtpy.guestinfo)


def test_the_written_list_of_names_is_what_is_exported() -> None:
    """Type checkers read `__all__`, Python loads by the two tables."""
    assert sorted(vmtpy.__all__) == sorted(["__version__", *vmtpy._EXPORTS, *vmtpy._MODULES])


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        vmtpy.nonsense  # noqa: B018


def test_all_errors_have_one_root() -> None:
    errors = [getattr(vmtpy, name) for name in vmtpy.__all__ if name.endswith("Error")]
    assert len(errors) >= 9
    assert all(issubclass(error, vmtpy.VmtError) for error in errors)
