"""`vmtpy emulate` on a kernel with AF_VSOCK: real sockets by loopback, and those that stand in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from support.qemu import VirtualMachine

pytestmark = pytest.mark.timeout(900)

CLIENT = """
import errno, os, socket
from vmtpy._host import PacketDecoder, encode_packet

def stream(port=None):
    made = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    made.settimeout(60)
    if port:
        made.bind((socket.VMADDR_CID_ANY, port))
    return made

def ask(local_port, cid):
    with stream(local_port) as one:
        one.connect((cid, 976))
        one.sendall(encode_packet(b"info-get guestinfo.key"))
        decoder = PacketDecoder()
        decoder.feed(one.recv(4096))
        print(decoder.take().payload.decode(), one.getpeername()[0])

def refused(what, *arguments):
    try:
        what(*arguments)
    except OSError as error:
        print(errno.errorcode[error.errno])

socket.socket(socket.AF_VSOCK, socket.SOCK_DGRAM).close()  # so does open-vm-tools to see if it can
ask(None, 0)
ask(1000, 2)
refused(stream().connect, (0, 4711))
os.setuid(1000)
refused(stream, 1001)
"""


def talk(machine: VirtualMachine, option: str) -> tuple[list[str], list[dict[str, Any]]]:
    """What the client printed, and the timeline."""
    options = (option, "--json", "--guestinfo", "key=value", "--")
    ran = machine.run("python", "-m", "vmtpy", "emulate", *options, "python", "-c", CLIENT)
    assert ran.code == 0, ran
    return ran.out.splitlines(), [json.loads(line) for line in ran.err.splitlines()]


@pytest.mark.parametrize(("option", "peer"), [("--vsock-loopback", 1), ("--vsock", 0)])
def test_a_program_speaks_to_the_emulated_host(
    machine: VirtualMachine, option: str, peer: int
) -> None:
    said, timeline = talk(machine, option)
    assert said == [f"1 value {peer}", f"1 value {peer}", "ECONNRESET", "EACCES"]
    assert [line["kind"] for line in timeline] == ["recording", "rpci", "rpci", "traps"]
    assert [line["way"] for line in timeline[1:-1]] == ["vsock", "privileged vsock"]
    assert timeline[-1]["vsock"]["connections"] == 2
