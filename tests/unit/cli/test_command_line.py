"""`vmtpy help`, the man pages and the shells' completion, all made from the commands' parsers."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.patience import PATIENCE

from vmtpy.__main__ import COMMANDS, main, usage
from vmtpy.command_line import Command, commands, parser_of
from vmtpy.completion import script
from vmtpy.man_page import pages

ROOT = Path(__file__).parents[3]
KNOWN = commands()
# Of programs that are not ours: a sanitizer that is preloaded finds mistakes of theirs.
THEIRS = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
Capture = pytest.CaptureFixture[str]


def need(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"capability missing: {program}")
    return found


def with_actions() -> list[Command]:
    return [action for command in KNOWN for action in (command, *command.actions)]


def test_help_says_what_the_option_says(capsys: Capture) -> None:
    assert main(["help"]) == 0
    assert capsys.readouterr().out == usage() + "\n"
    for name in COMMANDS:
        with pytest.raises(SystemExit, match="0"):
            parser_of(name).parse_args(["--help"])
        expected = capsys.readouterr().out
        assert main(["help", name]) == 0
        assert capsys.readouterr().out == expected
    with pytest.raises(SystemExit, match="2"):
        main(["help", "nothing"])
    assert "choose from" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(pages()))
def test_the_man_page_in_the_repository_is_the_one_that_is_made(name: str) -> None:
    remedy = "`python -m vmtpy.man_page man` makes it anew"
    assert (ROOT / "man" / name).read_text() == pages()[name], remedy


def test_no_man_page_is_left_of_a_command_that_is_gone() -> None:
    assert {file.name for file in (ROOT / "man").iterdir()} == set(pages())


@pytest.mark.parametrize("command", KNOWN, ids=lambda command: command.name)
def test_a_man_page_shows_all_that_help_says(command: Command, capsys: Capture) -> None:
    groff = need("groff")
    assert main(["help", "--man", command.name.removeprefix("vmtpy ")]) == 0
    page = capsys.readouterr().out
    done = subprocess.run(
        [groff, "-man", "-ww", "-Tascii", "-P-cbou", "-rLL=200n"],
        input=page.encode("ascii"),
        env=THEIRS,
        capture_output=True,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stderr == b"", "groff warns of something"
    shown = " ".join(done.stdout.decode().split())
    for action in (command, *command.actions):
        for argument in (*action.options, *action.words):
            assert all(name in shown for name in argument.names)
            text = argument.text.replace("…", "...").replace("`", "`")
            assert " ".join(text.split())[:60] in shown
    assert command.summary in shown


def test_every_command_and_argument_has_a_help() -> None:
    for action in with_actions():
        assert action.description, action.name
        assert all(argument.text for argument in (*action.options, *action.words)), action.name


BASH = """\
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
compopt() { :; }  # works only while bash itself completes
_vmtpy
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The scripts, as files."""
    directory = tmp_path_factory.mktemp("completion")
    made = {}
    for shell in ("bash", "zsh", "fish"):
        made[shell] = directory / f"vmtpy.{shell}"
        made[shell].write_text(script(shell))
    return made


def by_bash(file: Path, line: str, where: Path) -> set[str]:
    words = shlex.split(line) + ([""] if line.endswith(" ") else [])
    done = subprocess.run(
        [need("bash"), "--norc", "-c", BASH, "bash", str(file), *words],
        capture_output=True,
        text=True,
        cwd=where,
        env=THEIRS,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("vmtpy ru", {"run"}),
        ("vmtpy un", {"uninstall-service"}),
        ("vmtpy run --log-level ", {"error", "warning", "info", "debug"}),
        ("vmtpy run --log-level = w", {"warning"}),
        ("vmtpy run --log-level =", {"error", "warning", "info", "debug"}),
        ("vmtpy run --config ", {"a.toml", "b"}),
        ("vmtpy run --re", {"--record"}),
        ("vmtpy demo --fs x", {"xfs"}),
        ("vmtpy install-service --root ", {"b"}),
        ("vmtpy guestinfo wa", {"watch"}),
        ("vmtpy guestinfo set --enc", {"--encoding"}),
        ("vmtpy config check ", {"a.toml", "b"}),
        ("vmtpy config check a", {"a.toml"}),
        ("vmtpy config show --c", {"--config"}),
        ("vmtpy help pro", {"probe"}),
        ("vmtpy completion ", {"bash", "zsh", "fish"}),
        ("vmtpy nothing ", set()),
        ("vmtpy freeze b -- unshar", {"unshare"}),
        ("vmtpy freeze b -- cp a", {"a.toml"}),
    ],
)
def test_bash_completes(
    line: str, offered: set[str], scripts: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "a.toml").touch()
    (tmp_path / "b").mkdir()
    assert by_bash(scripts["bash"], line, tmp_path) == offered


def test_bash_offers_every_command_and_option(scripts: dict[str, Path], tmp_path: Path) -> None:
    offered = by_bash(scripts["bash"], "vmtpy ", tmp_path)
    assert offered == {*COMMANDS, "--help", "--version"}
    for action in with_actions():
        found = by_bash(scripts["bash"], f"{action.name} -", tmp_path)
        assert found == {name for option in action.options for name in option.names}


def test_bash_completes_when_the_tabulator_is_typed(
    scripts: dict[str, Path], tmp_path: Path
) -> None:
    """Bash itself, on a terminal."""
    bash = need("bash")
    process, terminal = pty.fork()
    if process == 0:
        os.execve(bash, ["bash", "--norc", "--noprofile"], {"TERM": "dumb", "PS1": "> "})
    heard = b""
    try:
        typed = f'vmtpy() {{ echo "called $*."; }}; source {shlex.quote(str(scripts["bash"]))}\n'
        os.write(terminal, typed.encode() + b"vmtpy unin\t\n")
        deadline = time.monotonic() + 60
        while b"called uninstall-service." not in heard:
            assert time.monotonic() < deadline, heard
            if select.select([terminal], [], [], 1)[0]:
                heard += os.read(terminal, 4096)
    finally:
        os.close(terminal)  # bash is hung up
        os.waitpid(process, 0)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_itself_finds_no_mistake(shell: str, scripts: dict[str, Path]) -> None:
    subprocess.run([need(shell), "-n", str(scripts[shell])], env=THEIRS, check=True, timeout=60)


def by_fish(file: Path, line: str, home: Path) -> set[str]:
    done = subprocess.run(
        [
            need("fish"),
            "--no-config",
            "-c",
            'source $argv[1]; complete -C "$argv[2]"',
            str(file),
            line,
        ],
        capture_output=True,
        text=True,
        env={**THEIRS, "HOME": str(home)},
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    return {line.split("\t")[0] for line in done.stdout.splitlines()}


def test_fish_completes(scripts: dict[str, Path], tmp_path: Path) -> None:
    file = scripts["fish"]
    assert by_fish(file, "vmtpy ", tmp_path) == set(COMMANDS)
    assert by_fish(file, "vmtpy demo --fs ", tmp_path) == {"btrfs", "ext4", "xfs"}
    assert by_fish(file, "vmtpy guestinfo ", tmp_path) >= {"get", "set", "watch", "redact"}
    assert "--raw" in by_fish(file, "vmtpy guestinfo get --", tmp_path)
    assert "--raw" not in by_fish(file, "vmtpy guestinfo set --", tmp_path)


# zsh completes on a terminal alone: it is given one, and asked to list what it would offer.
ZSH = r"""
zmodload zsh/zpty
fpath=($2 $fpath)
zpty shell zsh -f -i
zpty -w shell "PS1='> '; fpath=($2 \$fpath); autoload -U compinit; compinit -u -d $2/dump"
zpty -w shell "zstyle ':completion:*' list-colors ''; LISTMAX=1000; echo rea''dy"
zpty -r shell heard '*ready*'
zpty -w -n shell $'vmtpy '$1$'\t'
zpty -w -n shell $'\n'
zpty -w shell "echo do''ne"
zpty -r shell heard '*done*'
print -r -- $heard
zpty -d shell
"""


def test_zsh_completes(scripts: dict[str, Path], tmp_path: Path) -> None:
    zsh = need("zsh")
    (tmp_path / "_vmtpy").write_text(scripts["zsh"].read_text())
    done = subprocess.run(
        [zsh, "-f", "-c", ZSH, "zsh", "unin", str(tmp_path)],
        env=THEIRS,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "vmtpy uninstall-service" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", done.stdout), done


def test_the_commands_of_the_page_run(tmp_path: Path) -> None:
    page = (ROOT / "docs/command-line.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    python = shlex.quote(sys.executable)
    need("man")
    shell = f'vmtpy() {{ {python} -m vmtpy "$@"; }}\nman() {{ env -u LD_PRELOAD man "$@"; }}\n'
    shell += "".join(blocks)
    done = subprocess.run(
        [need("bash"), "-euc", shell],
        env={**os.environ, "HOME": str(tmp_path), "MANPAGER": "cat", "PAGER": "cat"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "usage: vmtpy freeze" in done.stdout
    assert "VMTPY-FREEZE(1)" in re.sub(".\b", "", done.stdout)


def test_a_command_that_does_not_exist_is_named_in_one_line(capsys: Capture) -> None:
    assert main(["statsu"]) == 2
    expected = "vmtpy: there is no command statsu; `vmtpy help` lists the commands\n"
    assert capsys.readouterr() == ("", expected)
