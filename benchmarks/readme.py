"""Writes the results at hand into README.md, between its two markers."""

from __future__ import annotations

from pathlib import Path

from benchmarks import figures
from benchmarks.report import markdown
from benchmarks.runner import Report
from benchmarks.scenarios import scenarios

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"


def write(directory: Path, readme: Path = README) -> None:
    """Replaces what is between the markers.

    Args:
        directory: where the JSON files are.
        readme: has both markers.
    """
    text = readme.read_text()
    head, tail = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    readme.write_text(head + "\n" + "\n\n".join(sections(directory)) + "\n\n" + tail)


def sections(directory: Path) -> list[str]:
    """All that is to be said."""
    found = [figures.table(directory), "Of several cases the worst median counts.", picture()]
    for name, scenario in scenarios().items():
        path = directory / f"{name}.json"
        if path.exists():
            report = Report.load(path)
            found += [f"### {report.title}", circumstances(report), markdown(report, scenario)]
    return found


def picture() -> str:
    return "![Writes during a snapshot, with vmtpy and with open-vm-tools](results/picture.svg)"


def circumstances(report: Report) -> str:
    """When, where, how often."""
    machine, versions = report.machine, report.versions
    names = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{report.date[:10]}, medians of {report.runs}; {machine['processors']} processors "
        f"({machine['processor']}), Linux {machine['kernel']}, {machine['system']}; load before: "
        f"{machine['load_before']}. {names}."
    )
