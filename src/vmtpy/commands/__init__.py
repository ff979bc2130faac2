"""One module per command of the command line; each has main(arguments) -> exit code."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # see vmtpy/__init__.py
if TYPE_CHECKING:
    from vmtpy.errors import NotVMwareError


def off_vmware(command: str, error: NotVMwareError) -> int:
    """Says that this is not VMware. Returns the exit code that vmware-rpctool has for it."""
    print(f"vmtpy {command}: {error}", file=sys.stderr)
    print(f"vmtpy {command}: {error.hint}", file=sys.stderr)
    return 255
