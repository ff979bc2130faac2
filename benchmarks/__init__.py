"""Measures vmtpy and its peers. Run it from the repository: `python -m benchmarks`."""

from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
