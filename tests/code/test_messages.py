"""All texts that a user can see, in one place: messages.txt is for reading.

`VMTPY_WRITE_DOCS=1 pytest tests/code/test_messages.py` writes it anew.
"""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("messages.txt")
NATIVE = sorted((ROOT / "csrc").rglob("*.cpp"))
PYTHON = sorted((ROOT / "src" / "vmtpy").rglob("*.py"))


def is_sentence(text: str) -> bool:
    """Two words at least: no key, no path, no format of bytes."""
    return re.search(r"[a-z]{2,}\W* .*[a-z]{2,}", text) is not None


def in_native(text: str) -> Iterator[str]:
    """String literals; what stands side by side is one, what is computed between them is "…"."""
    code = re.sub(r"^\s*//.*|^#include.*", "", text, flags=re.M)
    literal = r'"(?:[^"\\\n]|\\.)*"'
    for run in re.findall(rf"{literal}(?:\s*(?:\+[^;\"]*?\+)?\s*{literal})*", code):
        yield re.sub(r'"\s*(\+[^;"]*\+)?\s*"', lambda gap: "…" if gap[1] else "", run)[1:-1]


def rendered(node: ast.expr) -> str:
    """A text with "…" where something is filled in."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else "…"
    if isinstance(node, ast.JoinedStr):
        parts = [rendered(part) for part in node.values]
        return "".join(parts)
    return "…"


def in_python(text: str) -> Iterator[str]:
    """Texts that are no docstrings."""
    tree = ast.parse(text)
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            skipped.update(id(part) for part in node.values)
    for node in ast.walk(tree):
        if id(node) not in skipped and isinstance(node, ast.Constant | ast.JoinedStr):
            yield rendered(node)


def collected() -> str:
    lines = []
    for file in [*NATIVE, *PYTHON]:
        find = in_native if file.suffix == ".cpp" else in_python
        texts = [one for one in find(file.read_text()) if is_sentence(one)]
        if texts:
            lines += ["", str(file.relative_to(ROOT))]
            lines += [f"  {' '.join(text.split())}" for text in dict.fromkeys(texts)]
    return "\n".join(lines[1:]) + "\n"


def test_messages_are_collected() -> None:
    if os.environ.get("VMTPY_WRITE_DOCS"):
        FILE.write_text(collected())
    assert FILE.read_text() == collected()
