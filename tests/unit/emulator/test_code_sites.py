"""Which bytes of a program are the instruction CPUID: the decoder and its use, beside objdump."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.patience import PATIENCE

from vmtpy._host import cpuid_sites, read_instruction

OBJDUMP = shutil.which("objdump")
LIBC = "/lib/x86_64-linux-gnu/libc.so.6"
LINKER = "/lib64/ld-linux-x86-64.so.2"
GO_TOOLS = Path("/usr/lib/go/pkg/tool/linux_amd64")


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("0f a2", (2, "next", 0)),
        ("90", (1, "next", 0)),
        ("c3", (1, "end", 0)),
        ("f3 c3", (2, "end", 0)),
        ("c2 08 00", (3, "end", 0)),
        ("0f 0b", (2, "end", 0)),
        ("eb fe", (2, "jump", 0)),
        ("e9 0b 00 00 00", (5, "jump", 16)),
        ("e8 fb ff ff ff", (5, "branch", 0)),
        ("0f 84 f0 ff ff ff", (6, "branch", -10)),
        ("66 66 48 e8 00 00 00 00", (8, "branch", 8)),
        ("66 e8 00 00 00 00", None),  # four bytes to one processor, two to another
        ("ff e0", (2, "indirect", 0)),
        ("3e ff 24 c5 00 00 00 00", (8, "indirect", 0)),
        ("48 b8 01 02 03 04 05 06 07 08", (10, "next", 0)),
        ("b8 0f a2 00 00", (5, "next", 0)),
        ("66 b8 0f a2", (4, "next", 0)),
        ("66 48 05 00 00 00 00", (7, "next", 0)),
        ("48 66 05 00 00", (5, "next", 0)),  # REX does not count there
        ("48 8b 05 0f a2 00 00", (7, "next", 0)),
        ("f6 05 00 00 00 00 01", (7, "next", 0)),
        ("f7 d8", (2, "next", 0)),
        ("f7 84 24 00 00 00 00 00 00 00 00", (11, "next", 0)),
        ("a1 00 00 00 00 00 00 00 00", (9, "next", 0)),
        ("67 a1 00 00 00 00", (6, "next", 0)),
        ("0f 22 05", (3, "next", 0)),  # always of registers
        ("66 0f 3a 0f c1 08", (6, "next", 0)),
        ("c5 f8 77", (3, "next", 0)),
        ("c4 e2 7d 18 05 00 00 00 00", (9, "next", 0)),
        ("62 f1 7c 48 10 44 24 01", (8, "next", 0)),
        ("8f 00", (2, "next", 0)),
        ("8f e9 78 81 c0", (5, "next", 0)),  # XOP
        ("66 c5 f8 77", None),
        ("06", None),
        ("d6", None),
        ("ea 00 00 00 00 00 00", None),
        ("0f", None),
        ("e8 00 00", None),
        ("", None),
        ("66 " * 15 + "90", None),
    ],
)  # fmt: skip
def test_an_instruction_is_read(code: str, found: tuple[int, str, int] | None) -> None:
    assert read_instruction(bytes.fromhex(code)) == found


def require_objdump() -> str:
    if OBJDUMP is None:
        pytest.skip("capability missing: objdump (binutils)")
    return OBJDUMP


@pytest.mark.parametrize("file", [LIBC, LINKER])
def test_every_instruction_of_the_c_library_has_its_size(file: str) -> None:
    command = [require_objdump(), "--disassemble", "--wide", "--section=.text", file]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        wrong, count = [], 0
        for line in process.stdout:
            place, _, rest = line.partition(":\t")
            if not rest or not place.startswith(" "):
                continue
            code = bytes.fromhex(rest.split("\t")[0])
            count += 1
            found = read_instruction(code.ljust(15, b"\0"))
            if found is None or found[0] != len(code):
                wrong.append(line)
    assert wrong == []
    assert count > 10_000


def objdumps(file: str) -> set[int]:
    """The addresses of CPUID by objdump, which takes every byte of the text for code."""
    command = [require_objdump(), "--disassemble", "--wide", "--no-show-raw-insn", file]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120, check=True)
    lines = [line.split(":\t") for line in done.stdout.splitlines() if line.endswith("\tcpuid")]
    return {int(place, 16) for place, _ in lines}


def addresses(file: str) -> set[int]:
    """Ours: offsets in the file, where its segments would have them in memory."""
    done = subprocess.run(
        ["readelf", "--wide", "--segments", file],
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    loads = [line.split()[1:5] for line in done.stdout.splitlines() if "LOAD " in line]
    return {
        at - int(offset, 16) + int(address, 16)
        for at in cpuid_sites(file)
        for offset, address, _, size in loads
        if int(offset, 16) <= at < int(offset, 16) + int(size, 16)
    }


@pytest.mark.parametrize("program", [LIBC, LINKER, sys.executable, "vmtoolsd", "perl", "openssl"])
def test_where_we_see_the_instruction_objdump_does(program: str) -> None:
    file = str(Path(shutil.which(program) or program).resolve())
    if not Path(file).exists():
        pytest.skip(f"capability missing: {program}")
    assert addresses(file) <= objdumps(file)


def test_in_the_dynamic_linker_none_is_missed() -> None:
    assert addresses(LINKER) == objdumps(LINKER) != set()


def test_a_go_program_is_read_by_its_own_table_when_stripped(tmp_path: Path) -> None:
    tool, strip = GO_TOOLS / "buildid", shutil.which("strip")
    if not tool.exists() or strip is None:
        pytest.skip("capability missing: go (golang-go) and strip (binutils)")
    stripped = tmp_path / "stripped"
    subprocess.run([strip, "-o", stripped, tool], timeout=60, check=True)
    assert addresses(str(stripped)) == objdumps(str(stripped)) == objdumps(str(tool)) != set()


@pytest.mark.parametrize("size", [0, 1, 63, 64, 200, 5000, 100_000])
def test_a_file_that_is_cut_off_or_nonsense_has_none_or_fewer(tmp_path: Path, size: int) -> None:
    whole = Path(LINKER).read_bytes()
    cut = tmp_path / "cut"
    cut.write_bytes(whole[:size])
    assert set(cpuid_sites(str(cut))) <= set(cpuid_sites(LINKER))
    # Numbers of the headers that point anywhere.
    cut.write_bytes(whole[:20] + b"\xff" * 44 + whole[64:])
    assert cpuid_sites(str(cut)) == []
    assert cpuid_sites(str(tmp_path)) == []
    assert cpuid_sites(str(tmp_path / "none")) == []
