"""Writes the results at hand into this directory's README.md, and the table into the project's."""

from __future__ import annotations

from pathlib import Path

from benchmarks import REPOSITORY, comparison, figures
from benchmarks.report import markdown
from benchmarks.runner import Report
from benchmarks.scenarios import scenarios

README = Path(__file__).parent / "README.md"
FRONT = REPOSITORY / "README.md"
BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"


def write(directory: Path, readme: Path = README, project: Path = FRONT) -> None:
    """Replaces what is between the markers.

    Args:
        directory: where the JSON files are.
        readme: has both markers; gets all results.
        project: has them, too; gets what front() says.
    """
    replace(readme, "\n" + "\n\n".join(sections(directory)) + "\n\n")
    replace(project, front(directory))


def replace(file: Path, results: str) -> None:
    """Puts these results between the markers."""
    text = file.read_text()
    head, tail = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    file.write_text(head + results + tail)


def sections(directory: Path) -> list[str]:
    """The text between the markers."""
    found = [
        figures.table(directory),
        "Of several cases the worst median counts.",
        *pictures(directory, "results"),
    ]
    for name, scenario in scenarios().items():
        path = directory / f"{name}.json"
        if path.exists():
            report = Report.load(path)
            found += [f"### {report.title}", circumstances(report), markdown(report, scenario)]
    return found


def front(directory: Path) -> str:
    """What the project's README shows: the table and the pictures."""
    shown = "".join(f"\n{one}\n" for one in pictures(directory, "benchmarks/results"))
    return comparison.table(directory) + shown


def pictures(directory: Path, link: str) -> list[str]:
    """Those that there are, as Markdown that leads to their folder."""
    texts = {
        "picture.svg": "Writes during a snapshot, with vmtpy and with open-vm-tools",
        "slow_picture.svg": "The same on a disk that is slower than its writers",
    }
    made = {name: text for name, text in texts.items() if (directory / name).exists()}
    return [f"![{text}]({link}/{name})" for name, text in made.items()]


def circumstances(report: Report) -> str:
    """The date, the machine and the number of runs."""
    machine, versions = report.machine, report.versions
    names = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{report.date[:10]}, medians of {report.runs}, {report.storage}; "
        f"{machine['processors']} processors "
        f"({machine['processor']}), Linux {machine['kernel']}, {machine['system']}; load before: "
        f"{machine['load_before']}. {names}."
    )
