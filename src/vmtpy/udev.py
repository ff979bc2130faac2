"""The udev rules that come with the service: they give VMware disks 180 s for a request, and open
/dev/vsock to every user.

It serves `vmtpy install-service` and `vmtpy doctor`. Without udev, devices keep the values that the
kernel sets.
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
# udev(7): a file in an earlier directory hides a file of the same name in a later one.
PLACES = (
    "etc/udev/rules.d",
    "run/udev/rules.d",
    "usr/local/lib/udev/rules.d",
    "usr/lib/udev/rules.d",
    "lib/udev/rules.d",
)
SECONDS = 180  # the time that the rules give a disk for a request
TIMEOUT = 60.0  # seconds, for udevadm
APPLY = (
    ("udevadm", "control", "--reload"),
    # The action of a boot is "add". The match on the vendor limits the trigger to VMware's devices.
    ("udevadm", "trigger", "--action=add", "--subsystem-match=scsi", "--attr-match=vendor=VMware*"),
    ("udevadm", "trigger", "--action=add", "--subsystem-match=misc", "--sysname-match=vsock"),
)


class UdevError(VmtError):
    """The udev rules could not be installed or removed; the text says why."""


def install(root: Path = Path("/")) -> Path:
    """Writes the rules file and returns its path. apply() applies it to devices that exist.

    Raises:
        UdevError: vmtpy did not write the file that is there.
        SystemCallError: the file cannot be written.
    """
    file = root / FILE
    _refuse_others(file)
    write(file, SOURCE.read_bytes(), 0o644)  # the temporary name of write() is not *.rules
    return file


def uninstall(root: Path = Path("/")) -> Path | None:
    """Removes the rules file. Devices keep their values until the next boot.

    Returns:
        The path of the file; None if there was no file.

    Raises:
        UdevError: vmtpy did not write the file.
        SystemCallError: the file cannot be removed.
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
    """Makes udev read its rules and apply them to devices that exist.

    Returns:
        The command that failed and why; "" if none failed.
    """
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
    """VMware's SCSI disks: the name and the timeout in seconds of each."""
    for block in sorted((root / "sys/block").glob("*")):
        try:
            vendor = (block / "device/vendor").read_text()
            seconds = int((block / "device/timeout").read_text())
            kind = (block / "device/type").read_text().strip()
        except (OSError, ValueError):  # not a SCSI disk, or it has just been removed
            continue
        if vendor.startswith("VMware") and kind == "0":
            yield block.name, seconds


def rules(root: Path = Path("/")) -> Path | None:
    """A rules file that sets the timeout of VMware's disks, by whomever; None if there is none."""
    for place in PLACES:
        for file in sorted((root / place).glob("*.rules")):
            try:
                text = file.read_text("utf-8", "replace")
            except OSError:
                continue
            lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
            if any("VMware" in line and 'ATTR{timeout}="' in line for line in lines):
                return file
    return None


def _refuse_others(file: Path) -> None:
    if file.exists() and not file.read_text("utf-8", "replace").startswith(FIRST_LINE):
        raise UdevError(
            f"{file} was not written by vmtpy and was left as it is: move or remove that file first"
        )
