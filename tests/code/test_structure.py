"""The rules of ARCHITECTURE.md, held by a test: who includes whom, sizes, places."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = sorted((ROOT / "csrc" / "core").glob("*.*"))
HOST = sorted((ROOT / "csrc" / "host").glob("*.*"))
BIND = sorted((ROOT / "csrc" / "bind").glob("*.*"))
PYTHON = sorted((ROOT / "src" / "vmtpy").rglob("*.py"))
SOURCES = [*CORE, *HOST, *BIND, *PYTHON]


def includes(file: Path) -> list[str]:
    return re.findall(r'#include "([^"]+)"', file.read_text())


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", CORE, ids=name)
def test_the_core_includes_only_the_core(file: Path) -> None:
    assert [one for one in includes(file) if not one.startswith("core/")] == []


@pytest.mark.parametrize("file", HOST, ids=name)
def test_the_host_includes_only_itself_and_the_core(file: Path) -> None:
    assert [one for one in includes(file) if not one.startswith(("core/", "host/"))] == []


def test_what_other_processors_compile_includes_nothing_that_is_of_x86_64_only() -> None:
    """setup.py and tests/native build all but what csrc/host/x86_64_only names. What these files
    themselves need shows when tests/native/test_arm64.py compiles the rest.
    """
    only = (ROOT / "csrc" / "host" / "x86_64_only").read_text().split()
    assert only == sorted(set(only))
    named = {f"host/{one}.cpp" for one in only}
    assert named <= {f"host/{file.name}" for file in HOST}
    headers = {one.removesuffix("cpp") + "h" for one in named}

    def needs(file: Path) -> bool:
        included = includes(file)
        return not headers.isdisjoint(included) or any(
            needs(ROOT / "csrc" / one) for one in included
        )

    needing = {
        f"{file.parent.name}/{file.name}"
        for file in [*CORE, *HOST, *BIND]
        if file.suffix == ".cpp" and needs(file)
    }
    assert needing - named == {"bind/host_trap.cpp"}  # which setup.py leaves out


@pytest.mark.parametrize("file", [*CORE, *HOST], ids=name)
def test_no_python_below_the_bindings(file: Path) -> None:
    assert not re.search(r"pybind|Python\.h|\bpy::", file.read_text())


def test_one_header_includes_pybind11() -> None:
    assert [name(file) for file in BIND if "#include <pybind11" in file.read_text()] == [
        "csrc/bind/bind.h"
    ]


def test_core_files_include_each_other_without_a_ring() -> None:
    graph = {
        f"core/{file.name}": [one for one in includes(file) if one != f"core/{file.name}"]
        for file in CORE
        if file.suffix == ".h"
    }
    done: set[str] = set()

    def visit(file: str, path: tuple[str, ...]) -> None:
        assert file not in path, " → ".join((*path, file))
        if file not in done:
            for one in graph[file]:
                visit(one, (*path, file))
            done.add(file)

    for file in graph:
        visit(file, ())


@pytest.mark.parametrize("number", ["564D5868", "5658", "5659", "49435052", "4F4C4354"])
def test_the_wire_constants_stand_in_one_header(number: str) -> None:
    found = [
        name(file) for file in SOURCES if re.search(rf"0x0*{number}\b", file.read_text(), re.I)
    ]
    assert [one for one in found if one != "csrc/core/wire.h"] == []


@pytest.mark.parametrize("file", SOURCES, ids=name)
def test_files_stay_below_400_lines(file: Path) -> None:
    assert len(file.read_text().splitlines()) < 400


def test_the_agent_never_imports_the_emulated_host() -> None:
    """And nothing else that would cost it memory or time."""
    program = (
        "import sys, vmtpy.commands.run; "
        "print(*(one for one in sys.modules if one.startswith('vmtpy') or one in sys.argv[1:]))"
    )
    heavy = ["rich", "asyncio", "logging", "multiprocessing", "json", "tomllib", "subprocess"]
    heavy += ["pathlib", "shutil", "socket", "threading"]
    done = subprocess.run(
        [sys.executable, "-c", program, *heavy],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    loaded = done.stdout.split()
    assert "vmtpy._core" in loaded
    assert [one for one in loaded if one in heavy or "_host" in one or ".host" in one] == []


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_test_that_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    for place in re.findall(r"tests/[\w/]+(?:\.\w+)?(?![\w/*])", text):
        assert (ROOT / place).exists(), place
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    for file, function in named:
        path = ROOT / file
        assert path.is_file(), file
        tree = ast.parse(path.read_text())
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert not function or function in functions, f"{file}::{function}"
