"""A new user leaves open-vm-tools: what is typed and what is answered, against a golden file.

The machine is this one with its own layers: a virtual environment from a wheel, scripts of
open-vm-tools, a disk at /media. .ci/try_wheels runs it in fresh Debian trees as well.
VMTPY_UPDATE_GOLDEN=1 writes the file anew: look at the difference before it is committed.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.emulation import require_ptrace
from support.loop import loop_mount, require_loop
from support.patience import FAR
from support.wheel import make_wheel

from vmtpy.hooks import legacy

if TYPE_CHECKING:
    from support.loop import LoopMount

GOLDEN = Path(__file__).with_name("leaving_session.txt")
LAYERS = ("/etc", "/usr/sbin", "/usr/local")
ENTER = """\
set -e
layers=$1 disk=$2 wheels=$3
for place in /etc /usr/sbin /usr/local; do
    over=$layers$place
    mount -t overlay overlay -o "lowerdir=$place,upperdir=$over,workdir=$over.work" "$place"
done
mount --bind "$disk" /media
mount --bind "$wheels" /mnt
cd /mnt
export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
unset PYTHONPATH
exec sh -c "$4" 2>&1
"""
AGENT = "vmtpy run --include /media"
# By then an agent has told of its guest, in a tree that has only just been made, too.
SNAPSHOT = f"vmtpy emulate --as esxi --backup-after 5 --end-after-backup -- {AGENT}"
SESSION = (
    f"{sys.executable} -m venv /usr/local/vmtpy",
    "/usr/local/vmtpy/bin/pip install -q --no-index --find-links . vmtpy-*.whl",
    "ln -s /usr/local/vmtpy/bin/vmtpy /usr/local/bin/",
    "vmtpy --version",
    SNAPSHOT,
    "cat /media/calls",
    "vmtpy migrate",
    "cat /etc/vmtpy/vmtpy.toml",
    "vmtpy config check",
    SNAPSHOT,
    "cat /media/calls",
    f"mv /media/broken {legacy.BACKUP_SCRIPTS}/20-broken",
    SNAPSHOT,
    f"rm {legacy.BACKUP_SCRIPTS}/20-broken",
    "vmtpy install-service --root / --kind systemd",
    "vmtpy uninstall-service --root / --kind systemd",
    "/usr/local/vmtpy/bin/pip uninstall -q -y vmtpy",
    "rm -r /etc/vmtpy /usr/local/vmtpy /usr/local/bin/vmtpy",
    "find /etc /usr -name '*vmtpy*'",
)


@pytest.fixture
def layers(tmp_path: Path) -> Path:
    if not shutil.which("vmtoolsd"):
        pytest.skip("capability missing: open-vm-tools")
    require_loop()
    require_ptrace()
    made = tmp_path / "layers"
    for place in LAYERS:
        for name in (place, f"{place}.work"):
            (made / name[1:]).mkdir(parents=True)
    (made / "etc/vmware-tools").mkdir()
    # open-vm-tools' own links in /etc/vmware-tools differ between Debian's releases.
    os.setxattr(made / "etc/vmware-tools", "trusted.overlay.opaque", b"y")
    for path in (legacy.PRE_FREEZE, legacy.POST_THAW, f"{legacy.BACKUP_SCRIPTS}/10-db"):
        write_script(made / path[1:], 'echo "${0##*/} $*" >> /media/calls')
    settings = made / "etc/vmware-tools/tools.conf"
    settings.write_text("[vmbackup]\nexcludedFileSystems=/scratch\n[guestinfo]\npoll-interval=60\n")
    return made


def write_script(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def steady(output: str) -> str:
    """Without what is another one each time."""
    for pattern, name in (
        (r"\d+\.\d+\.\d+", "<version>"),
        (r"\d+(\.\d+)? m?s\b", "<n> ms"),
        (r"(?m)^\d{4}-\d\d-\d\d [\d:.]+ ", "<time> "),
    ):
        output = re.sub(pattern, name, output)
    return "".join(line for line in output.splitlines(keepends=True) if is_steady(line))


def is_steady(line: str) -> bool:
    """Of the host's timeline the verdict; of the agent's log what is the same on each machine."""
    if "the host is reached by" in line:  # its reason depends on who is faster
        return False
    if line.startswith("<time> "):
        return any(word in line for word in ("PROBLEM", "quiesced", "hook"))
    timeline = re.match(r"\s+<n> ms  |\s{20,}\d+  ", line)
    return not timeline or "<n> ms  verdict" in line


def run(layers: Path, mount: LoopMount, wheels: Path) -> str:
    """The session: each command after its prompt, with what it said, and its exit code if not 0."""
    script = "".join(
        f"printf '# %s\\n' {shlex.quote(line)}; {{ {line}; }} || echo \"(exit code $?)\"; echo\n"
        for line in SESSION
    )
    places = [str(place) for place in (layers, mount.path, wheels)]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", ENTER, "sh", *places, script],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
        timeout=FAR,
    )
    assert done.returncode == 0, done.stdout
    return steady(done.stdout.replace(sys.executable, "python3"))


def test_the_session_is_as_it_is_written(layers: Path, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(wheels)
    with loop_mount() as mount:
        mount.check_ours()
        write_script(Path(mount.path, "broken"), "echo the database is down >&2; exit 1")
        session = run(layers, mount, wheels)
    if os.environ.get("VMTPY_UPDATE_GOLDEN"):
        GOLDEN.write_text(session)
    assert session == GOLDEN.read_text()
