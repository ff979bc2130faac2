"""`vmtpy uninstall-service`: ends the service, removes its file and the rules for udev."""

from __future__ import annotations

import argparse
from pathlib import Path

from vmtpy import service, udev
from vmtpy.privilege import need_root

DESCRIPTION = "Stops and disables the service, and removes its file and the rules for udev."


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="vmtpy uninstall-service", description=DESCRIPTION)
    made.add_argument(
        "--root", metavar="DIR", help="remove the files of this tree; nothing is stopped"
    )
    made.add_argument(
        "--kind",
        choices=tuple(service.KINDS),
        help="the service manager (default: what runs here, or what DIR has)",
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
    print(f"{file} removed" if file else "the service is not installed")
    if rules := udev.uninstall(root):
        print(f"{rules} removed; disks keep their time limit until the next boot")
    return 0
