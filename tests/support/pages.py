"""The code blocks of the documentation's pages, for tests.

The language of a block says what a test does with it:
    sh       runs as it is; `vmtpy` is the package under test
    console  is parsed, but not run: `# COMMAND` and `$ COMMAND` need root, a host or an
    installation toml     is a configuration that `vmtpy run` accepts bash     is a script that a
    user writes to a file python   runs
Blocks of other languages are not tested.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from vmtpy import command_line

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "SECURITY.md"])
# Programs that `console` blocks call besides, whose arguments are not judged here.
OTHERS = {
    "apt",
    "fsfreeze",
    "install",
    "journalctl",
    "ln",
    "pip",
    "pytest",
    "python3",
    "rm",
    "systemctl",
}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path | str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def languages(page: Path) -> set[str]:
    return set(re.findall(r"^```(\w*)\n.*?^```$", page.read_text(), re.DOTALL | re.MULTILINE))


def parse(line: str) -> str:
    """The program that a line of a `console` block calls. Fails where it could not be called so.

    Raises:
        AssertionError: it is no prompt with a program that is known.
        SystemExit: vmtpy does not take these arguments.
    """
    prompt, _, command = line.partition(" ")
    assert prompt in ("#", "$"), line
    words = shlex.split(command)
    while re.match(r"[A-Z_]+=", words[0]):
        del words[0]
    program = Path(words[0]).name
    if program != "vmtpy":
        assert program in OTHERS, line
        return program
    assert words[1] in command_line.COMMANDS, line
    command_line.parser_of(words[1]).parse_args(words[2:])
    return f"vmtpy {words[1]}"
