"""The command line: `vmtpy COMMAND …`. Only the module of the command that runs is imported."""

from __future__ import annotations

import importlib
import sys

from vmtpy.ending import at_once, guarded

# command → (module under vmtpy.commands, one line of help)
COMMANDS = {
    "demo": "prove a quiesced snapshot on this machine: writers, freeze, copy, check",
    "run": "the guest agent, in the foreground",
    "status": "how the running agent is",
    "doctor": "what would keep a quiesced snapshot from working here, with remedies",
    "config": "the agent's configuration: check, show, example",
    "install-service": "make the agent a service of systemd or OpenRC",
    "uninstall-service": "undo that",
    "migrate": "from open-vm-tools to vmtpy, with a word on everything that is lost",
    "emulate": "run a program as if in a VMware virtual machine",
    "probe": "whether this is VMware, and by which way its backdoor answers",
    "rpc": "send RPCI requests to the host",
    "guestinfo": "get or set a guestinfo value",
    "plan": "show what would be frozen, in which order, and what not and why",
    "freeze": "freeze filesystems, run a command, thaw",
    "thaw": "thaw what a dead agent left frozen",
    "completion": "a script with which bash, zsh or fish complete this command line",
    "help": "what the commands are, or what one of them takes",
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
            "`vmtpy COMMAND --help` says more.",
        ]
    )


def main(arguments: list[str] | None = None) -> int:
    """Runs one command. Returns the exit code; 2 for a wrong command line."""
    return guarded(lambda: dispatch(sys.argv[1:] if arguments is None else arguments))


def dispatch(arguments: list[str]) -> int:
    if arguments and arguments[0] in ("-h", "--help"):
        print(usage())
        return 0
    if arguments and arguments[0] in ("-V", "--version"):
        from vmtpy import __version__

        print(f"vmtpy {__version__}")
        return 0
    if not arguments or arguments[0] not in COMMANDS:
        if arguments:
            print(f"vmtpy: no such command: {arguments[0]}", file=sys.stderr)
        print(usage(), file=sys.stderr)
        return 2
    return run(arguments[0], arguments[1:])


def run(command: str, arguments: list[str]) -> int:
    with at_once():
        from vmtpy.errors import VmtError

        module = importlib.import_module(f"vmtpy.commands.{command.replace('-', '_')}")
    try:
        return int(module.main(arguments))
    except VmtError as error:
        print(f"vmtpy {command}: {error}", file=sys.stderr)
        if error.hint:
            print(f"vmtpy {command}: {error.hint}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
