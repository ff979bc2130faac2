"""What PyPI shows is README.md, without links to files that are not beside it there."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)]*)\)")
ADDRESS = "https://host.example/vmtpy"


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """setup.py, not run."""
    pytest.importorskip("pybind11", reason="needs pybind11, as a build does")
    pytest.importorskip("setuptools", reason="needs setuptools, as a build does")
    monkeypatch.chdir(ROOT)
    spec = importlib.util.spec_from_file_location("vmtpy_setup", ROOT / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def relative(text: str) -> list[str]:
    return [target for target in LINK.findall(text) if not re.match("[a-z]+:|#", target)]


def test_the_readme_links_to_files_that_are_there() -> None:
    targets = relative((ROOT / "README.md").read_text())
    assert targets
    assert [target for target in targets if not (ROOT / target.split("#")[0]).exists()] == []


def test_without_an_address_no_link_to_a_file_remains(setup: ModuleType) -> None:
    text = (ROOT / "README.md").read_text()
    shown = setup.long_description(text, "")
    assert relative(shown) == []
    assert "![" not in shown
    assert all(target in shown for target in relative(text) if not target.endswith(".svg"))


def test_with_an_address_each_link_leads_there(setup: ModuleType) -> None:
    text = (ROOT / "README.md").read_text()
    shown = setup.long_description(text, ADDRESS)
    assert relative(shown) == []
    assert len(LINK.findall(shown)) == len(LINK.findall(text))
    assert f"]({ADDRESS}/blob/HEAD/ARCHITECTURE.md)" in shown
    assert re.search(rf"!\[[^]]+\]\({ADDRESS}/raw/HEAD/benchmarks/results/picture\.\w+\)", shown)


def test_other_links_stay(setup: ModuleType) -> None:
    text = "[a](https://example.org/x), [b](#run-it)"
    assert setup.long_description(text, "") == setup.long_description(text, ADDRESS) == text


@pytest.mark.parametrize("mark", ['Source = "https://host.example/vmtpy"\n', ""])
def test_the_address_is_that_of_the_project(
    setup: ModuleType, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[project.urls]\n{mark}")
    monkeypatch.chdir(tmp_path)
    assert setup.source_address() == (ADDRESS if mark else "")
