"""tools.conf is read as open-vm-tools reads it: `vmware-toolbox-cmd config get` says how."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from support.emulation import emulate, require_ptrace
from support.loop import require_root

from vmtpy.migrate import tools_conf

if TYPE_CHECKING:
    from pathlib import Path

PEER = shutil.which("vmware-toolbox-cmd")
# Texts, with the keys of section [a] that are asked for.
CASES: list[tuple[bytes, tuple[str, ...]]] = [
    (b"[a]\nk = v w\n  j=x\n#l=1\n # m=1\n", ("k", "j", "l", "m")),
    (b"[a]\nk=v  \n", ("k",)),
    (b"[a]\nk=one\\ttwo\\s\\\\ z\\q\n", ("k",)),
    (b"[a]\nk=1\nk=2\n[b]\nk=3\n[a]\nj=a=b\n", ("k", "j")),
    (b"[a]\r\nk=1\r\nj=x y\r\n", ("k", "j")),
    (b"  [a]  \nk=\n", ("k",)),
    (b"[a]\nk=\xff\nj=1\n", ("k", "j")),
    (b"[a]\nk=x\x0by\x1cz\n", ("k",)),
    (b"[a]\n;k=1\nj[de]=1\n", (";k", "j[de]")),
    (b"[a]\nk=1\nnonsense\n", ("k",)),
    (b"[a]\nk=1\n=2\n", ("k",)),
    (b"[a] x\nk=1\n", ("k",)),
    (b"[]\n[a]\nk=1\n", ("k",)),
    (b"\xef\xbb\xbf[a]\nk=1\n", ("k",)),
    (b"k=1\n[a]\nk=2\n", ("k",)),
    (b"", ("k",)),
]
SCRIPT = """\
mount -t tmpfs tmpfs /etc/vmware-tools
for case in "$1"/case*; do
    cp "$case/tools.conf" /etc/vmware-tools/tools.conf
    while read -r key; do
        vmware-toolbox-cmd config get a "$key" >>"$case/said" 2>/dev/null
    done <"$case/keys"
done
"""


@pytest.fixture(scope="module", autouse=True)
def _cpuid() -> None:
    """Once, as this machine can: CPUID is not what is compared here."""


@pytest.mark.skipif(PEER is None, reason="capability missing: vmware-toolbox-cmd (open-vm-tools)")
def test_every_value_is_the_peers(tmp_path: Path) -> None:
    require_root()
    require_ptrace()
    for number, (text, keys) in enumerate(CASES):
        case = tmp_path / f"case{number:02}"
        case.mkdir()
        (case / "tools.conf").write_bytes(text)
        (case / "keys").write_text("".join(f"{key}\n" for key in keys))
    run = emulate("unshare", "-m", "sh", "-c", SCRIPT, "sh", tmp_path)
    assert run.code == 0
    for number, (text, keys) in enumerate(CASES):
        try:
            found = tools_conf.parse(text.decode("utf-8", "replace")).get("a", {})
        except tools_conf.ToolsConfError:
            found = {}
        expected = "".join(
            f"[a] {key} = {found[key]}\n" if key in found else f"[a] {key} UNSET\n" for key in keys
        )
        said = (tmp_path / f"case{number:02}" / "said").read_bytes()
        assert said.decode() == expected, text
