"""`vmtpy install-service`: the agent as a service of systemd or OpenRC, from now on and at boot."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vmtpy import service, udev
from vmtpy.config import load
from vmtpy.hooks.trust import distrust

if TYPE_CHECKING:
    from vmtpy.service import Manager

DESCRIPTION = (
    "Makes the agent a service of systemd or OpenRC, and starts it. Also installs the rules that "
    "give VMware disks 180 s for a request and open /dev/vsock to every user."
)
KINDS = {"systemd": service.SYSTEMD, "openrc": service.OPENRC}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="vmtpy install-service", description=DESCRIPTION)
    parser.add_argument("--config", metavar="FILE", help="configuration for the service, in TOML")
    parser.add_argument(
        "--print",
        dest="shown",
        metavar="KIND",
        nargs="?",
        const="here",
        choices=("here", *KINDS),
        help="only show the file, of systemd or openrc (default: what runs here)",
    )
    options = parser.parse_args(arguments)
    config = ""
    if options.config:
        load(options.config)  # a service that cannot start is not installed
        config = str(Path(options.config).absolute())
    kind = KINDS.get(options.shown) or service.manager()
    called = service.command()
    text = service.render(kind, called, config)
    if options.shown:
        print(text, end="")
        return 0
    if reason := distrust(called[0]):
        print(f"careful: the service runs as root, but {reason}", file=sys.stderr)
    rules, file = install(kind, text)
    print(f"{rules} installed: VMware disks are given {udev.SECONDS} s, not 30, for a request")
    if failed := udev.apply():
        print(f"the rules count from the next boot: {failed}", file=sys.stderr)
    print(f"{file} installed; the service starts at boot and, where VMware is, now")
    print("`vmtpy doctor` tells whether snapshots will work, `vmtpy status` how the agent is")
    return 0


def install(kind: Manager, text: str) -> tuple[Path, Path]:
    """Rules and service; where the service cannot be installed, new rules do not stay either."""
    there = (Path("/") / udev.FILE).exists()
    rules = udev.install()
    try:
        return rules, service.install(kind, text)
    except BaseException:
        if not there:
            udev.uninstall()
        raise
