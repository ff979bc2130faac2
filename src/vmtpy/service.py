"""The agent as a service of systemd or OpenRC: renders, installs and removes the service's file.

It serves `vmtpy install-service` and `uninstall-service`. The templates are data/vmtpy.service and
data/vmtpy.openrc, in which the command of this installation is filled in.
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

ROOT = Path("/")  # the root directory of the running system
DATA = Path(__file__).parent / "data"
COMMAND = "/usr/local/bin/vmtpy"  # the command in the templates
TIMEOUT = 120.0  # seconds, for one command of the service manager; the agent thaws sooner


MOVE = "move or remove that file first"


class ServiceError(VmtError):
    """The service could not be installed or removed; the text says why."""


@dataclass(frozen=True, slots=True)
class Manager:
    """A kind of service manager.

    Attributes:
        name: "systemd" or "OpenRC".
        sign: a path that exists while this manager runs, relative to the root.
        template: the name of the template in vmtpy/data.
        file: the path of the service's file, relative to the root.
        mode: the mode of that file.
        enable: commands to run after the file has been installed.
        disable: commands to run before the file is removed.
        forget: commands to run after the file has been removed.
        link: the symbolic link that enables the service, relative to the root.
        programs: programs of this manager, relative to the root; a system that has the manager has
            at least one of them.
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
        ServiceError: neither systemd nor OpenRC runs.
    """
    for kind in (SYSTEMD, OPENRC):
        if (root / kind.sign).exists():
            return kind
    raise ServiceError(
        "neither systemd nor OpenRC runs here: start `vmtpy run` by another service manager, or, "
        "where an image is built, use `--root /`; `--print systemd` and `--print openrc` show the "
        "files"
    )


def manager_of(root: Path) -> Manager:
    """The service manager of a system that does not run, such as an image.

    Raises:
        ServiceError: the system has neither systemd nor OpenRC, or both.
    """
    kinds = [
        kind for kind in KINDS.values() if any((root / path).exists() for path in kind.programs)
    ]
    if len(kinds) != 1:
        what = "both systemd and OpenRC" if kinds else "neither systemd nor OpenRC"
        raise ServiceError(f"{root} has {what}: choose one, as by `--kind systemd`")
    return kinds[0]


def command() -> list[str]:
    """The command that starts this installation of vmtpy."""
    script = Path(sys.argv[0])
    if script.name == "vmtpy" and os.access(script, os.X_OK):
        return [str(script.absolute())]
    return [sys.executable, "-m", "vmtpy"]


def render(kind: Manager, called: list[str], config: str = "") -> str:
    """The text of the service's file.

    Args:
        kind: the service manager.
        called: the command that starts vmtpy; its first word is an absolute path.
        config: the absolute path of the configuration file; "" for none.
    """
    template = (DATA / kind.template).read_text(encoding="utf-8")
    run = [*called, "run", *(["--config", config] if config else [])]
    thaw = [*called, "thaw"]
    if kind is OPENRC:
        arguments = shlex.quote(" ".join(shlex.quote(word) for word in run[1:]))
        template = template.replace(f'command="{COMMAND}"', f"command={shlex.quote(run[0])}")
        template = template.replace('command_args="run"', f"command_args={arguments}")
        return template.replace(f"{COMMAND} thaw", shlex.join(thaw))
    template = template.replace(f"={COMMAND} run", f"={' '.join(map(quote, run))}")
    return template.replace(f"=-{COMMAND} thaw", f"=-{' '.join(map(quote, thaw))}")


def quote(word: str) -> str:
    """A word of a command, quoted by the rules of systemd.service(5)."""
    word = word.replace("%", "%%").replace("$", "$$")
    if word and all(letter.isalnum() or letter in "%$/._-+:@,=" for letter in word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def install(kind: Manager, text: str, root: Path = ROOT, *, runs: bool = True) -> Path:
    """Writes the file and enables the service; on the running system it also starts the service.

    If a step fails, the steps before it are undone, so that an earlier service runs again.

    Args:
        kind: the service manager.
        text: the text of the file.
        root: the root directory of the system.
        runs: whether this is the running system. If not, only files are made, and no command of
            the service manager runs.

    Returns:
        The path of the file.

    Raises:
        ServiceError: vmtpy did not write the file that is there, or the service manager failed.
        SystemCallError: the file cannot be written.
    """
    file = root / kind.file
    earlier = file.exists()
    if earlier and not is_ours(file):
        raise ServiceError(f"{file} was not written by vmtpy and was left as it is: {MOVE}")
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
    """Stops and disables the service, then removes its file.

    Returns:
        The path of the file; None if there was no file.

    Raises:
        ServiceError: vmtpy did not write the file, or the service manager failed.
        SystemCallError: the file cannot be removed.
    """
    file = root / kind.file
    if not file.exists():
        return None
    if not is_ours(file):
        raise ServiceError(f"{file} was not written by vmtpy and was left as it is: {MOVE}")
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
    for words in commands:
        line = " ".join(words)
        try:
            done = subprocess.run(
                words, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ServiceError(f"`{line}` could not be run: {error}") from error
        if done.returncode != 0:
            reason = done.stderr.strip() or f"exit code {done.returncode}"
            raise ServiceError(f"`{line}` failed: {reason}")


def suppressed(commands: Sequence[tuple[str, ...]]) -> None:
    """Runs each of the commands, and ignores failures. It serves to undo steps."""
    for words in commands:
        with suppress(ServiceError):
            run((words,))
