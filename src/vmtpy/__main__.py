"""The command line `vmtpy COMMAND …`: finds the command's module, runs it and prints its errors.

Each command is a module of vmtpy.cli. Only the module of the command that runs is imported, so
that `vmtpy rpc` starts quickly.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal itself costs 7 ms
import importlib
import sys

from vmtpy.ending import at_once, guarded

# command → (module under vmtpy.cli, one line of help)
COMMANDS = {
    "demo": "prove a quiesced snapshot on this machine: writers, freeze, copy, check",
    "run": "run the guest agent in the foreground",
    "status": "show the state of the running agent",
    "doctor": "list what would make a quiesced snapshot fail here, with remedies",
    "config": "check or show the agent's configuration, or print an example",
    "install-service": "install the agent as a service of systemd or OpenRC",
    "uninstall-service": "remove the service that install-service has installed",
    "migrate": "write vmtpy's configuration from that of open-vm-tools; list what is lost",
    "emulate": "run a program as if in a VMware virtual machine",
    "record": "run a program and record what vmtpy in it says to the host",
    "probe": "tell whether this is VMware, and how its backdoor answers",
    "rpc": "send RPCI requests to the host",
    "guestinfo": "read, write or watch guestinfo values",
    "plan": "show which filesystems would be frozen, in which order, and why not the rest",
    "freeze": "freeze filesystems, run a command, thaw",
    "thaw": "thaw filesystems that a dead agent left frozen",
    "completion": "print a completion script for bash, zsh or fish",
    "help": "list the commands, or show the help of one command",
}


def usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "usage: vmtpy [--version] COMMAND ...",
            "",
            "commands:",
            *lines,
            "",
            "`vmtpy COMMAND --help` shows the options of a command.",
        ]
    )


def main(arguments: list[str] | None = None) -> int:
    """Runs one command. Returns the exit code; 2 for a wrong command line."""
    hear_of_children()
    return guarded(lambda: dispatch(sys.argv[1:] if arguments is None else arguments))


def hear_of_children() -> None:
    """Undoes a parent's SIG_IGN for SIGCHLD, with which the kernel keeps no exit code: a hook or a
    command that failed would be unknown, or taken for one that succeeded.
    """
    if _signal.getsignal(_signal.SIGCHLD) == _signal.SIG_IGN:
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)


def dispatch(arguments: list[str]) -> int:
    if arguments and arguments[0] in ("-h", "--help"):
        print(usage())
        return 0
    if arguments and arguments[0] in ("-V", "--version"):
        from vmtpy import __version__

        print(f"vmtpy {__version__}")
        return 0
    if not arguments:
        print(usage(), file=sys.stderr)
        return 2
    if arguments[0] not in COMMANDS:
        print(
            f"vmtpy: there is no command {arguments[0]}; `vmtpy help` lists the commands",
            file=sys.stderr,
        )
        return 2
    return run(arguments[0], arguments[1:])


def run(command: str, arguments: list[str]) -> int:
    with at_once():
        from vmtpy.errors import VmtError

        module = importlib.import_module(f"vmtpy.cli.{command.replace('-', '_')}")
    try:
        return int(module.main(arguments))
    except VmtError as error:
        print(f"vmtpy {command}: {error}", file=sys.stderr)
        if error.hint:
            print(f"vmtpy {command}: {error.hint}", file=sys.stderr)
        # A command whose exit code is that of another program has a code of its own for this.
        return int(getattr(module, "EXIT_OWN_FAILURE", 1))


if __name__ == "__main__":
    sys.exit(main())
