"""What makes the site: links of the pages, and the judgement that it fetches nothing."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import vmtpy

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    "README.md",
    "SECURITY.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "benchmarks/README.md",
]
DOCUMENTS += sorted(str(file.relative_to(ROOT)) for file in (ROOT / "docs").rglob("*.md"))


def module(name: str) -> ModuleType:
    """One of the programs in docs/."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / f"docs/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_a_test_in_backticks_becomes_a_link_to_its_source() -> None:
    named: set[str] = set()
    text = "`tests/code/test_site.py::test_other_code_stays`, `tests/code/test_site.py`"
    assert module("pages").linked(text, "docs/deep/x.md", named) == (
        "[other code stays](../source/tests/code/test_site.py.md#other-code-stays), "
        "[`test_site.py`](../source/tests/code/test_site.py.md)"
    )
    assert named == {"tests/code/test_site.py"}


def test_other_code_stays() -> None:
    for text in ("`tests/unit`", "`tests/none.py`", "```sh\n`tests/code/test_site.py`\n```"):
        assert module("pages").linked(text, "README.md", set()) == text


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("README.md", "[a](docs/hooks.md)", "[a](hooks.md)"),
        ("docs/limits.md", "[a](../SECURITY.md#x)", "[a](security.md#x)"),
        ("ARCHITECTURE.md", "[a](README.md)", "[a](index.md)"),
        ("docs/hooks.md", "[a](https://example.org/docs/x.md)", None),
        ("docs/hooks.md", "[a](#python)", None),
        ("docs/hooks.md", "[a](../tests/unit)", "a (`tests/unit`)"),
        ("docs/hooks.md", "[tests/unit](../tests/unit)", "`tests/unit`"),
    ],
)  # fmt: skip
def test_links_between_files_lead_to_their_pages(
    name: str, text: str, expected: str | None
) -> None:
    assert module("pages").linked(text, name, set()) == (expected or text)


def test_all_pages_are_gathered_and_each_test_has_its_place(tmp_path: Path) -> None:
    module("pages").gather(tmp_path / "pages")
    there = {str(file.relative_to(tmp_path / "pages")) for file in tmp_path.rglob("*.md")}
    docs = {str(file.relative_to(ROOT / "docs")) for file in (ROOT / "docs").rglob("*.md")}
    assert docs <= there
    text = (tmp_path / "pages/guarantees.md").read_text()
    links = re.findall(r"\]\((source/[^)#]+)#([^)]+)\)", text)
    assert len(links) > 60
    for page, anchor in links:
        headings = re.findall(r"^## (.+)", (tmp_path / "pages" / page).read_text(), re.MULTILINE)
        assert anchor in [heading.lower().replace(" ", "-") for heading in headings]


def test_every_page_is_in_the_contents() -> None:
    """A new page goes into CONTENTS of docs/pages.py."""
    pages = module("pages")
    entries = re.findall(r"^[\w/-]+$", pages.CONTENTS, re.MULTILINE)
    own = {str(file.relative_to(ROOT / "docs")) for file in (ROOT / "docs").rglob("*.md")}
    expected = {Path(page).stem for page in [*own, *pages.PAGES.values(), "api.rst"]} - {"index"}
    assert sorted(entries) == sorted(expected)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_to_files_lead_to_files(document: str) -> None:
    text = (ROOT / document).read_text()
    targets = re.findall(
        r"\]\(([^)\s#]+)(?:#[^)]*)?\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    )
    files = [target for target in targets if not re.match("[a-z]+:", target)]
    place = (ROOT / document).parent
    assert [file for file in files if not (place / file).exists()] == []


def test_the_api_page_has_every_public_name() -> None:
    text = (ROOT / "docs/api.rst").read_text()
    errors = {name for name in vmtpy.__all__ if name.endswith("Error")}
    assert ".. automodule:: vmtpy.errors\n   :members:" in text
    for name in {*vmtpy.__all__} - errors - {"__version__"}:
        directive = rf"^\.\. (auto)?(class|function|data):: vmtpy\.{name}\b"
        assert re.search(directive, text, re.MULTILINE), name


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.html", '<script src="https://cdn.example/x.js"></script>'),
        ("a.html", '<link rel="stylesheet" href="//fonts.example/x.css">'),
        ("a.css", "@font-face { src: url(https://fonts.example/x.woff) }"),
    ],
)  # fmt: skip
def test_what_is_fetched_from_elsewhere_is_found(file: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "good.html").write_text('<a href="https://example.org"><img src="x.svg"></a>')
    assert module("offline").foreign(tmp_path) == []
    (tmp_path / file).write_text(text)
    (found,) = module("offline").foreign(tmp_path)
    assert file in found
