"""`vmtpy uninstall-service`: stops the service and removes what `vmtpy install-service` installed.

It relies on service.py for the service's file and on udev.py for the udev rules.
"""

from __future__ import annotations

from pathlib import Path

from vmtpy import service, udev
from vmtpy.parser import Parser
from vmtpy.root import need_root

DESCRIPTION = "Stops and disables the service, and removes its file and the udev rules."


def parser() -> Parser:
    made = Parser(prog="vmtpy uninstall-service", description=DESCRIPTION)
    made.add_argument(
        "--root",
        metavar="DIR",
        help="remove the files from the tree DIR, where an image is built; no service is stopped",
    )
    made.add_argument(
        "--kind",
        choices=tuple(service.KINDS),
        help="the service manager (default: the one that runs here, or that DIR has)",
    )
    return made


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    if not options.root:
        need_root()
    root = Path(options.root or service.ROOT).absolute()
    kind = service.KINDS.get(options.kind)
    if kind is None:
        kind = service.manager_of(root) if options.root else service.manager(root)
    file = service.uninstall(kind, root, runs=not options.root)
    print(f"removed {file}" if file else "vmtpy's service is not installed")
    if rules := udev.uninstall(root):
        print(f"removed {rules}; disks keep their SCSI timeout until the next boot")
    return 0
