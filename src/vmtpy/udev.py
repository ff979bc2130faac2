"""The rules for udev that come with the service: VMware disks are given 180 s for a request, and
/dev/vsock is open to every user. Where no udev runs, devices keep what the kernel gave them.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from vmtpy.errors import SystemCallError, VmtError
from vmtpy.replaced import write

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).parent / "data" / "60-vmtpy.rules"
FILE = "etc/udev/rules.d/60-vmtpy.rules"
FIRST_LINE = "# What VMware's virtual machines need of udev."
# udev(7); a file of an earlier directory hides one of the same name in a later one.
PLACES = (
    "etc/udev/rules.d",
    "run/udev/rules.d",
    "usr/local/lib/udev/rules.d",
    "usr/lib/udev/rules.d",
    "lib/udev/rules.d",
)
SECONDS = 180  # that a disk may take for a request
TIMEOUT = 60.0  # seconds, for udevadm
APPLY = (
    ("udevadm", "control", "--reload"),
    # "add" as at each boot; the vendor's match keeps it to VMware's devices.
    ("udevadm", "trigger", "--action=add", "--subsystem-match=scsi", "--attr-match=vendor=VMware*"),
    ("udevadm", "trigger", "--action=add", "--subsystem-match=misc", "--sysname-match=vsock"),
)


class UdevError(VmtError):
    """The rules could not be installed, removed or applied; the text says why."""


def install(root: Path = Path("/")) -> Path:
    """Writes the rules file. apply() makes it count for devices that are there.

    Raises:
        UdevError: there is another file in its place.
        SystemCallError: it cannot be written.
    """
    file = root / FILE
    _refuse_others(file)
    write(file, SOURCE.read_bytes(), 0o644)  # udev reads *.rules alone
    return file


def uninstall(root: Path = Path("/")) -> Path | None:
    """Removes the rules file; devices keep what they have until the next boot. None: it was gone.

    Raises:
        UdevError: there is another file in its place.
        SystemCallError: it cannot be removed.
    """
    file = root / FILE
    if not file.exists():
        return None
    _refuse_others(file)
    try:
        file.unlink()
    except OSError as error:
        raise SystemCallError("unlink", str(file), error.errno or 0) from error
    return file


def apply() -> str:
    """Has udev read its rules anew and use them for what is there. Returns what failed, or ""."""
    for command in APPLY:
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=TIMEOUT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{' '.join(command)}: {error}"
        if done.returncode != 0:
            return f"{' '.join(command)}: {done.stderr.strip() or done.returncode}"
    return ""


def disks(root: Path = Path("/")) -> Iterator[tuple[str, int]]:
    """VMware's SCSI disks, by name, with the seconds that each has for a request."""
    for block in sorted((root / "sys/block").glob("*")):
        try:
            vendor = (block / "device/vendor").read_text()
            seconds = int((block / "device/timeout").read_text())
            kind = (block / "device/type").read_text().strip()
        except (OSError, ValueError):  # no SCSI disk, or it has just been taken out
            continue
        if vendor.startswith("VMware") and kind == "0":
            yield block.name, seconds


def rules(root: Path = Path("/")) -> Path | None:
    """A file of rules that sets the disks' timeout, ours or open-vm-tools'; None if none does."""
    for place in PLACES:
        for file in sorted((root / place).glob("*.rules")):
            try:
                text = file.read_text("utf-8", "replace")
            except OSError:
                continue
            lines = [one for one in text.splitlines() if not one.lstrip().startswith("#")]
            if any("VMware" in one and 'ATTR{timeout}="' in one for one in lines):
                return file
    return None


def _refuse_others(file: Path) -> None:
    if file.exists() and not file.read_text("utf-8", "replace").startswith(FIRST_LINE):
        raise UdevError(f"{file} is not a file of vmtpy's; it stays as it is")
