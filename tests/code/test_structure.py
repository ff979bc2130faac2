"""The rules of ARCHITECTURE.md, held by a test: who includes whom, sizes, places."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
CSRC = ROOT / "csrc"
# Each floor of csrc, from the ground up, and those it may include. What stands beside it is not
# among them: plan and freeze know nothing of the wire.
FLOORS = {
    "base": [],
    "linux": ["base"],
    "wire": ["base", "linux"],
    "plan": ["base", "linux"],
    "freeze": ["base", "linux", "plan"],
    "agent": ["base", "linux", "wire", "plan", "freeze"],
    "emulator": ["base", "linux", "wire"],
    "doubles": ["base", "linux", "wire", "plan", "emulator"],
    "programs": ["base", "linux", "wire"],
    "bind": ["base", "linux", "wire", "plan", "freeze", "agent", "emulator", "doubles"],
}
NATIVE = sorted(file for file in CSRC.rglob("*.*") if file.suffix in (".h", ".cpp"))
BELOW_PYTHON = [file for file in NATIVE if file.relative_to(CSRC).parts[0] != "bind"]
PYTHON = sorted((ROOT / "src" / "vmtpy").rglob("*.py"))
SOURCES = [*NATIVE, *PYTHON]
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"]
DOCUMENTS += sorted(str(file.relative_to(ROOT)) for file in (ROOT / "docs").rglob("*.md"))


def includes(file: Path) -> list[str]:
    return re.findall(r'#include "([^"]+)"', file.read_text())


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def module(file: str) -> str:
    """What a header and its source are together: "wire/channel"."""
    return file.rsplit(".", 1)[0]


def find_ring(graph: dict[str, set[str]]) -> list[str]:
    """Modules that need each other, or nothing."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node not in done:
            for one in sorted(graph.get(node, ())):
                if ring := visit(one, [*path, node]):
                    return ring
            done.add(node)
        return []

    return next((ring for node in sorted(graph) if (ring := visit(node, []))), [])


def test_every_folder_is_a_floor() -> None:
    assert {file.relative_to(CSRC).parts[0] for file in NATIVE} == set(FLOORS)


@pytest.mark.parametrize("file", NATIVE, ids=name)
def test_a_floor_includes_itself_and_those_below(file: Path) -> None:
    floor = file.relative_to(CSRC).parts[0]
    allowed = [floor, *FLOORS[floor]]
    assert [include for include in includes(file) if include.split("/")[0] not in allowed] == []


@pytest.mark.parametrize("file", BELOW_PYTHON, ids=name)
def test_the_folder_is_the_namespace(file: Path) -> None:
    """base alone is vmtpy itself: clock and errors are everybody's."""
    floor = file.relative_to(CSRC).parts[0]
    expected = "vmtpy" if floor == "base" else f"vmtpy::{floor}"
    opened = re.findall(r"^namespace (vmtpy[\w:]*)", file.read_text(), re.M)
    assert [
        link for link in opened if link != expected and not link.startswith(f"{expected}::")
    ] == []


def test_modules_need_each_other_in_one_direction() -> None:
    """A header and its source count as one: neither pair of them may include the other."""
    graph: dict[str, set[str]] = {}
    for file in BELOW_PYTHON:
        own = module(str(file.relative_to(CSRC)))
        others = {module(include) for include in includes(file)} - {own}
        graph.setdefault(own, set()).update(others)
    assert " → ".join(find_ring(graph)) == ""


def imported(file: Path) -> Iterator[str]:
    """The modules that a Python file needs when it is imported; not those for types or later."""
    tree = ast.parse(file.read_text())
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{one.name}" for one in node.names)


@pytest.mark.parametrize("package", ["src/vmtpy", "benchmarks"])
def test_python_modules_need_each_other_in_one_direction(package: str) -> None:
    """Of vmtpy itself everything may know the version."""
    home = (ROOT / package).parent
    files = {
        ".".join(file.relative_to(home).with_suffix("").parts).removesuffix(".__init__"): file
        for file in (ROOT / package).rglob("*.py")
    }
    graph = {
        name: {one for one in imported(file) if one in files and one != "vmtpy"} - {name}
        for name, file in files.items()
    }
    assert " → ".join(find_ring(graph)) == ""


def test_what_is_for_x86_64_only_is_in_one_folder() -> None:
    """setup.py and tests/native leave emulator/ptrace out elsewhere. What else needs x86-64 shows
    when tests/native/test_arm64.py compiles the rest.
    """
    needing = [
        name(file)
        for file in NATIVE
        if "ptrace" not in file.parts
        and any("emulator/ptrace/" in include for include in includes(file))
    ]
    assert needing == []


@pytest.mark.parametrize("file", BELOW_PYTHON, ids=name)
def test_no_python_below_the_bindings(file: Path) -> None:
    assert not re.search(r"pybind|Python\.h|\bpy::", file.read_text())


def test_one_header_includes_pybind11() -> None:
    found = [name(file) for file in NATIVE if "#include <pybind11" in file.read_text()]
    assert found == ["csrc/bind/bind.h"]


@pytest.mark.parametrize("number", ["564D5868", "5658", "5659", "49435052", "4F4C4354"])
def test_the_wire_constants_stand_in_one_header(number: str) -> None:
    found = [
        name(file) for file in SOURCES if re.search(rf"0x0*{number}\b", file.read_text(), re.I)
    ]
    assert [file for file in found if file != "csrc/wire/wire.h"] == []


@pytest.mark.parametrize("file", SOURCES, ids=name)
def test_files_stay_below_400_lines(file: Path) -> None:
    assert len(file.read_text().splitlines()) < 400


def test_the_agent_never_imports_the_emulated_host() -> None:
    """And nothing else that would cost it memory or time."""
    program = (
        "import sys, vmtpy.cli.run; "
        "print(*(one for one in sys.modules if one.startswith('vmtpy') or one in sys.argv[1:]))"
    )
    heavy = ["rich", "asyncio", "logging", "multiprocessing", "json", "tomllib", "subprocess"]
    heavy += ["dataclasses", "http", "shutil"]
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


@pytest.mark.parametrize("document", DOCUMENTS)
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
