"""Debian's unmodified vmtoolsd serves a file to our HGFS client, whose packets are those of
VMware's own host: captures of it are part of govmomi's tests.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.emulation import TIMEOUT, require_ptrace
from support.hgfs import CASES, CONTENT, Talk
from support.patience import PATIENCE

from vmtpy._core import SteadyClock
from vmtpy._host import Device, TrapHost
from vmtpy.host.hgfs import (
    Hgfs,
    HgfsError,
    HgfsStatusError,
    Op,
    close_body,
    commands_to,
    create_session_body,
    fetch,
    getattr_body,
    name_on_wire,
    open_body,
    open_v3_body,
    parse,
    read_body,
    request,
)
from vmtpy.host.listener import Listener

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vmtpy.host.hgfs import Exchange

VMTOOLSD = shutil.which("vmtoolsd")
CAPTURES = Path("/usr/share/gocode/src/github.com/vmware/govmomi/toolbox/hgfs/protocol_test.go")


@pytest.fixture(scope="module")
def vmtoolsd() -> Iterator[Exchange]:
    require_ptrace()
    if VMTOOLSD is None:
        pytest.skip("capability missing: vmtoolsd (open-vm-tools)")
    device = Device(SteadyClock())
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


@pytest.mark.parametrize("size", [0, 1, 100, 0xF000, 0xF001, 200_000])
def test_a_file_is_fetched(vmtoolsd: Exchange, tmp_path: Path, size: int) -> None:
    file = tmp_path / "manifest.xml"
    file.write_bytes(os.urandom(size))
    assert fetch(vmtoolsd, str(file)) == file.read_bytes()


def test_what_cannot_be_fetched_is_named(vmtoolsd: Exchange, tmp_path: Path) -> None:
    with pytest.raises(HgfsStatusError, match=r"getattr v2: status 1 \(no such file\)"):
        fetch(vmtoolsd, str(tmp_path / "none"))
    with pytest.raises(HgfsError, match="is no file"):
        fetch(vmtoolsd, str(tmp_path))
    (tmp_path / "large").write_bytes(bytes(1001))
    with pytest.raises(HgfsError, match="has 1001 bytes, and at most 1000 are taken"):
        fetch(vmtoolsd, str(tmp_path / "large"), 1000)


def test_a_bare_command_is_no_packet(vmtoolsd: Exchange) -> None:
    assert vmtoolsd(b"f") == b"ERROR 1 argument required"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_it_answers_as_ours_does(
    vmtoolsd: Exchange, tmp_path: Path, case: Callable[[Talk], None]
) -> None:
    file = tmp_path / "manifest.xml"
    file.write_bytes(CONTENT)
    guest = Hgfs(vmtoolsd)
    guest.create_session()
    case(Talk(guest, str(file)))
    guest.destroy_session()


def captured() -> list[bytes]:
    if not CAPTURES.exists():
        pytest.skip("capability missing: golang-github-vmware-govmomi-dev")
    text = CAPTURES.read_text(encoding="utf-8")
    return [base64.b64decode(match) for match in re.findall(r'"([A-Za-z0-9+/=]{60,})"', text)]


def test_requests_are_byte_for_byte_those_of_a_real_host() -> None:
    """But for the session's number, and the byte behind a name, of which the host sends rubbish."""
    hosts, resolv = name_on_wire("/etc/hosts"), name_on_wire("/tmp/resolv.conf")
    upload, create_empty = 1, 4
    ours = {
        Op.CREATE_SESSION_V4: create_session_body(),
        Op.GETATTR_V2: getattr_body(hosts),
        Op.OPEN: open_body(hosts),
        Op.READ_V3: read_body(0, 0, 0xF000),
        Op.CLOSE: close_body(0),
        Op.DESTROY_SESSION_V4: bytes(8),
        Op.OPEN_V3: open_v3_body(resolv, upload, create_empty),
    }
    packets = captured()
    for op, body in ours.items():
        theirs = next(packet for packet in packets if packet[20:24] == op.to_bytes(4, "little"))
        session = int.from_bytes(theirs[36:44], "little")
        mine = request(op, body, session)
        if op is Op.OPEN:
            assert theirs.endswith(b"s"), "rubbish"
            mine, theirs = mine[:-1], theirs[:-1]
        assert mine == theirs, op.name


def test_replies_that_a_real_host_has_taken_are_read() -> None:
    read = [parse(packet) for packet in captured() if packet[28] == 2]
    assert {packet.op for packet in read} >= {op for op in Op if op is not Op.CLOSE_V3}
    assert all(packet.status == 0 for packet in read)
