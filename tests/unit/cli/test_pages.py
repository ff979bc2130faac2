"""The documentation's pages: their commands exist, their files are taken, their words are ours.

support/pages.py says which blocks run and which are only parsed. What needs root and a filesystem
to freeze is in tests/system/test_pages_real.py; some pages have a test file of their own (OWN).
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from support import pages
from support.pages import DOCS, PAGES, ROOT, blocks
from support.patience import PATIENCE
from support.programs import path_with_programs

import vmtpy
from vmtpy import command_line, config_text
from vmtpy.config import load

# Pages whose `sh` blocks another file runs.
OWN = {
    "README.md": ".ci/run",
    "docs/command-line.md": "tests/unit/cli/test_command_line.py",
    "docs/configuration.md": "tests/system/test_configuration_real.py",
    "docs/emulator.md": "tests/system/test_pages_real.py",
    "docs/images.md": "tests/unit/cli/test_service.py",
    "docs/recording.md": "tests/system/test_record.py",
    "docs/leaving-open-vm-tools.md": "tests/unit/cli/test_leaving.py",
    "docs/many-vms.md": "tests/unit/cli/test_recipes.py",
}
LANGUAGES = {"", "bash", "console", "ini", "json", "python", "sh", "sql", "text", "toml", "yaml"}


@pytest.mark.parametrize("page", PAGES, ids=pages.name)
def test_no_block_is_in_a_language_that_no_test_knows(page: Path) -> None:
    assert pages.languages(page) <= LANGUAGES


def test_the_files_that_run_pages_name_them() -> None:
    for page, file in OWN.items():
        text = (ROOT / file).read_text()
        assert page.rpartition("/")[2] in text or file == ".ci/run", page


def test_ci_runs_the_commands_of_the_readme() -> None:
    """The second and third block, with options of its own; .ci/try_wheels does the first."""
    text = (ROOT / ".ci/run").read_text()
    _, job, tests = blocks("README.md", "sh")
    for step in ("python3 -m venv", "pip install", "vmtpy demo"):
        assert step in job
        assert re.search(step.replace(" ", '"? '), text), step
    assert tests.endswith(".venv/bin/pytest\n")
    assert '"$venv/bin/pytest"' in text


@pytest.mark.parametrize("page", PAGES, ids=pages.name)
def test_its_commands_for_root_are_taken(page: Path) -> None:
    if pages.name(page) == "docs/leaving-open-vm-tools.md":
        return  # test_leaving.py knows them better
    for block in blocks(page, "console"):
        for line in block.splitlines():
            pages.parse(line)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if pages.name(page) not in OWN], ids=pages.name
)
def test_its_commands_run(page: Path, tmp_path: Path) -> None:
    environment = path_with_programs(tmp_path)
    for block in blocks(page, "sh"):
        subprocess.run(
            ["sh", "-euc", block], env=environment, check=True, timeout=PATIENCE, cwd=tmp_path
        )


@pytest.mark.parametrize("page", PAGES, ids=pages.name)
def test_its_configurations_are_taken(page: Path, tmp_path: Path) -> None:
    for number, block in enumerate(blocks(page, "toml")):
        file = tmp_path / f"{number}.toml"
        file.write_text(block)
        load(file)


@pytest.mark.parametrize("page", PAGES, ids=pages.name)
def test_its_programs_compile(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block, pages.name(page), "exec")
    for block in blocks(page, "bash"):
        subprocess.run(["sh", "-n"], input=block, text=True, check=True, timeout=PATIENCE)


def test_the_configuration_page_has_the_example_of_the_code(tmp_path: Path) -> None:
    """If it has not: `vmtpy config example`, between the page's two marks."""
    text = (DOCS / "configuration.md").read_text()
    shown = text.partition("<!-- example -->\n```toml\n")[2].partition(
        "```\n<!-- end of example -->"
    )
    assert shown[0] == config_text.example()
    assert shown[1]
    file = tmp_path / "vmtpy.toml"
    file.write_text(re.sub(r"^#(\w+ = )", r"\1", shown[0], flags=re.MULTILINE))
    assert load(file) == load("/dev/null")


def test_the_command_line_page_has_every_command() -> None:
    text = (DOCS / "command-line.md").read_text()
    for command in command_line.COMMANDS:
        assert f"`vmtpy {command}" in text or f"`{command}`" in text, command


def test_the_hook_that_is_shown_pauses_and_goes_on(tmp_path: Path) -> None:
    (script,) = blocks("docs/hooks.md", "bash")
    mark = tmp_path / "queue.paused"
    assert script.count("/run/queue.paused") == 2
    (tmp_path / "hook").write_text(script.replace("/run/queue.paused", str(mark)))
    for word, paused in (
        ("freeze", True),
        ("thaw", False),
        ("freeze", True),
        ("freezeFail", False),
    ):
        subprocess.run(["sh", str(tmp_path / "hook"), word], check=True, timeout=PATIENCE)
        assert mark.exists() is paused


def test_the_symptoms_are_in_the_words_of_the_code() -> None:
    text = (DOCS / "troubleshooting.md").read_text()
    titles = re.findall(r'^### (".+)$', text, re.MULTILINE)
    symptoms = [quoted for title in titles for quoted in re.findall(r'"([^"]+)"', title)]
    symptoms += re.findall(r'(?:^-|a line\s+with) "([^"]+)"', text, re.MULTILINE)
    assert len(symptoms) >= 14
    package = Path(vmtpy.__file__).parent
    sources = [*(ROOT / "csrc").rglob("*.cpp"), *package.rglob("*.py")]
    code = re.sub(r'"\s+f?"', "", "".join(file.read_text() for file in sources))
    for symptom in symptoms:
        for part in re.split(r"(?:…|\d+) s\b|…", symptom):  # a number, or a path
            assert part in code, symptom


def test_each_guarantee_names_its_test() -> None:
    text = (DOCS / "guarantees.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if not row.startswith("| What happens |")]
    assert len(rows) >= 60
    assert [row for row in rows if not re.search(r"\| `tests/[^|]*` \|$", row)] == []


def test_the_readme_is_short() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    guarantees = text.partition("## What it guarantees")[2].partition("\n## ")[0]
    rows = guarantees.split("\n- ")[1:]
    assert len(rows) == 8
    assert all("`tests/" in row for row in rows)
