"""vmtpy measured against its peers. Run from the repository: `python -m benchmarks`.

`-m` puts the repository first on the path, and with it the source of vmtpy, which need not be built
in place: then the installed vmtpy is to be found instead.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
BUILT_IN_PLACE = any((REPOSITORY / "vmtpy").glob("_core.*.so"))

if not BUILT_IN_PLACE:
    others = [entry for entry in sys.path if Path(entry or ".").resolve() != REPOSITORY]
    sys.path[:] = [*others, str(REPOSITORY)]


def leave_repository() -> None:
    """Goes to a directory where `python -m vmtpy` runs the vmtpy that this process runs."""
    os.chdir("/")
    if BUILT_IN_PLACE:
        os.environ["PYTHONPATH"] = str(REPOSITORY)
