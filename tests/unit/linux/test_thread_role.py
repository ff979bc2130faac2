"""What a thread gives up by taking its role; each in a process of its own, which cannot go back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.patience import PATIENCE

BEGINNING = """
import errno, os, re, socket, sys, threading
from vmtpy import _core

def facts():
    with open(f"/proc/self/task/{threading.get_native_id()}/status") as file:
        return dict(re.findall(r"^(\\w+):\\s+(\\w+)", file.read(), re.M))

def run():
    return os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)[1]

def error_of(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "none"

def in_thread(body):
    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
"""


def lines(program: str) -> list[str]:
    """What a program prints that begins with the functions above."""
    done = subprocess.run(
        [sys.executable, "-c", BEGINNING + program],
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return done.stdout.splitlines()


def test_a_thread_that_starts_no_program_cannot() -> None:
    program = """
_core.confine_process()
def body():
    _core.take_role(_core.Role.STATUS)
    print(error_of(run))
    print(error_of(socket.socket, socket.AF_INET))
    print(error_of(os.chroot, "/"))
    print(error_of(os.open, "/proc/self/ns/mnt", os.O_RDONLY))
    print(error_of(socket.socket, socket.AF_UNIX))
    print(facts()["NoNewPrivs"], facts()["Seccomp"])
in_thread(body)
print(error_of(run), facts()["NoNewPrivs"], facts()["Seccomp"])
"""
    before = lines('print(facts()["NoNewPrivs"], facts()["Seccomp"])')[0]
    assert lines(program) == ["EPERM", "EPERM", "EPERM", "none", "none", "1 2", f"none {before}"]


def test_the_main_thread_gives_up_all_but_a_few_and_can_still_set_the_clock() -> None:
    needs_root()
    program = """
_core.confine_process()
_core.take_role(_core.Role.MAIN)
print(facts()["CapEff"] == facts()["CapPrm"], facts()["CapInh"], facts()["CapAmb"])
print(_core.effective_capabilities())
_core.step_wall_clock(0)
"""
    equal, kept = lines(program)
    assert equal == "False 0000000000000000 0000000000000000"
    assert "cap_sys_time" in kept
    assert "cap_dac_read_search" in kept


def test_a_program_of_root_has_all_rights_again() -> None:
    needs_root()
    program = """
before = facts()["CapPrm"]
_core.confine_process()
_core.take_role(_core.Role.MAIN)
print(before != facts()["CapPrm"])
sys.stdout.flush()
os.execv("/bin/grep", ["grep", "CapEff", "/proc/self/status"])
"""
    dropped, regained = lines(program)
    assert dropped == "True"
    assert regained.split()[1] == bounding_set()


def test_where_no_program_would_get_them_back_they_stay_permitted() -> None:
    needs_root()
    program = """
import ctypes
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
before = facts()["CapPrm"]
_core.confine_process()
_core.take_role(_core.Role.MAIN)
print(before == facts()["CapPrm"], before == facts()["CapEff"])
sys.stdout.flush()
os.execv("/bin/grep", ["grep", "CapEff", "/proc/self/status"])
"""
    kept, regained = lines(program)
    assert kept == "True False"
    assert regained.split()[1] == bounding_set()


def test_a_program_that_embeds_an_agent_loses_nothing() -> None:
    program = """
before = {k: v for k, v in facts().items() if k.startswith(("Cap", "NoNew", "Seccomp"))}
_core.take_role(_core.Role.MAIN)
_core.take_role(_core.Role.STATUS)
after = {k: v for k, v in facts().items() if k.startswith(("Cap", "NoNew", "Seccomp"))}
print(before == after)
print(error_of(run))
"""
    assert lines(program) == ["True", "none"]


def bounding_set() -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("CapBnd"))


def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
