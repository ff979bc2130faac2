"""The commands of the command line, one module each.

Each module has `parser()`, which man pages and completion read, and `main(arguments)`, which
returns the exit code.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # see vmtpy/__init__.py
if TYPE_CHECKING:
    from vmtpy.errors import NotVMwareError


def off_vmware(command: str, error: NotVMwareError) -> int:
    """Prints that this is not VMware. Returns 255, vmware-rpctool's exit code for this case."""
    print(f"vmtpy {command}: {error}", file=sys.stderr)
    print(f"vmtpy {command}: {error.hint}", file=sys.stderr)
    return 255
