"""`vmtpy uninstall-service`: ends the service and removes its file."""

from __future__ import annotations

import argparse

from vmtpy import service

DESCRIPTION = "Stops and disables the service, and removes its file."


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="vmtpy uninstall-service", description=DESCRIPTION)
    parser.parse_args(arguments)
    file = service.uninstall(service.manager())
    print(f"{file} removed" if file else "the service is not installed")
    return 0
