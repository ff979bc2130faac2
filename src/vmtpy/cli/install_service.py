"""`vmtpy install-service`: installs the agent as a service, and starts it now and at each boot.

It is for administrators and image builds. service.py knows systemd and OpenRC, udev.py the rules.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from vmtpy import service, udev
from vmtpy.config import FILE, find, load
from vmtpy.doctor import machine
from vmtpy.hooks.trust import distrust
from vmtpy.parser import Parser
from vmtpy.replaced import put_back
from vmtpy.root import need_root
from vmtpy.service import ServiceError

DESCRIPTION = (
    "Installs the agent as a service of systemd or OpenRC, and starts it. Also installs the udev "
    "rules that give VMware disks 180 s for a request and open /dev/vsock to every user. If a step "
    "fails, the steps before it are undone."
)


def parser() -> Parser:
    made = Parser(prog="vmtpy install-service", description=DESCRIPTION)
    made.add_argument(
        "--config",
        metavar="FILE",
        help=f"the service's configuration, a TOML file (default: {FILE}, if it exists)",
    )
    made.add_argument(
        "--root",
        metavar="DIR",
        help="write and enable the service in the tree DIR, where an image is built (`/` in a "
        "chroot or a Dockerfile); no service is started, and paths are those inside the tree",
    )
    made.add_argument(
        "--kind",
        choices=tuple(service.KINDS),
        help="the service manager (default: the one that runs here, or that DIR has)",
    )
    made.add_argument(
        "--command",
        metavar="PATH",
        help="the program that the service starts (default: this program)",
    )
    made.add_argument(
        "--print",
        dest="shown",
        metavar="KIND",
        nargs="?",
        const="here",
        choices=("here", *service.KINDS),
        help="only print the file for systemd or openrc (default: the one that runs here)",
    )
    return made


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    root = Path(options.root or service.ROOT).absolute()
    if not root.is_dir():
        raise ServiceError(f"--root {root} is not a directory")
    config = options.config and str(
        Path("/", options.config) if options.root else Path(options.config).absolute()
    )
    check_configuration(config, root)
    kind = service.KINDS.get(options.shown) or service.KINDS.get(options.kind)
    if kind is None:
        kind = service.manager_of(root) if options.root else service.manager(root)
    called = [options.command] if options.command else service.command()
    text = service.render(kind, called, config or "")
    if options.shown:
        print(text, end="")
        return 0
    if options.root:
        return into_image(kind, text, root, called[0])
    need_root()
    if reason := distrust(called[0]):
        print(f"warning: the service runs as root, but {reason}", file=sys.stderr)
    rules, file = install(kind, text, root, runs=True)
    print(f"installed {rules}: VMware disks get {udev.SECONDS} s for a request instead of 30 s")
    if failed := udev.apply():
        print(f"the udev rules take effect at the next boot: {failed}", file=sys.stderr)
    print(f"installed {file}: the service starts at boot and, on VMware, now")
    for finding in machine.check_clients(Path("/proc")):
        if finding.level == "problem":
            print(f"warning: {finding.text}: {finding.remedy}", file=sys.stderr)
    print(
        "`vmtpy doctor` tells whether snapshots will work; `vmtpy status` shows the agent's state"
    )
    return 0


def check_configuration(config: str | None, root: Path) -> None:
    """Checks the configuration that the service will read, so that it can start.

    Raises:
        ConfigError: the file does not exist or has a mistake.
    """
    if config or root == service.ROOT:
        named = str(root / config.lstrip("/")) if config else find(None)
    else:
        inside = root / FILE.lstrip("/")
        named = str(inside) if os.path.lexists(inside) else ""
    load(named)


def into_image(kind: service.Manager, text: str, root: Path, called: str) -> int:
    if not os.path.lexists(root / called.lstrip("/")):
        raise ServiceError(
            f"{called} does not exist in {root}: install vmtpy in that tree first, or give its "
            "path inside the tree with --command"
        )
    rules, file = install(kind, text, root, runs=False)
    print(f"installed {rules} and {file}: the service starts when the image boots on VMware")
    return 0


def install(kind: service.Manager, text: str, root: Path, *, runs: bool) -> tuple[Path, Path]:
    """Installs the udev rules and the service, or neither. Returns both files."""
    with put_back(root / udev.FILE):
        return udev.install(root), service.install(kind, text, root, runs=runs)
