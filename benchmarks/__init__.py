"""vmtpy measured against its peers. Run from the repository: `python -m benchmarks`."""

from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
