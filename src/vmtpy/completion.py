"""Makes the scripts by which shells complete vmtpy's command line, from its parsers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmtpy.command_line import Command, commands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmtpy.command_line import Argument

TOP = ("--help", "--version")

BASH = r"""
# Completes a value: "file", "directory", "program", or one of some words.
_vmtpy_value() {
    case $1 in
        file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
        directory) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
        program) mapfile -t COMPREPLY < <(compgen -c -- "$current") ;;
        *) mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current") ;;
    esac
}

_vmtpy() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
    local command= action= words= value= program= i
    COMPREPLY=()
    if [[ $current == = ]]; then
        current=
    elif [[ $previous == = ]]; then
        previous=${COMP_WORDS[COMP_CWORD-2]}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --) program=$i; break ;;
            -*) ;;
            *) if [[ -z $command ]]; then command=${COMP_WORDS[i]}
               elif [[ -z $action ]]; then action=${COMP_WORDS[i]}; fi ;;
        esac
    done
    if [[ -n $program ]]; then
        if ((COMP_CWORD == program + 1)); then _vmtpy_value program; else _vmtpy_value file; fi
        return
    fi
""".lstrip()


def script(shell: str) -> str:
    """The script for a shell, "bash", "zsh" or "fish"."""
    makers = {"bash": bash, "zsh": zsh, "fish": fish}
    lines = makers[shell](commands())
    return "\n".join(lines) + "\n"


def short(name: str) -> str:
    """The last word of a command's name."""
    return name.rpartition(" ")[2]


# bash


def bash(known: list[Command]) -> Iterator[str]:
    yield "# Completion of vmtpy for bash, made by `vmtpy completion bash`."
    yield BASH.rstrip()
    yield "    case $command in"
    names = " ".join([*(short(one.name) for one in known), *TOP])
    yield f'        "") words="{names}" ;;'
    for command in known:
        yield f"        {short(command.name)})"
        if command.actions:
            actions = "|".join(short(action.name) for action in command.actions)
            yield f"            case $action in {actions}) ;; *) action= ;; esac"
            yield "            case $action in"
            yield '                "")'
            offered = [short(action.name) for action in command.actions]
            yield from bash_command(command, " " * 20, offered)
            yield "                    ;;"
            for action in command.actions:
                yield f"                {short(action.name)})"
                yield from bash_command(action, " " * 20)
                yield "                    ;;"
            yield "            esac"
        else:
            yield from bash_command(command, " " * 12)
        yield "            ;;"
    yield "    esac"
    yield "    # Words begin with a dash where an option is typed; else it is a word's place."
    yield '    if [[ $current != -* && -n $value ]]; then _vmtpy_value "$value"; return; fi'
    yield '    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")'
    yield "}"
    yield "complete -F _vmtpy vmtpy"


def bash_command(command: Command, indent: str, offered: list[str] | None = None) -> Iterator[str]:
    """The lines that set $words and $value; they complete the value of an option at once."""
    taking = [option for option in command.options if option.value]
    if taking:
        yield f"{indent}case $previous in"
        for option in taking:
            values = " ".join(option.choices) or option.kind
            action = f'_vmtpy_value "{values}"; return' if values else "return"
            yield f"{indent}    {'|'.join(option.names)}) {action} ;;"
        yield f"{indent}esac"
    options = [name for option in command.options for name in option.names]
    yield f'{indent}words="{" ".join([*(offered or []), *options])}"'
    if command.words:
        place = command.words[-1]
        if values := " ".join(place.choices) or place.kind:
            yield f'{indent}value="{values}"'


# zsh


def zsh(known: list[Command]) -> Iterator[str]:
    yield "#compdef vmtpy"
    yield "# Completion of vmtpy for zsh, made by `vmtpy completion zsh`."
    for command in known:
        for function in (*command.actions, command):
            yield from zsh_command(function)
    yield from zsh_choice("_vmtpy", known, ["'(- *)'{-V,--version}'[print the version]'"])
    yield '_vmtpy "$@"'


def zsh_command(command: Command) -> Iterator[str]:
    arguments = [zsh_option(option) for option in command.options]
    name = zsh_name(command)
    if command.actions:
        yield from zsh_choice(name, command.actions, arguments)
        return
    arguments += [zsh_word(word) for word in command.words]
    if command.program:
        arguments.append("'*::program:_normal'")
    yield f"{name}() {{"
    yield "  _arguments -s \\"
    yield " \\\n".join(f"    {argument}" for argument in arguments)
    yield "}"


def zsh_choice(name: str, among: list[Command], arguments: list[str]) -> Iterator[str]:
    """A function that completes one of some commands, and then the arguments of that command."""
    yield f"{name}() {{"
    yield "  local curcontext=$curcontext state line"
    yield "  local -a choices=("
    for one in among:
        yield f"    {zsh_quoted(short(one.name) + ':' + one.summary)}"
    yield "  )"
    yield "  _arguments -C \\"
    for argument in arguments:
        yield f"    {argument} \\"
    yield "    '1:command:->choice' '*::argument:->argument'"
    yield "  case $state in"
    yield "    choice) _describe command choices ;;"
    yield "    argument)"
    yield "      case $words[1] in"
    for one in among:
        yield f"        {short(one.name)}) {zsh_name(one)} ;;"
    yield "      esac ;;"
    yield "  esac"
    yield "}"


def zsh_name(command: Command) -> str:
    return "_" + command.name.replace(" ", "_").replace("-", "_")


def zsh_option(one: Argument) -> str:
    text = one.text.replace("[", r"\[").replace("]", r"\]")
    value = f":{zsh_escaped(one.value)}:{zsh_action(one)}" if one.value else ""
    quoted = zsh_quoted(f"[{text}]{value}")
    names = one.names[0] if len(one.names) == 1 else f"{{{','.join(one.names)}}}"
    return f"'*'{names}{quoted}"


def zsh_word(one: Argument) -> str:
    place = "*" if one.number in ("*", "+") else ":" if one.number == "?" else ""
    return zsh_quoted(f"{place}:{zsh_escaped(one.value)}:{zsh_action(one)}")


def zsh_action(one: Argument) -> str:
    if one.choices:
        return f"({' '.join(one.choices)})"
    return {"file": "_files", "directory": "_files -/", "": " "}[one.kind]


def zsh_escaped(text: str) -> str:
    return text.replace(":", r"\:")


def zsh_quoted(text: str) -> str:
    return "'" + text.replace("'", r"'\''") + "'"


# fish


def fish(known: list[Command]) -> Iterator[str]:
    yield "# Completion of vmtpy for fish, made by `vmtpy completion fish`."
    yield "complete -c vmtpy -f"
    yield "complete -c vmtpy -n __fish_use_subcommand -l help -d 'what there is'"
    yield "complete -c vmtpy -n __fish_use_subcommand -s V -l version -d 'print the version'"
    for command in known:
        name = short(command.name)
        summary = fish_quoted(command.summary)
        yield f"complete -c vmtpy -n __fish_use_subcommand -a {name} -d {summary}"
        seen = f"__fish_seen_subcommand_from {name}"
        actions = " ".join(short(action.name) for action in command.actions)
        for action in command.actions:
            none = f"{seen}; and not __fish_seen_subcommand_from {actions}"
            what = f"-a {short(action.name)} -d {fish_quoted(action.summary)}"
            yield f"complete -c vmtpy -n '{none}' {what}"
            chosen = f"{seen}; and __fish_seen_subcommand_from {short(action.name)}"
            yield from fish_arguments(action, chosen)
        yield from fish_arguments(command, seen)


def fish_arguments(command: Command, condition: str) -> Iterator[str]:
    for option in command.options:
        names = " ".join(
            f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names
        )
        value = f" {fish_values(option)}" if option.value else ""
        yield f"complete -c vmtpy -n '{condition}' {names}{value} -d {fish_quoted(option.text)}"
    for word in command.words:
        if word.choices or word.kind:
            yield f"complete -c vmtpy -n '{condition}' {fish_values(word).removeprefix('-x ')}"


def fish_values(one: Argument) -> str:
    if one.choices:
        return f"-x -a {fish_quoted(' '.join(one.choices))}"
    return {
        "file": "-r -F",
        "directory": "-x -a '(__fish_complete_directories)'",
        "": "-x",
    }[one.kind]


def fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
