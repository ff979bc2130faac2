"""Executables as hooks: found, ordered, called, limited, killed, quoted; real processes."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.hooks import seen, write_script
from support.patience import FAR, PATIENCE

from vmtpy.config import HooksConfig
from vmtpy.hooks import HookError, Hooks, directory, process
from vmtpy.hooks.process import KEPT, Ending, Process

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 4.0  # seconds, in which a hook has done its part on a busy machine


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / "hooks.d"
    directory.mkdir(mode=0o755)
    return directory


def hooks_of(place: Path, log: list[str] | None = None, **config: object) -> Hooks:
    taken = log.append if log is not None else lambda _: None
    return Hooks(HooksConfig(directory=str(place), **config), log=taken)


def gone(pid: int) -> bool:
    """True when there is no such process, or only its zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return True
    return state in "ZX"


def descriptors_of_this_process() -> list[int]:
    """All that are open."""
    found = []
    for name in sorted(os.listdir("/proc/self/fd"), key=int):  # noqa: PTH208 (names are numbers)
        with suppress(OSError):  # the one of the listing itself
            os.fstat(int(name))
            found.append(int(name))
    return found


def await_true(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def test_they_freeze_in_the_order_of_their_names_and_thaw_in_reverse(place: Path) -> None:
    for name in ("20-b", "10-a", "B", "a"):
        write_script(place / name)
    hooks = hooks_of(place)
    hooks.freeze()
    hooks.thaw(aborted=False)
    assert seen(place) == [
        *("10-a freeze", "20-b freeze", "B freeze", "a freeze"),
        *("a thaw", "B thaw", "20-b thaw", "10-a thaw"),
    ]


def test_without_its_exit_code_a_hook_has_failed(place: Path) -> None:
    write_script(place / "a")
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    descriptors = descriptors_of_this_process()
    try:
        with pytest.raises(
            HookError, match="hook a freeze has ended, but its exit code is unknown"
        ):
            hooks_of(place).freeze()
    finally:
        signal.signal(signal.SIGCHLD, before)
    # An earlier test's may still be closed.
    assert set(descriptors_of_this_process()) <= set(descriptors)


def test_an_aborted_backup_is_a_freeze_fail(place: Path) -> None:
    write_script(place / "a")
    hooks = hooks_of(place)
    hooks.freeze()
    hooks.thaw(aborted=True)
    assert seen(place) == ["a freeze", "a freezeFail"]


def test_who_fails_to_freeze_hears_freeze_fail_too_and_who_was_not_asked_does_not(
    place: Path,
) -> None:
    write_script(place / "a")
    write_script(place / "b", '[ "$1" = freezeFail ] || { echo "no lock"; exit 3; }')
    write_script(place / "c")
    log: list[str] = []
    with pytest.raises(HookError, match=r"^hook b freeze failed with exit code 3: no lock$"):
        hooks_of(place, log).freeze()
    assert seen(place) == ["a freeze", "b freeze", "b freezeFail", "a freezeFail"]
    assert log == ["hook b freeze: no lock"]


def test_an_optional_one_may_fail_and_is_asked_to_thaw_at_once(place: Path) -> None:
    write_script(place / "a", '[ "$1" != freeze ]')
    write_script(place / "b")
    log: list[str] = []
    hooks = hooks_of(place, log, optional=("a",))
    hooks.freeze()
    assert seen(place) == ["a freeze", "a freezeFail", "b freeze"]
    assert log == [
        "hook a freeze failed with exit code 1; the hook is optional, so the backup goes on"
    ]


@pytest.mark.parametrize("argument", ["x y", "$(touch /tmp/no); `id` \"'*", "-n", "ü\n;"])
def test_the_hosts_argument_arrives_as_one_plain_argument(place: Path, argument: str) -> None:
    args = place.parent / "args"
    write_script(place / "a", f'printf "%s\\0" "$#" "$1" "$2" >> {args}')
    hooks = hooks_of(place)
    hooks.freeze(argument)
    hooks.thaw(aborted=False, argument=argument)
    assert args.read_text().split("\0")[:-1] == ["2", "freeze", argument, "2", "thaw", argument]


def test_without_an_argument_there_is_only_the_phase(place: Path) -> None:
    write_script(place / "a", 'echo "$#" >&2; exit 1')
    with pytest.raises(HookError, match="exit code 1: 1"):
        hooks_of(place).freeze()


def test_an_argument_that_no_program_can_take_fails_the_backup(place: Path) -> None:
    write_script(place / "a")
    with pytest.raises(HookError, match=r"^hook a freeze: embedded null byte"):
        hooks_of(place).freeze("a\0b")


def test_at_the_limit_the_whole_process_group_is_killed(place: Path) -> None:
    """Also a grandchild that ignores SIGTERM and holds the output open."""
    pids = place.parent / "pids"
    write_script(
        place / "a",
        f'[ "$1" = freeze ] || exit 0\n'
        f"(trap '' TERM; echo started; while :; do sleep 0.1; done) &\n"
        f"echo $$ $! > {pids}.new; mv {pids}.new {pids}; wait; sleep 600",
    )
    begin = time.monotonic()
    with pytest.raises(HookError, match=r"^hook a freeze was killed after 4 s: started$"):
        hooks_of(place, timeout=LIMIT).freeze()
    assert time.monotonic() >= begin + LIMIT
    leader, child = (int(part) for part in pids.read_text().split())
    await_true(lambda: gone(leader) and gone(child), "the process group still lives")
    assert seen(place) == ["a freeze", "a freezeFail"]


def test_a_hook_that_ends_at_sigterm_is_not_sent_sigkill(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE", 9 * FAR)  # this long it would wait for SIGKILL
    tidy = place.parent / "tidy"
    write_script(
        place / "a",
        f'[ "$1" = freeze ] || exit 0\ntrap "echo tidy > {tidy}; exit 0" TERM\n'
        "while :; do sleep 0.05; done",
    )
    with pytest.raises(HookError, match="killed after 4 s"):
        hooks_of(place, timeout=LIMIT).freeze()
    assert tidy.read_text() == "tidy\n"


def test_children_have_their_grace_although_the_hook_itself_ends_at_once(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE", 9 * FAR)
    tidy = place.parent / "tidy"
    write_script(
        place / "a",
        f'[ "$1" = freeze ] || exit 0\n'
        f"(trap 'sleep 0.3; echo tidy > {tidy}; exit' TERM; while :; do sleep 0.05; done) &\n"
        "exec sleep 60",
    )
    with pytest.raises(HookError, match="killed after 4 s"):
        hooks_of(place, timeout=LIMIT).freeze()
    assert tidy.read_text() == "tidy\n"


def test_the_limit_holds_for_the_thaw_as_well_and_the_others_are_asked(place: Path) -> None:
    write_script(place / "a")
    write_script(place / "b", '[ "$1" = freeze ] || exec sleep 60')
    log: list[str] = []
    hooks = hooks_of(place, log, timeout=LIMIT)
    hooks.freeze()
    hooks.thaw(aborted=False)
    assert seen(place)[-2:] == ["b thaw", "a thaw"]
    assert log == ["hook b thaw was killed after 4 s"]


def test_a_cancelled_backup_kills_the_running_hook_and_unwinds(place: Path) -> None:
    write_script(place / "a")
    write_script(place / "b", '[ "$1" = freeze ] && exec sleep 60')
    with pytest.raises(HookError, match=r"^hook b freeze was cancelled with the backup"):
        hooks_of(place).freeze(cancelled=lambda: "b freeze" in seen(place))
    assert seen(place) == ["a freeze", "b freeze", "b freezeFail", "a freezeFail"]


def test_what_a_hook_leaves_in_the_background_is_neither_waited_for_nor_killed(
    place: Path,
) -> None:
    pid = place.parent / "pid"
    write_script(place / "a", f'[ "$1" = freeze ] && {{ sleep 600 & echo $! > {pid}; }}; exit 0')
    hooks = hooks_of(place)
    hooks.freeze()
    hooks.thaw(aborted=False)
    left = int(pid.read_text())
    assert not gone(left)
    os.kill(left, signal.SIGKILL)


def test_output_goes_to_the_log_line_by_line_and_bounded(place: Path) -> None:
    write_script(
        place / "a",
        '[ "$1" = freeze ] || exit 0\nprintf "one\\ntw\\033o\\n" >&2; printf "\\377\\n"\n'
        "head -c 100000 /dev/zero | tr '\\0' x",
    )
    log: list[str] = []
    hooks_of(place, log).freeze()
    assert log[:3] == ["hook a freeze: one", "hook a freeze: tw?o", "hook a freeze: \\xff"]
    assert len(log[3]) <= KEPT + 20
    assert log[4] == f"hook a freeze: ({100000 + 11 - KEPT} more bytes)"


def test_a_hook_that_floods_its_output_is_limited_all_the_same(place: Path) -> None:
    write_script(place / "a", '[ "$1" = freeze ] && exec yes flood')
    log: list[str] = []
    with pytest.raises(HookError, match=r"killed after 4 s: flood$"):
        hooks_of(place, log, timeout=LIMIT).freeze()
    assert sum(len(line) for line in log) < 6 * KEPT  # each line is a few bytes with its prefix


def test_a_hook_killed_by_a_signal_says_so(place: Path) -> None:
    write_script(place / "a", '[ "$1" = freeze ] && kill -SEGV $$')
    with pytest.raises(HookError, match=r"^hook a freeze was killed by SIGSEGV$"):
        hooks_of(place).freeze()


@pytest.mark.parametrize("number", [36, 40, 63])
def test_a_hook_killed_by_a_signal_without_a_name_says_its_number(place: Path, number: int) -> None:
    write_script(place / "a", f'[ "$1" = freeze ] && kill -{number} $$')
    with pytest.raises(HookError, match=rf"^hook a freeze was killed by signal {number}$"):
        hooks_of(place).freeze()


def test_a_script_without_an_interpreter_line_is_run_by_sh(place: Path) -> None:
    (place / "a").write_text('[ "$1" = thaw ] || { echo "plain $1"; exit 1; }\n')
    (place / "a").chmod(0o755)
    with pytest.raises(HookError, match=r"^hook a freeze failed with exit code 1: plain freeze$"):
        hooks_of(place).freeze()


def run_program(path: str, *arguments: str) -> list[str]:
    """What a program says, run as hooks are."""
    process = Process(path, list(arguments))
    assert process.wait(lambda: False) is Ending.EXITED
    return process.lines()


def test_a_hook_gets_the_signals_and_descriptors_of_a_fresh_program() -> None:
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    inherited = {
        descriptor for descriptor in descriptors_of_this_process() if os.get_inheritable(descriptor)
    }
    try:
        status = dict(line.split(":", 1) for line in run_program("/bin/cat", "/proc/self/status"))
        descriptors = {int(name) for name in run_program("/bin/ls", "/proc/self/fd")}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    standard = (1 << 31) - 1  # 32 and 33 belong to the C library
    assert int(status["SigBlk"], 16) & standard == 0
    assert int(status["SigIgn"], 16) & standard == 0
    assert descriptors <= inherited | {0, 1, 2, 3}  # 3 is the directory that ls reads


def test_the_input_of_a_hook_is_empty() -> None:
    saved = os.dup(0)
    reader, writer = os.pipe()
    try:
        os.write(writer, b"for the agent\n")
        os.close(writer)
        os.dup2(reader, 0)
        assert run_program("/bin/cat") == []
    finally:
        os.dup2(saved, 0)
        os.close(reader)
        os.close(saved)


def test_copies_and_what_is_not_executable_are_skipped_by_name(place: Path) -> None:
    write_script(place / "10-real")
    copies = ["10-real~", "x.bak", "x.rpmsave", "x.dpkg-old", "x.dpkg-dist", "#x#", "x.orig"]
    for name in (*copies, ".hidden"):
        write_script(place / name)
    write_script(place / "plain", mode=0o644)
    (place / "subdirectory").mkdir()
    (place / "dangling").symlink_to("nowhere")
    log: list[str] = []
    hooks_of(place, log).freeze()
    assert seen(place) == ["10-real freeze"]
    assert sorted(log) == sorted(
        [
            *(f"{place}/{name} is not run as a hook: the name of a backup copy" for name in copies),
            f"{place}/.hidden is not run as a hook: hidden",
            f"{place}/plain is not run as a hook: not executable",
            f"{place}/subdirectory is not run as a hook: not a regular file",
            f"{place}/dangling is not run as a hook: No such file or directory",
        ]
    )


def test_a_configured_directory_must_be_there(place: Path) -> None:
    with pytest.raises(HookError, match=r"the hooks directory .*/missing does not exist"):
        hooks_of(place / "missing").freeze()


def test_legacy_scripts_frame_the_others(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = place.parent
    for folder in ("sbin", "backupScripts.d"):
        (base / folder).mkdir()
    pre = write_script(base / "sbin" / "pre-freeze-script")
    post = write_script(base / "sbin" / "post-thaw-script")
    write_script(base / "backupScripts.d" / "50-db")
    write_script(place / "10-own")
    monkeypatch.setattr(directory, "PRE_FREEZE", str(pre))
    monkeypatch.setattr(directory, "POST_THAW", str(post))
    monkeypatch.setattr(directory, "BACKUP_SCRIPTS", str(base / "backupScripts.d"))
    hooks = hooks_of(place, legacy=True)
    hooks.freeze("arg")
    hooks.thaw(aborted=False, argument="arg")
    assert seen(place) == [
        *("pre-freeze-script freeze arg", "50-db freeze arg", "10-own freeze arg"),
        *("10-own thaw arg", "50-db thaw arg", "post-thaw-script thaw arg"),
    ]
    hooks_of(place).freeze()
    assert seen(place)[6:] == ["10-own freeze"]  # without `legacy` they are not looked at


def test_a_failing_legacy_freeze_is_followed_by_the_legacy_thaw(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.parent / "sbin").mkdir()
    pre = write_script(place.parent / "sbin" / "pre-freeze-script", "exit 1")
    post = write_script(place.parent / "sbin" / "post-thaw-script")
    monkeypatch.setattr(directory, "PRE_FREEZE", str(pre))
    monkeypatch.setattr(directory, "POST_THAW", str(post))
    monkeypatch.setattr(directory, "BACKUP_SCRIPTS", str(place.parent / "none"))
    with pytest.raises(HookError, match="hook pre-freeze-script freeze failed with exit code 1"):
        hooks_of(place, legacy=True).freeze()
    assert seen(place) == ["pre-freeze-script freeze", "post-thaw-script freezeFail"]


def test_a_process_leaves_no_descriptor_and_no_zombie(place: Path) -> None:
    script = write_script(place / "a")
    before = descriptors_of_this_process()
    started: list[int] = []
    for _ in range(5):
        process = Process(str(script), ["freeze"])
        started.append(process._pid)
        assert process.wait(lambda: False) is Ending.EXITED
        assert process.status == 0
    with pytest.raises(OSError, match="No such file"):
        Process(str(place / "missing"), ["freeze"])
    # An earlier test's may still be closed.
    assert set(descriptors_of_this_process()) <= set(before)
    for pid in started:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


HOLDER = """case $1 in
freeze) (while :; do echo holding; echo . >> {rounds}; sleep .02; done) & echo $! > {pid} ;;
*) kill "$(cat {pid})" ;;
esac"""


def test_a_background_process_that_reports_lives_until_its_thaw(place: Path) -> None:
    pid_file, rounds = place.parent / "pid", place.parent / "rounds"
    rounds.touch()
    write_script(place / "10-holder", HOLDER.format(pid=pid_file, rounds=rounds))
    log: list[str] = []
    hooks = hooks_of(place, log)
    hooks.freeze()
    before = rounds.stat().st_size
    await_true(lambda: rounds.stat().st_size >= before + 10, "it does not go on")
    hooks.thaw(aborted=False)
    await_true(lambda: gone(int(pid_file.read_text())), "its thaw did not end it")
    assert "hook 10-holder freeze: holding" in log


def test_a_background_process_outlives_the_agents_interest(place: Path) -> None:
    """What a thaw hook starts may write long after nobody listens any more."""
    pid_file = place.parent / "pid"
    body = (
        f'[ "$1" = freeze ] || {{ (sleep .3; echo late; exec sleep 60) & echo $! > {pid_file}; }}'
    )
    write_script(place / "10-daemon", body)
    hooks = hooks_of(place)
    hooks.freeze()
    hooks.thaw(aborted=False)
    daemon = int(pid_file.read_text())
    try:
        link = Path(f"/proc/{daemon}/exe")
        await_true(lambda: "sleep" in str(link.readlink()), "it does not go on")
    finally:
        with suppress(ProcessLookupError):
            os.kill(daemon, signal.SIGKILL)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("#!/bin/sh\r\n", "its first line ends with a carriage return"),
        ("#!/usr/bin/env sh\r\n", "its first line ends with a carriage return"),
        ("#!/no/such/interpreter -e\n", "its interpreter /no/such/interpreter does not exist"),
        ("#! /etc/passwd\n", "its interpreter /etc/passwd is not executable"),
        ("#!\n", "its first line names no interpreter"),
    ],
)
def test_a_script_whose_interpreter_cannot_run_it_says_so(
    place: Path, head: str, said: str
) -> None:
    script = place / "10-script"
    script.write_bytes(head.encode() + b"echo $1\n")
    script.chmod(0o755)
    with pytest.raises(HookError, match=f"hook {script}: {said}"):
        hooks_of(place).freeze()
