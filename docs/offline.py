"""`python docs/offline.py build/site` fails if a page fetches anything from another server."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path

# Elements, each with the attribute whose address a browser fetches by itself.
FETCHED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "link": "href",
    "object": "data",
}


class Page(HTMLParser):
    """Collects what one page fetches from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get(FETCHED.get(tag, ""), None) or ""
        if address.split(":")[0] in ("http", "https") or address.startswith("//"):
            self.foreign.append(f"<{tag}> {address}")


def foreign(site: Path) -> list[str]:
    """Each page, or style sheet, with what it fetches from elsewhere."""
    found = []
    for file in sorted(site.rglob("*.html")):
        page = Page()
        page.feed(file.read_text())
        found += [f"{file}: {one}" for one in page.foreign]
    for file in sorted(site.rglob("*.css")):
        text = file.read_text()
        found += [f"{file}: {mark}" for mark in ("url(http", "url(//", "@import") if mark in text]
    return found


if __name__ == "__main__":
    problems = foreign(Path(sys.argv[1]))
    print("\n".join(problems) or "no page fetches anything from another server")
    sys.exit(bool(problems))
