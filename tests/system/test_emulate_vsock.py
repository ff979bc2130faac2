"""`vmtpy emulate --vsock`: AF_VSOCK sockets of any program lead to the emulated host.

Nothing here ever reaches the host of this machine: the sockets are AF_UNIX.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from support.emulation import compile_c, emulate, require_low_ports, require_ptrace

GUESTS = Path(__file__).parent / "guests"
VSOCK = ("--vsock",)


@pytest.fixture(scope="module", autouse=True)
def _ptrace() -> None:
    require_ptrace()


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_c(GUESTS / "vsock.c", tmp_path_factory.mktemp("guest"))


@pytest.mark.parametrize(
    "mode", ["refused", "others", "threads", "nonblocking", "forks", "signals"]
)
def test_a_program_sees_a_host_on_vsock_and_itself_undisturbed(guest: Path, mode: str) -> None:
    run = emulate(guest, mode, options=VSOCK)
    assert run.stdout == b"good\n", run
    assert run.code == 0


def test_a_thread_with_its_own_descriptors_that_outlives_the_first_is_served(guest: Path) -> None:
    major, minor = os.uname().release.split(".")[:2]
    if (int(major), int(minor)) < (6, 9):
        pytest.skip("needs PIDFD_THREAD (Linux 6.9) in the kernel")
    run = emulate(guest, "leader_ends", options=VSOCK)
    assert (run.code, run.stdout) == (0, b"good\n"), run


def test_messages_stand_in_the_timeline_with_their_way(guest: Path) -> None:
    require_low_ports()
    run = emulate(guest, "plain", options=VSOCK)
    assert (run.code, run.stdout) == (0, b"good\n"), run
    assert [(line["way"], line["request"]) for line in run.of_kind("rpci")] == [
        ("privileged vsock", "log privileged"),
        ("vsock", "log unprivileged"),
    ]
    assert run.traps == {}
    (counts,) = run.of_kind("traps")
    assert counts["vsock"] == {"connections": 2, "packets": 4, "pings": 0, "rejected": 0}


def test_every_connection_of_every_thread_is_counted(guest: Path) -> None:
    (counts,) = emulate(guest, "threads", options=VSOCK).of_kind("traps")
    assert counts["vsock"]["connections"] == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_port_below_1024_takes_the_capability(guest: Path) -> None:
    run = emulate(guest, "unprivileged", options=VSOCK)
    assert (run.code, run.stdout) == (0, b"good\n"), run
    assert [line["way"] for line in run.of_kind("rpci")] == ["vsock"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_without_cap_sys_admin_no_new_privs_is_set_and_all_else_is_the_same(guest: Path) -> None:
    script = f"{guest} forks && grep NoNewPrivs /proc/self/status"
    inside = ("setpriv", "--inh-caps=-all", "--bounding-set=-sys_admin")
    run = emulate("sh", "-c", script, options=VSOCK, inside=inside)
    assert run.stdout == b"good\nNoNewPrivs:\t1\n", run


def test_python_speaks_to_it_too() -> None:
    script = (
        "import socket\n"
        "from vmtpy._host import encode_packet, PacketDecoder\n"
        "s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)\n"
        "s.settimeout(10)\n"
        "s.connect((socket.VMADDR_CID_HOST, 976))\n"
        "s.sendall(encode_packet(b'info-get guestinfo.key'))\n"
        "d = PacketDecoder()\n"
        "d.feed(s.recv(4096))\n"
        "print(d.take().payload.decode(), s.getpeername())\n"
    )
    options = (*VSOCK, "--guestinfo", "key=value")
    run = emulate(sys.executable, "-c", script, options=options)
    assert run.stdout == b"1 value (0, 976)\n", run


def test_without_the_option_a_program_finds_a_kernel_without_vsock() -> None:
    """It must not reach the host that this machine may really have."""
    script = (
        "import errno, socket\n"
        "try:\n"
        "    socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)\n"
        "except OSError as error:\n"
        "    print(errno.errorcode[error.errno], socket.socket(socket.AF_UNIX).family)\n"
    )
    run = emulate(sys.executable, "-c", script)
    assert run.stdout == b"EAFNOSUPPORT 1\n", run


def test_without_the_backdoor_its_instructions_fault() -> None:
    program = (sys.executable, "-c", "import vmtpy; print(bool(vmtpy.probe()))")
    assert emulate(*program).stdout == b"True\n"
    assert emulate(*program, options=("--vsock", "--no-backdoor")).stdout == b"False\n"


def test_a_host_without_any_way_is_refused() -> None:
    run = emulate("true", options=("--no-backdoor",))
    assert run.code == 2
    assert b"--no-backdoor without --vsock leaves no way" in run.stderr


RPC = (sys.executable, "-m", "vmtpy", "rpc")


def test_what_a_secure_host_refuses_to_the_backdoor_is_asked_over_privileged_vsock() -> None:
    require_low_ports()
    run = emulate(*RPC, "info-set guestinfo.key value", options=("--secure", *VSOCK))
    assert (run.code, run.stdout) == (0, b"\n"), run
    assert [(line["way"], line["reply"]) for line in run.of_kind("rpci")] == [
        ("backdoor", "0 Permission denied"),
        ("privileged vsock", "1 "),
    ]


def test_where_a_secure_host_has_no_vsock_the_remedy_is_told() -> None:
    run = emulate(*RPC, "info-set guestinfo.key value", options=("--secure",))
    assert run.code == 1
    assert [line["way"] for line in run.of_kind("rpci")] == ["backdoor"]
    assert run.stderr.startswith(b"Permission denied\n")
    assert b"only over vsock from a port below 1024" in run.stderr


@pytest.mark.parametrize("transport", ["auto", "vsock"])
def test_without_a_backdoor_requests_go_over_vsock(transport: str) -> None:
    command = (*RPC, "--transport", transport, "info-get guestinfo.key")
    options = (*VSOCK, "--no-backdoor", "--guestinfo", "key=value")
    run = emulate(*command, options=options)
    assert (run.code, run.stdout) == (0, b"value\n"), run


def test_without_a_backdoor_facts_are_unknown_and_the_doctor_says_so() -> None:
    options = (*VSOCK, "--no-backdoor")
    show = "import vmtpy.hardware as h; print(h.read().uuid, h.host_time())"
    run = emulate(sys.executable, "-c", show, options=options)
    assert run.stdout == b"None None\n", run
    run = emulate(sys.executable, "-m", "vmtpy", "doctor", options=options)
    assert b"VMware can be reached only over vsock" in run.stdout, run


def test_with_vsock_alone_it_is_said_why_it_cannot_be_had() -> None:
    run = emulate(*RPC, "--transport", "vsock", "log x")
    assert run.code == 1
    assert b"this kernel has no vsock" in run.stderr


def test_with_the_port_alone_vsock_is_not_used() -> None:
    run = emulate(*RPC, "--transport", "port", "log x", options=("--secure", *VSOCK))
    assert [line["way"] for line in run.of_kind("rpci")] == ["backdoor"]


def test_a_program_that_is_killed_in_the_middle_leaves_nothing_behind(guest: Path) -> None:
    script = f"{guest} threads & sleep 0.05; kill -9 $!; wait; {guest} talk && echo good"
    run = emulate("sh", "-c", script, options=VSOCK)
    assert run.stdout.endswith(b"good\n"), run
    assert run.code == 0


def test_death_by_a_signal_is_passed_on_as_ever() -> None:
    assert emulate("sh", "-c", "kill -9 $$", options=VSOCK).code == -signal.SIGKILL
