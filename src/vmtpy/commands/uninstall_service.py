"""`vmtpy uninstall-service`: ends the service, removes its file and the rules for udev."""

from __future__ import annotations

import argparse

from vmtpy import service, udev

DESCRIPTION = "Stops and disables the service, and removes its file and the rules for udev."


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="vmtpy uninstall-service", description=DESCRIPTION)
    parser.parse_args(arguments)
    file = service.uninstall(service.manager())
    print(f"{file} removed" if file else "the service is not installed")
    if rules := udev.uninstall():
        print(f"{rules} removed; disks keep their time limit until the next boot")
    return 0
