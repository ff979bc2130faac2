"""Debian's cloud-init, unchanged, with vmtpy-rpctool where it looks for vmware-rpctool: metadata
and userdata of an emulated host arrive, and what shall be redacted is.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import programs
from support.emulation import TIMEOUT, emulate, require_ptrace

from vmtpy import encoding

if TYPE_CHECKING:
    from pathlib import Path

SYSTEM_PYTHON = "/usr/bin/python3"

# Its data source as cloud-init itself drives it. What the emulator has not is the firmware's table
# with the product's name (a file in /sys).
READ = """\
import json, sys
from cloudinit import helpers, settings
from cloudinit.distros import debian
from cloudinit.sources import DataSourceVMware
DataSourceVMware.dmi.read_dmi_data = {"system-product-name": "VMware7,1"}.get
paths = helpers.Paths({"cloud_dir": sys.argv[1], "run_dir": sys.argv[1]})
distro = debian.Distro("debian", {}, paths)
source = DataSourceVMware.DataSourceVMware(settings.CFG_BUILTIN, distro, paths)
assert source.vmware_rpctool == sys.argv[2], source.vmware_rpctool
found = source._get_data()
print(json.dumps([found, source.metadata, str(source.userdata_raw), str(source.vendordata_raw)]))
"""


@pytest.fixture(scope="module", autouse=True)
def _needs() -> None:
    require_ptrace()
    done = subprocess.run(
        [SYSTEM_PYTHON, "-c", "import cloudinit.sources.DataSourceVMware"],
        capture_output=True,
        check=False,
        timeout=TIMEOUT,
    )
    if done.returncode != 0:
        pytest.skip("capability missing: cloud-init")


@pytest.fixture
def rpctool(tmp_path: Path) -> Path:
    """A directory with vmware-rpctool, which is ours, as `ln -s` would put it there."""
    directory = tmp_path / "bin"
    directory.mkdir()
    program = directory / "vmware-rpctool"
    program.symlink_to(programs.rpctool())
    return program


def read(rpctool: Path, tmp_path: Path, values: dict[str, str]) -> tuple[list[object], list[str]]:
    """What cloud-init has read, and its requests to the host."""
    options = [part for key, value in values.items() for part in ("--guestinfo", f"{key}={value}")]
    command = f'PATH="{rpctool.parent}:$PATH" exec "$@"'
    run = emulate(
        *("sh", "-c", command, "sh", SYSTEM_PYTHON, "-c", READ, str(tmp_path), str(rpctool)),
        options=options,
    )
    assert run.code == 0, run.stderr.decode()
    requests = [line["request"] for line in run.of_kind("rpci")]
    return json.loads(run.stdout.splitlines()[-1]), requests


def test_metadata_and_userdata_arrive_plain_and_packed(rpctool: Path, tmp_path: Path) -> None:
    metadata = json.dumps({"instance-id": "vm-1", "local-hostname": "guest"})
    found, requests = read(
        rpctool,
        tmp_path,
        {
            "metadata": base64.b64encode(metadata.encode()).decode(),
            "metadata.encoding": "base64",
            "userdata": base64.b64encode(gzip.compress(b"#cloud-config\n{}\n")).decode(),
            "userdata.encoding": "gzip+base64",
            "vendordata": "#cloud-config",
        },
    )
    assert found[0] is True
    assert isinstance(found[1], dict)
    assert found[1]["instance-id"] == "vm-1"
    assert found[2] == "#cloud-config\n{}\n"
    assert found[3] == "#cloud-config"
    assert "info-get guestinfo.userdata" in requests


def test_without_any_data_it_finds_none(rpctool: Path, tmp_path: Path) -> None:
    found, _ = read(rpctool, tmp_path, {})
    assert found[0] is False


def test_what_shall_be_redacted_is_overwritten_as_our_own_command_does(
    rpctool: Path, tmp_path: Path
) -> None:
    metadata = json.dumps({"instance-id": "vm-1", "redact": ["userdata"]})
    _, requests = read(rpctool, tmp_path, {"metadata": metadata, "userdata": "secret"})
    theirs = [request for request in requests if request.startswith("info-set")]
    run = emulate(sys.executable, "-m", "vmtpy", "guestinfo", "redact", "userdata")
    ours = [line["request"] for line in run.of_kind("rpci")]
    assert (
        ours
        == theirs
        == [
            "info-set guestinfo.userdata ---",
            "info-set guestinfo.userdata.encoding  ",
        ]
    )


@pytest.mark.parametrize("name", encoding.NAMES)
def test_cloud_init_unpacks_what_we_pack(name: str) -> None:
    value = b"#cloud-config\n" + bytes(range(128)) * 40
    script = (
        "import sys; from cloudinit.sources.DataSourceVMware import decode; "
        "sys.stdout.write(decode('k', sys.argv[1], sys.stdin.buffer.read().decode()))"
    )
    done = subprocess.run(
        [SYSTEM_PYTHON, "-c", script, encoding.known(name)],  # what KEY.encoding gets
        input=encoding.encode(value, name),
        stdout=subprocess.PIPE,
        check=True,
        timeout=TIMEOUT,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    assert done.stdout == value
