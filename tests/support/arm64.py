"""A host for arm64 programs under qemu-aarch64, which answers the backdoor's instruction.

qemu itself reads MDCCSR_EL0 as 0 and continues. This module therefore sets a breakpoint with qemu's
debugger stub on each such instruction of the unmodified program, which stops there as under a
hypervisor. It reads registers and memory, lets the Device answer, and continues the program after
the instruction.
"""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from support.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmtpy._host import Device

EMULATOR = "qemu-aarch64-static"
COMPILER = "aarch64-linux-gnu-g++"

MAGIC = 0x564D5868
NAMES = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp")  # x0 … x6
LOW, HIGH_OUT, HIGH_IN = 0x0E, 0x18, 0x1C  # x7's lower half; 0x86 is its upper half
PORTS = {LOW: 0x5658, HIGH_OUT: 0x5659, HIGH_IN: 0x5659}
REGISTERS = struct.Struct("<33QI")  # x0 … x30, sp, pc; cpsr
PC = 32
CHUNK = 1024  # bytes of memory in one packet


class Stop(NamedTuple):
    """The place at which a thread of the program stopped, or how the program ended."""

    thread: str
    exit_code: int | None = None


class Debugger:
    """The program at the other end of qemu's stub, by GDB's remote serial protocol."""

    def __init__(self, path: Path, process: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + PATIENCE
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        while self.socket.connect_ex(str(path)) != 0:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "qemu does not listen"
            time.sleep(0.01)
        self.file = self.socket.makefile("rb")
        self.ask("qSupported:multiprocess+")
        self.ask("?")

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def ask(self, text: str) -> str:
        """Sends one packet and returns the answer."""
        packet = text.encode()
        self.socket.sendall(b"$%s#%02x" % (packet, sum(packet) & 0xFF))
        assert self.file.read(1) == b"+", text
        answer = bytearray()
        while (byte := self.file.read(1)) != b"#":
            assert byte, f"qemu hung up on {text[:40]}"
            answer += byte
        self.file.read(2)
        self.socket.sendall(b"+")
        return answer.decode().removeprefix("$")

    def expect_ok(self, text: str) -> None:
        answer = self.ask(text)
        assert answer == "OK", f"{text[:40]}: {answer}"

    def resume(self) -> Stop:
        """Runs the program until the next breakpoint or its end."""
        answer = self.ask("vCont;c")
        if answer.startswith("W"):
            return Stop("", int(answer[1:].split(";")[0], 16))
        found = re.fullmatch(r"T05thread:([^;]+);.*", answer)
        assert found, answer
        return Stop(found[1])

    def break_at(self, address: int) -> None:
        self.expect_ok(f"Z0,{address:x},4")

    def registers(self) -> list[int]:
        return list(REGISTERS.unpack_from(bytes.fromhex(self.ask("g"))))

    def set_registers(self, values: list[int]) -> None:
        # The rest of `g` would be floating point, which nobody has touched.
        self.expect_ok("G" + REGISTERS.pack(*values).hex())

    def read(self, address: int, size: int) -> bytes:
        found = bytearray()
        for at in range(0, size, CHUNK):
            part = self.ask(f"m{address + at:x},{min(CHUNK, size - at):x}")
            found += bytes.fromhex(part)
        return bytes(found)

    def write(self, address: int, data: bytes) -> None:
        for at in range(0, len(data), CHUNK):
            part = data[at : at + CHUNK]
            self.expect_ok(f"M{address + at:x},{len(part):x}:{part.hex()}")


def backdoor_instructions(program: Path) -> list[int]:
    """The addresses of all `mrs xzr, mdccsr_el0` in a program linked for a fixed place."""
    listing = subprocess.run(
        ["aarch64-linux-gnu-objdump", "-d", program], check=True, capture_output=True, text=True
    ).stdout
    found = re.findall(r"^\s*([0-9a-f]+):\s+d533011f\s+mrs\s+xzr, mdccsr_el0", listing, re.M)
    return [int(address, 16) for address in found]


def answer_trap(debugger: Debugger, device: Device) -> None:
    """Passes the stopped thread's registers to the Device, and its answer back into them."""
    values = debugger.registers()
    assert values[7] >> 32 == 0x86
    assert values[0] & 0xFFFFFFFF == MAGIC
    kind = values[7] & 0xFFFFFFFF
    assert values[3] & 0xFFFF == PORTS[kind]
    frame = dict(zip(NAMES, values, strict=False))
    if kind == HIGH_OUT:
        source, size = frame["rsi"], frame["rcx"]
        answer = device.high_out(frame, debugger.read(source, size))
        answer["rsi"] = source + size
    elif kind == HIGH_IN:
        target, size = frame["rdi"], frame["rcx"]
        answer, data = device.high_in(frame, size)
        debugger.write(target, data)
        answer["rdi"] = target + size
    else:
        answer = device.low(frame)
    values[: len(NAMES)] = [answer[name] for name in NAMES]
    values[PC] += 4
    debugger.set_registers(values)


@contextmanager
def started(path: Path, *command: str | Path) -> Iterator[tuple[Debugger, subprocess.Popen[str]]]:
    """Starts a program under qemu, which waits before its first instruction; `path` becomes a
    socket.
    """
    with subprocess.Popen(
        [EMULATOR, "-g", path, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            with closing(Debugger(path, process)) as debugger:
                yield debugger, process
        finally:
            process.kill()


def run_on_host(path: Path, device: Device, *command: str | Path) -> tuple[int, str]:
    """Runs a program to its end and answers its traps. Returns exit code and output."""
    with started(path, *command) as (debugger, process):
        for address in backdoor_instructions(Path(command[0])):
            debugger.break_at(address)
        while (stop := debugger.resume()).exit_code is None:
            debugger.expect_ok(f"Hg{stop.thread}")
            answer_trap(debugger, device)
        assert process.stdout is not None
        return stop.exit_code, process.stdout.read()
