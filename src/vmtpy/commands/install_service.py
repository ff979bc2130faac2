"""`vmtpy install-service`: the agent as a service of systemd or OpenRC, from now on and at boot."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from vmtpy import service, udev
from vmtpy.config import FILE, find, load
from vmtpy.hooks.trust import distrust
from vmtpy.privilege import need_root
from vmtpy.replaced import put_back
from vmtpy.service import ServiceError

DESCRIPTION = (
    "Makes the agent a service of systemd or OpenRC, and starts it. Also installs the rules that "
    "give VMware disks 180 s for a request and open /dev/vsock to every user. If a step fails, "
    "those before it are undone."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="vmtpy install-service", description=DESCRIPTION)
    made.add_argument(
        "--config",
        metavar="FILE",
        help=f"configuration for the service, in TOML (default: {FILE}, if it is there)",
    )
    made.add_argument(
        "--root",
        metavar="DIR",
        help="write and enable the service in this tree, where an image is built (`/` in a chroot "
        "or a Dockerfile); nothing is started, and paths are those inside",
    )
    made.add_argument(
        "--kind",
        choices=tuple(service.KINDS),
        help="the service manager (default: what runs here, or what DIR has)",
    )
    made.add_argument(
        "--command",
        metavar="PATH",
        help="the program that the service starts (default: this one)",
    )
    made.add_argument(
        "--print",
        dest="shown",
        metavar="KIND",
        nargs="?",
        const="here",
        choices=("here", *service.KINDS),
        help="only show the file, of systemd or openrc (default: what runs here)",
    )
    return made


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    root = Path(options.root or service.ROOT).absolute()
    if not root.is_dir():
        raise ServiceError(f"--root {root}: not a directory")
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
        print(f"careful: the service runs as root, but {reason}", file=sys.stderr)
    rules, file = install(kind, text, root, runs=True)
    print(f"{rules} installed: VMware disks are given {udev.SECONDS} s, not 30, for a request")
    if failed := udev.apply():
        print(f"the rules count from the next boot: {failed}", file=sys.stderr)
    print(f"{file} installed; the service starts at boot and, where VMware is, now")
    print("`vmtpy doctor` tells whether snapshots will work, `vmtpy status` how the agent is")
    return 0


def check_configuration(config: str | None, root: Path) -> None:
    """A service that cannot start is not installed.

    Raises:
        ConfigError: there is no such file, or it has a mistake.
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
            f"{root} has no {called}: install vmtpy there first, or name its path inside with "
            "--command"
        )
    rules, file = install(kind, text, root, runs=False)
    print(f"{rules} and {file} installed; the service starts when the image boots on VMware")
    return 0


def install(kind: service.Manager, text: str, root: Path, *, runs: bool) -> tuple[Path, Path]:
    """Rules and service; both or none."""
    with put_back(root / udev.FILE):
        return udev.install(root), service.install(kind, text, root, runs=runs)
