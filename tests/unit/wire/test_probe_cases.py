"""Each case that a probe names, with its reason and remedy."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.emulated import EmulatedHost

import vmtpy
from vmtpy import _core
from vmtpy.__main__ import main
from vmtpy._probe import Presence, Probe, judge, name_case
from vmtpy.backdoor import find_backdoor
from vmtpy.cli.probe import as_dict, describe
from vmtpy.errors import NotVMwareError
from vmtpy.hardware import Hardware, HostTime

if TYPE_CHECKING:
    from pathlib import Path


def cpu(name: str | None, **facts: bool | str) -> _core.Cpu:
    """What CPUID says under this hypervisor; None: there is none."""
    return _core.Cpu(is_virtual=name is not None, hypervisor=name or "", **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("presence", "name", "case"),
    [
        ("vmware", "VMwareVMware", "vmware"),
        ("vmware", "KVMKVMKVM", "nested"),
        ("vmware", "Microsoft Hv", "nested"),
        ("vmware", None, "hidden"),
        ("vmware", "", "hidden"),
        ("vmware", "SomethingNew", "hidden"),
        ("no channel", "VMwareVMware", "no channel"),
        ("no channel", "TCGTCGTCGTCG", "vmport"),
        ("no channel", "KVMKVMKVM", "vmport"),
        ("no channel", None, "vmport"),
        ("fault", "VMwareVMware", "shut"),
        ("no answer", "VMwareVMware", "shut"),
        ("fault", "KVMKVMKVM", "hypervisor"),
        ("no answer", "VBoxVBoxVBox", "hypervisor"),
        ("fault", "XenVMMXenVMM", "hypervisor"),
        ("fault", "", "unnamed hypervisor"),
        ("fault", "SomethingNew", "unnamed hypervisor"),
        ("fault", None, "bare metal"),
        ("no answer", None, "bare metal"),
        ("undecided", "VMwareVMware", "no access"),
        ("undecided", None, "no access"),
    ],
)
def test_the_case_follows_from_the_answer_and_from_cpuid(
    presence: Presence, name: str | None, case: str
) -> None:
    assert name_case(presence, cpu(name)) == case


def judged(host: EmulatedHost, name: str | None, **facts: bool | str) -> Probe:
    return judge(_core.probe(host.backdoor, cpu(name, **facts)))


@pytest.mark.parametrize("name", ["VMwareVMware", "KVMKVMKVM", None])
def test_vmware_with_a_channel_is_good_whatever_cpuid_says(name: str | None) -> None:
    found = judged(EmulatedHost(), name)
    assert found
    assert (found.reason, found.remedy, found.privilege) == ("", "", "")


def test_vmport_is_named_with_the_reason_why_there_is_no_channel() -> None:
    found = judged(EmulatedHost(message=False), "TCGTCGTCGTCG")
    assert not found
    assert (found.case, found.version) == ("vmport", 6)
    assert "QEMU's vmport, which has no message channel" in found.reason
    assert "QEMU's own guest agent" in found.remedy


def test_a_host_without_cookies_has_channels_too() -> None:
    assert judged(EmulatedHost(cookies=False), "KVMKVMKVM")


def test_vmware_that_has_no_channel_to_give_is_told_from_vmport() -> None:
    host = EmulatedHost()
    channels = [_core.BackdoorChannel(host.backdoor, _core.Protocol.RPCI) for _ in range(128)]
    for channel in channels:
        channel.open()
    found = judged(host, "VMwareVMware")
    assert found.case == "no channel"
    assert "128" in found.remedy
    channels[0].close()
    assert judged(host, "VMwareVMware")
    assert host.device.open_channels() == 127


def test_the_hypervisor_is_named_as_people_know_it() -> None:
    host = EmulatedHost()
    host.backdoor.change(1, "rbx", 0)
    found = judged(host, "Microsoft Hv")
    assert found.reason.startswith("this is Hyper-V, not VMware: nobody answers")


def test_an_encrypted_guest_is_told() -> None:
    found = judged(EmulatedHost(), "VMwareVMware", encrypted="SEV")
    assert found.encrypted == "SEV"
    assert "encrypted: SEV: only the low-bandwidth port" in describe(found, None, None)


off_vmware = pytest.mark.skipif(
    _core.probe_machine(_core.read_cpu()).presence != _core.Presence.FAULT,
    reason="needs a machine whose backdoor port faults",
)


@off_vmware
def test_a_backdoor_that_is_shut_says_who_refused_the_privilege(tmp_path: Path) -> None:
    native = _core.probe_machine(cpu("VMwareVMware"))
    found = judge(native)
    assert found.case == "shut"
    assert "faults (SIGSEGV); although the processor announces VMware" in found.reason
    assert "monitor_control.restrict_backdoor" in found.remedy
    assert bool(found.privilege) is (native.privilege_error != 0)
    if found.privilege:
        assert found.privilege in found.remedy


@off_vmware
def test_on_bare_metal_the_privilege_is_not_asked_for() -> None:
    """A device may be at that port."""
    native = _core.probe_machine(cpu(None))
    assert native.privilege_error == 0
    found = judge(native)
    assert found.case == "bare metal"
    assert found.reason.startswith("this is not a virtual machine: ")


@off_vmware
def test_a_way_that_is_refused_its_privilege_is_no_fault_but_an_unknown_command() -> None:
    native = _core.probe_machine(cpu("KVMKVMKVM"))
    if native.privilege_error == 0:
        pytest.skip("capability missing: a kernel that refuses iopl")
    way = _core.make_backdoor(_core.BackdoorWay.PRIVILEGED_PORT, cpu("KVMKVMKVM"))
    assert way is not None
    assert _core.probe(way, cpu(None)).presence == _core.Presence.NO_ANSWER
    with pytest.raises(vmtpy.ChannelError):
        _core.Rpci(way).call(b"log x")


@off_vmware
@pytest.mark.parametrize("kind", ["auto", "port", "hypercall"])
def test_the_error_has_the_reason_and_the_remedy(kind: str) -> None:
    with pytest.raises(NotVMwareError) as caught:
        find_backdoor(kind)  # type: ignore[arg-type]
    wanted = "hypercall" if kind == "hypercall" else "backdoor port"
    assert f"VMware's {wanted}" in str(caught.value)
    assert caught.value.hint


@off_vmware
def test_the_command_says_what_is_here_and_ends_with_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["probe"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("VMware cannot be reached: this is ")
    assert "what to do: " in out
    assert main(["probe", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["vmware"], told["presence"], told["way"]) == (False, "fault", "")
    assert told["hardware"] is None


def test_what_people_read_of_a_good_host() -> None:
    found = replace(judged(EmulatedHost(), "KVMKVMKVM"), way="vmcall")
    facts = Hardware(19, "564d", 2048, None)
    lines = describe(found, facts, HostTime(1.5, 0.0, 0.0))
    assert lines[0] == (
        "VMware ESX answers by vmcall; CPUID announces KVM: VMware is below or beside another "
        "hypervisor"
    )
    assert "hardware version: 19" in lines
    assert "host's time: 1.500000" in lines
    assert not [line for line in lines if line.startswith(("CPU", "what to do"))]
    told = as_dict(found, facts, None)
    assert (told["vmware"], told["case"], told["hardware"]["memory_mib"]) == (True, "nested", 2048)
    assert told["time"] is None
