"""What is made of CPUID, leaf by leaf."""

from __future__ import annotations

import struct

import pytest

from vmtpy import _core

Leaf = tuple[int, int, int, int]  # eax, ebx, ecx, edx

GUEST: Leaf = (0, 0, 1 << 31, 0)


def words(text: str) -> tuple[int, int, int]:
    """The signature as three registers hold it, in the order in which it is read."""
    first, second, third = struct.unpack("<3I", text.encode().ljust(12, b"\0"))
    return first, second, third


def hypervisor(text: str, last: int = 0x40000010) -> Leaf:
    return (last, *words(text))


def test_bare_metal_announces_nothing_whatever_the_leaves_of_a_hypervisor_hold() -> None:
    cpu = _core.read_cpu({0x40000000: hypervisor("VMwareVMware"), 0x40000010: (0, 0, 3, 0)})
    assert not cpu.is_virtual
    assert (cpu.hypervisor, cpu.vmcall, cpu.vmmcall, cpu.encrypted) == ("", False, False, "")


@pytest.mark.parametrize("name", ["VMwareVMware", "KVMKVMKVM", "Microsoft Hv", ""])
def test_the_hypervisor_is_named_by_its_signature(name: str) -> None:
    cpu = _core.read_cpu({1: GUEST, 0x40000000: hypervisor(name)})
    assert cpu.is_virtual
    assert cpu.hypervisor == name


@pytest.mark.parametrize("bits", [0, 1, 2, 3])
def test_vmwares_leaf_says_which_hypercall_may_be_used(bits: int) -> None:
    leaves = {1: GUEST, 0x40000000: hypervisor("VMwareVMware"), 0x40000010: (1, 1, bits, 0)}
    cpu = _core.read_cpu(leaves)
    assert (cpu.vmmcall, cpu.vmcall) == (bool(bits & 1), bool(bits & 2))


@pytest.mark.parametrize(
    ("name", "last"), [("VMwareVMware", 0x4000000F), ("KVMKVMKVM", 0x40000010)]
)
def test_the_leaf_counts_only_where_it_is_and_where_it_is_vmwares(name: str, last: int) -> None:
    leaves = {1: GUEST, 0x40000000: hypervisor(name, last), 0x40000010: (0, 0, 3, 0)}
    cpu = _core.read_cpu(leaves)
    assert not cpu.vmcall
    assert not cpu.vmmcall


SEV: dict[int, Leaf] = {0x80000000: (0x8000001F, 0, 0, 0), 0x8000001F: (2, 0, 0, 0)}
first, third, second = words("IntelTDX    ")
TDX: dict[int, Leaf] = {0: (0x21, 0, 0, 0), 0x21: (0, first, second, third)}


@pytest.mark.parametrize(
    ("leaves", "encrypted"),
    [
        ({1: GUEST} | SEV, "SEV"),
        ({1: GUEST} | TDX, "TDX"),
        (SEV, ""),  # the processor could, but this is no guest
        ({1: GUEST} | SEV | {0x8000001F: (1, 0, 0, 0)}, ""),  # memory encryption of the host alone
        ({1: GUEST} | SEV | {0x80000000: (0x80000008, 0, 0, 0)}, ""),  # beyond the last leaf
        ({1: GUEST} | TDX | {0: (0x20, 0, 0, 0)}, ""),
        ({1: GUEST} | TDX | {0x21: (0, 1, 2, 3)}, ""),
    ],
)
def test_an_encrypted_guest_is_known_by_its_leaf(leaves: dict[int, Leaf], encrypted: str) -> None:
    assert _core.read_cpu(leaves).encrypted == encrypted


@pytest.mark.parametrize("way", ["PORT", "PRIVILEGED_PORT", "VMCALL", "VMMCALL"])
@pytest.mark.parametrize("encrypted", ["", "SEV", "TDX"])
def test_in_an_encrypted_guest_no_way_has_the_high_bandwidth(way: str, encrypted: str) -> None:
    backdoor = _core.make_backdoor(getattr(_core.BackdoorWay, way), _core.Cpu(encrypted=encrypted))
    assert backdoor is not None
    assert backdoor.high_bandwidth() is (encrypted == "")
    assert _core.MeteredBackdoor(backdoor).high_bandwidth() is (encrypted == "")
