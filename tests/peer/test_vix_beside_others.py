"""The answer about the state of the tools beside those of others: Debian's unmodified vmtoolsd gets
the same requests, and govmomi's own code for VIX makes the request and reads the answer.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.emulation import TIMEOUT, require_ptrace
from support.patience import PATIENCE
from support.vix import (
    HEADER,
    NAME,
    ORDER,
    OS_NAME,
    PRODUCT,
    VERSION,
    parse_answer,
    state_request,
)

from vmtpy import _core
from vmtpy._host import Device, TrapHost
from vmtpy.host.hgfs import commands_to
from vmtpy.host.listener import Listener
from vmtpy.services.announce import tools_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmtpy.host.hgfs import Exchange

VMTOOLSD = shutil.which("vmtoolsd")
COMMAND = b"Vix_1_Relayed_Command "
GO = Path("/usr/share/gocode")
GUEST_OPERATIONS = range(4540, 4600)
BOOLEAN = 3
# Makes a request as govmomi does; reads an answer's properties, and writes them again.
PROGRAM = """package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"

	"github.com/vmware/govmomi/toolbox/vix"
)

func main() {
	var request vix.CommandRequestHeader
	request.Magic = vix.CommandMagicWord
	request.MessageVersion = 5
	request.TotalMessageLength = uint32(binary.Size(request))
	request.HeaderLength = uint32(binary.Size(request))
	request.OpCode = vix.CommandGetToolsState
	made := new(bytes.Buffer)
	_ = binary.Write(made, binary.LittleEndian, &request)
	fmt.Printf("%x\\n", made.Bytes())
	told, err := base64.StdEncoding.DecodeString(os.Args[1])
	if err != nil {
		panic(err)
	}
	var list vix.PropertyList
	if err = list.UnmarshalBinary(told); err != nil {
		panic(err)
	}
	again, _ := list.MarshalBinary()
	fmt.Printf("%x\\n", again)
	expected := vix.PropertyList{
		vix.NewStringProperty(vix.PropertyGuestOsVersion, "a system"),
		vix.NewStringProperty(vix.PropertyGuestOsVersionShort, "debian12-64"),
		vix.NewStringProperty(vix.PropertyGuestToolsProductNam, "a product"),
		vix.NewStringProperty(vix.PropertyGuestToolsVersion, "1.2.3"),
		vix.NewStringProperty(vix.PropertyGuestName, "a host"),
	}
	wanted, _ := expected.MarshalBinary()
	fmt.Printf("%x\\n", wanted)
}
"""


@pytest.fixture(scope="module")
def vmtoolsd() -> Iterator[Exchange]:
    require_ptrace()
    if VMTOOLSD is None:
        pytest.skip("capability missing: vmtoolsd (open-vm-tools)")
    device = Device(_core.SteadyClock())
    host = TrapHost(device, [VMTOOLSD])
    host.start()
    try:
        assert device.wait_for_tools(time.monotonic() + TIMEOUT)
        with Listener(device) as listener:
            exchange = commands_to(device, listener, TIMEOUT)
            assert exchange(b"reset") == b"OK ATR toolbox"
            assert exchange(b"Capabilities_Register") == b"OK "
            yield exchange
    finally:
        host.signal(signal.SIGTERM)
        if not host.wait(time.monotonic() + PATIENCE):
            host.signal(signal.SIGKILL)
            host.wait(time.monotonic() + PATIENCE)
    assert host.wait_status() == 0


def ours(body: bytes) -> bytes:
    return _core.answer_vix(body, tools_state())


def test_vmtoolsd_tells_the_same_and_names_guest_operations(vmtoolsd: Exchange) -> None:
    body = NAME + state_request()
    error, _, theirs = parse_answer(vmtoolsd(COMMAND + body))
    assert error == 0
    told = parse_answer(ours(body))[2]
    first = theirs[: len(told)]
    assert [(field.id, field.type) for field in told] == [(field.id, field.type) for field in first]
    assert [field.id for field in first] == ORDER
    for mine, its in zip(told, first, strict=True):
        if mine.id == OS_NAME:  # theirs has the kernel in front, and more of the system behind
            assert mine.value.rstrip(b"\0") in its.value
        elif mine.id not in (PRODUCT, VERSION):
            assert mine.value == its.value
    # It says of each guest operation whether it serves it; ours says nothing of any.
    operations = {field.id for field in theirs if field.type == BOOLEAN}
    assert operations
    assert operations <= set(GUEST_OPERATIONS)
    assert not {field.id for field in told} & set(GUEST_OPERATIONS)


@pytest.mark.parametrize(
    "packet",
    [
        state_request(),
        state_request(op=0xFFFF),
        state_request(magic=1),
        state_request(version=4),
        state_request(total=HEADER - 1),
        state_request(body=1),
        state_request(credentials=1),
        state_request(total=HEADER + 3, body=3) + b"abc",
        state_request(total=HEADER + 3) + b"abc",
    ],
)
def test_vmtoolsd_takes_and_refuses_the_same(vmtoolsd: Exchange, packet: bytes) -> None:
    theirs = parse_answer(vmtoolsd(COMMAND + NAME + packet))
    assert parse_answer(ours(NAME + packet))[0] == theirs[0]


@pytest.mark.parametrize(
    "packet",
    [
        state_request(header=HEADER - 1),
        state_request(total=HEADER + 1),
        state_request(total=HEADER + 2),
        state_request()[:-1],
    ],
)
def test_a_packet_that_is_not_whole_is_refused_by_ours_alone(
    vmtoolsd: Exchange, packet: bytes
) -> None:
    assert parse_answer(vmtoolsd(COMMAND + NAME + packet))[0] == 0
    assert parse_answer(ours(NAME + packet))[0] == 10000


def test_govmomi_makes_the_request_and_reads_the_answer(tmp_path: Path) -> None:
    if shutil.which("go") is None or not (GO / "src/github.com/vmware/govmomi").exists():
        pytest.skip("capability missing: golang-go, golang-github-vmware-govmomi-dev")
    state = _core.ToolsState(
        os_name=b"a system",
        os_short_name=b"debian12-64",
        product=b"a product",
        version=b"1.2.3",
        host_name=b"a host",
    )
    answer = _core.answer_vix(NAME + state_request(), state)
    told = answer.removeprefix(b"OK 0 0 ").rstrip(b"\0").decode()
    (tmp_path / "main.go").write_text(PROGRAM)
    environment = {"GOPATH": str(GO), "GO111MODULE": "off", "CGO_ENABLED": "0"}
    run = subprocess.run(
        ["go", "run", "main.go", told],
        check=True,
        timeout=300,
        cwd=tmp_path,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    request, again, wanted = (bytes.fromhex(line) for line in run.stdout.split())
    assert again == wanted
    assert _core.answer_vix(NAME + request, state) == answer
