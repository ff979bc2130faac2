"""The agent as a service of systemd or OpenRC: its file is rendered, installed and removed.

The files are vmtpy/data/vmtpy.service and vmtpy.openrc, with this installation's command.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vmtpy.errors import SystemCallError, VmtError
from vmtpy.replaced import link, on_failure, put_back, write

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path("/")  # of the running system
DATA = Path(__file__).parent / "data"
COMMAND = "/usr/local/bin/vmtpy"  # in the files
TIMEOUT = 120.0  # seconds, for the service manager; the agent itself thaws in less


class ServiceError(VmtError):
    """The service could not be installed or removed; the text says why."""


@dataclass(frozen=True, slots=True)
class Manager:
    """A kind of service manager.

    Attributes:
        name: "systemd" or "OpenRC".
        sign: exists where it runs, relative to the root.
        template: in vmtpy/data.
        file: where the service's file belongs, relative to the root.
        mode: of that file.
        enable, disable: commands that follow its installation and precede its removal.
        forget: commands that follow its removal.
        link: what enabling it makes, relative to the root: a link to the file.
        programs: one of these is in each system that has it, relative to the root.
    """

    name: str
    sign: str
    template: str
    file: str
    mode: int
    enable: tuple[tuple[str, ...], ...]
    disable: tuple[tuple[str, ...], ...]
    forget: tuple[tuple[str, ...], ...]
    link: str
    programs: tuple[str, ...]


SYSTEMD = Manager(
    "systemd",
    "run/systemd/system",  # sd_booted(3)
    "vmtpy.service",
    "etc/systemd/system/vmtpy.service",
    0o644,
    (
        ("systemctl", "daemon-reload"),
        ("systemctl", "enable", "vmtpy.service"),
        ("systemctl", "restart", "vmtpy.service"),
    ),
    (("systemctl", "disable", "--now", "vmtpy.service"),),
    (("systemctl", "daemon-reload"),),
    "etc/systemd/system/multi-user.target.wants/vmtpy.service",
    ("usr/lib/systemd/systemd", "lib/systemd/systemd"),
)
OPENRC = Manager(
    "OpenRC",
    "run/openrc",
    "vmtpy.openrc",
    "etc/init.d/vmtpy",
    0o755,
    (("rc-update", "add", "vmtpy", "default"), ("rc-service", "vmtpy", "restart")),
    (("rc-service", "--ifstarted", "vmtpy", "stop"), ("rc-update", "delete", "vmtpy", "--all")),
    (),
    "etc/runlevels/default/vmtpy",
    ("usr/sbin/openrc-run", "sbin/openrc-run"),
)
KINDS = {"systemd": SYSTEMD, "openrc": OPENRC}


def manager(root: Path = ROOT) -> Manager:
    """The service manager that runs here.

    Raises:
        ServiceError: there is none that is known.
    """
    for one in (SYSTEMD, OPENRC):
        if (root / one.sign).exists():
            return one
    raise ServiceError(
        "neither systemd nor OpenRC runs here; `vmtpy run` needs nothing of them. For an image "
        "that is being built: `--root /`; `--print systemd` or `--print openrc` shows the files"
    )


def manager_of(root: Path) -> Manager:
    """The service manager of a system that does not run.

    Raises:
        ServiceError: it has none that is known, or both.
    """
    found = [one for one in KINDS.values() if any((root / path).exists() for path in one.programs)]
    if len(found) != 1:
        what = "both systemd and OpenRC" if found else "neither systemd nor OpenRC"
        raise ServiceError(f"{root} has {what}: name one, as `--kind systemd`")
    return found[0]


def command() -> list[str]:
    """How this installation of vmtpy is called."""
    script = Path(sys.argv[0])
    if script.name == "vmtpy" and os.access(script, os.X_OK):
        return [str(script.absolute())]
    return [sys.executable, "-m", "vmtpy"]


def render(kind: Manager, called: list[str], config: str = "") -> str:
    """The service's file.

    Args:
        kind: for which service manager.
        called: how vmtpy is called, an absolute path first.
        config: absolute path of the configuration, "" for none.
    """
    template = (DATA / kind.template).read_text(encoding="utf-8")
    run = [*called, "run", *(["--config", config] if config else [])]
    thaw = [*called, "thaw"]
    if kind is OPENRC:
        arguments = shlex.quote(" ".join(shlex.quote(one) for one in run[1:]))
        template = template.replace(f'command="{COMMAND}"', f"command={shlex.quote(run[0])}")
        template = template.replace('command_args="run"', f"command_args={arguments}")
        return template.replace(f"{COMMAND} thaw", shlex.join(thaw))
    template = template.replace(f"={COMMAND} run", f"={' '.join(map(quote, run))}")
    return template.replace(f"=-{COMMAND} thaw", f"=-{' '.join(map(quote, thaw))}")


def quote(word: str) -> str:
    """A word of a command as systemd.service(5) has it."""
    word = word.replace("%", "%%").replace("$", "$$")
    if word and all(one.isalnum() or one in "%$/._-+:@,=" for one in word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def install(kind: Manager, text: str, root: Path = ROOT, *, runs: bool = True) -> Path:
    """Writes the file and enables the service; where the system runs, the service starts.

    If a step fails, those before it are undone: an earlier file is back and serves again.

    Args:
        kind: of the service manager.
        text: of the file.
        root: of the system.
        runs: it is the running one, whose service manager is told; otherwise only files are made.

    Raises:
        ServiceError: there is another file in its place, or the service manager refuses.
        SystemCallError: the file cannot be written.
    """
    file = root / kind.file
    earlier = file.exists()
    if earlier and not is_ours(file):
        raise ServiceError(f"{file} is not a file of vmtpy's; it stays as it is")
    again = [*kind.forget, *(kind.enable if earlier else ())] if runs else []
    with on_failure(lambda: suppressed(again)), put_back(file):
        write(file, text.encode(), kind.mode)
        if runs:
            with on_failure(lambda: suppressed([] if earlier else kind.disable)):
                run(kind.enable)
        else:
            link(root / kind.link, f"/{kind.file}")
    return file


def uninstall(kind: Manager, root: Path = ROOT, *, runs: bool = True) -> Path | None:
    """Stops and disables the service, then removes its file. None if there was none.

    Raises:
        ServiceError: it is not ours, or the service manager refuses.
        SystemCallError: the file cannot be removed.
    """
    file = root / kind.file
    if not file.exists():
        return None
    if not is_ours(file):
        raise ServiceError(f"{file} is not a file of vmtpy's; it stays as it is")
    if runs:
        run(kind.disable)
    try:
        if not runs:
            (root / kind.link).unlink(missing_ok=True)
        file.unlink()
    except OSError as error:
        raise SystemCallError("unlink", str(error.filename or file), error.errno or 0) from error
    if runs:
        run(kind.forget)
    return file


def is_ours(file: Path) -> bool:
    return "The guest agent as a service of" in file.read_text("utf-8", "replace")[:200]


def run(commands: Sequence[tuple[str, ...]]) -> None:
    for one in commands:
        try:
            done = subprocess.run(
                one, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ServiceError(f"{' '.join(one)}: {error}") from error
        if done.returncode != 0:
            raise ServiceError(f"{' '.join(one)}: {done.stderr.strip() or done.returncode}")


def suppressed(commands: Sequence[tuple[str, ...]]) -> None:
    """Runs commands that undo something; each is tried, and none can fail."""
    for one in commands:
        with suppress(ServiceError):
            run((one,))
