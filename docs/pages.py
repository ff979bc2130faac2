"""`python docs/pages.py build/pages` gathers what the site is made of: docs/, the documents beside
it, and the source of each test that they name.

A test in backticks, `tests/….py::test_…`, becomes a link to its source, whose text is the name of
the test. Links between files lead to their pages. Sphinx makes the site of it (.ci/docs).
"""

from __future__ import annotations

import ast
import posixpath
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# A file of the project → its page, where that is not in docs/.
PAGES = {
    "README.md": "index.md",
    "SECURITY.md": "security.md",
    "ARCHITECTURE.md": "internals.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
}
# The order of the pages in the margin.
CONTENTS = """
```{toctree}
:hidden:

get-started
leaving-open-vm-tools
```

```{toctree}
:hidden:
:caption: Administration

service
configuration
command-line
hooks
hooks-postgresql
hooks-mariadb
hooks-redis
hooks-mongodb
many-vms
ansible
monitoring
images
troubleshooting
```

```{toctree}
:hidden:
:caption: Promises

guarantees
limits
security
benchmarks
```

```{toctree}
:hidden:
:caption: Programming

python
api
emulator
testing
recording
```

```{toctree}
:hidden:
:caption: Internals

internals
contributing
changelog
```
"""
LANGUAGES = {
    ".py": "python",
    ".cpp": "cpp",
    ".h": "cpp",
    ".service": "ini",
    ".conf": "ini",
    ".sh": "sh",
    ".yml": "yaml",
    ".json": "json",
}
FENCE = re.compile(r"^(```+|~~~+).*?^\1[ ]*$", re.MULTILINE | re.DOTALL)
TEST = re.compile(r"`(tests/[\w/]+\.\w+)(?:::(\w+))?`")
TABLE = re.compile(r"^\|.*\n(\|[-:| ]+\|)\n(?:\|.*\n)+", re.MULTILINE)
FOLDER = re.compile(r"\[([^]]*)\]\(([^)\s#]+)\)")  # has no page, and is named
LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]*)?\)")


def gather(into: Path) -> None:
    """Writes all pages to a directory, which is emptied before."""
    shutil.rmtree(into, ignore_errors=True)
    named: set[str] = set()
    own = [f"docs/{file.relative_to(ROOT / 'docs')}" for file in (ROOT / "docs").rglob("*.md")]
    for name in [*own, *PAGES]:
        text = (ROOT / name).read_text()
        text = linked(text, name, named)
        write(into / page_of(name), f"{text}\n{CONTENTS}" if name == "README.md" else text)
    for name in sorted(named):
        if page_of(name).startswith("source/"):
            write(into / page_of(name), source_page(name))
        else:
            write(into / name, (ROOT / name).read_text())
    shutil.copy(ROOT / "docs/api.rst", into)


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def linked(markdown: str, name: str, named: set[str]) -> str:
    """The text of the file `name` with its links; what they lead to is added to `named`."""
    parts, end = [], 0
    for fence in FENCE.finditer(markdown):
        parts += [with_links(markdown[end : fence.start()], name, named), fence[0]]
        end = fence.end()
    return "".join([*parts, with_links(markdown[end:], name, named)])


def with_links(text: str, name: str, named: set[str]) -> str:
    def place(file: str) -> str:
        return posixpath.relpath(page_of(file), posixpath.dirname(page_of(name)) or ".")

    def test(match: re.Match[str]) -> str:
        file, function = match.groups()
        if not (ROOT / file).is_file():
            return match[0]
        named.add(file)
        if function is None:
            return f"[`{posixpath.basename(file)}`]({place(file)})"
        return f"[{sentence(function)}]({place(file)}#{anchor(function)})"

    def link(match: re.Match[str]) -> str:
        file = posixpath.normpath(posixpath.join(posixpath.dirname(name), match[1]))
        if re.match("[a-z]+:", match[1]) or not (ROOT / file).is_file():
            return match[0]
        if not (file in PAGES or file.startswith("docs/")):
            named.add(file)
        return f"]({place(file)}{match[2] or ''})"

    def folder(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(name), match[2]))
        if re.match("[a-z]+:", match[2]) or not (ROOT / path).is_dir():
            return match[0]
        return f"`{path}`" if match[1].strip("`") == path else f"{match[1]} (`{path}`)"

    text = TEST.sub(test, LINK.sub(link, FOLDER.sub(folder, text)))
    return TABLE.sub(classed, text)


def classed(table: re.Match[str]) -> str:
    """A table of words gets a class for the style sheet; figures and wide tables do not."""
    columns = table[1].count("|") - 1
    if "-:" in table[1] or columns > 4:
        return table[0]
    return f'<div class="sentences columns-{columns}">\n\n{table[0]}\n</div>\n'


def page_of(file: str) -> str:
    """The page, or the picture, that shows a file of the project."""
    if file.startswith("docs/") or file.endswith(".svg"):
        return file.removeprefix("docs/")
    return PAGES.get(file, f"source/{file}.md")


def sentence(test: str) -> str:
    """What a test is called, in words."""
    return test.removeprefix("test_").replace("_", " ")


def anchor(test: str) -> str:
    """The heading of a test on its page, as it is found by links."""
    return sentence(test).lower().replace(" ", "-")


def source_page(name: str) -> str:
    """A page with a file's text; where it is Python, with a heading for each test."""
    text = (ROOT / name).read_text()
    lines = text.splitlines()
    language = LANGUAGES.get(Path(name).suffix, "text")
    parts = ["---", "orphan: true", "---", f"# {name}", ""]
    start = 0
    for function, line in tests_of(text) if language == "python" else []:
        parts += [*block(lines[start:line], language), f"## {sentence(function)}"]
        start = line
    return "\n".join([*parts, *block(lines[start:], language)])


def block(lines: list[str], language: str) -> list[str]:
    if not any(lines):
        return []
    text = "\n".join(lines).strip("\n")
    return ["", f"~~~~~~ {language}", text, "~~~~~~", ""]


def tests_of(text: str) -> list[tuple[str, int]]:
    """Each function of a test module that is a test, with the index of its first line."""
    return [
        (node.name, min([node.lineno, *(one.lineno for one in node.decorator_list)]) - 1)
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


if __name__ == "__main__":
    gather(Path(sys.argv[1]))
