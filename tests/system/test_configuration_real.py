"""The default configuration file with a real agent, and the commands of docs/configuration.md."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.guest import running_guest
from support.loop import loop_mount, require_loop, require_program, require_root

from vmtpy.config import Config, load
from vmtpy.status_socket import ask

PAGE = Path(__file__).parent.parent.parent / "docs/configuration.md"
# In front of a program, in a shell: /etc/vmtpy is a directory of the test's, for it alone.
INSIDE = 'unshare -m sh -c \'mount -t tmpfs none /etc && ln -s "$0" /etc/vmtpy && exec "$@"\''


def inside(etc: Path) -> str:
    return f"{INSIDE} {shlex.quote(str(etc))}"


@pytest.fixture(autouse=True)
def etc(tmp_path: Path) -> Path:
    require_root()
    require_program("unshare", "mount")
    made = tmp_path / "etc"
    made.mkdir()
    return made


def test_a_running_agent_says_what_it_has_read_and_reads_it_again(
    etc: Path, tmp_path: Path
) -> None:
    require_loop("ext4")
    socket = tmp_path / "status"
    head = f'[status]\nsocket = "{socket}"\n[hooks]\ndirectory = ""\n'
    (etc / "vmtpy.toml").write_text(head)
    with (
        loop_mount("ext4") as mount,
        running_guest([mount], tmp_path / "log", inside=inside(etc)) as guest,
    ):
        guest.until(socket.exists)
        found = ask(str(socket))
        assert found["configuration_file"] == "/etc/vmtpy/vmtpy.toml"
        assert found["include"] == [str(mount.path)]
        assert found["exclude"] == []
        (etc / "vmtpy.toml").write_text(f'{head}[quiesce]\nexclude = ["/nowhere"]\n')
        guest.host.signal(signal.SIGHUP)
        guest.until(lambda: "the configuration was reloaded" in guest.text())
        assert ask(str(socket))["exclude"] == ["/nowhere"]


def test_the_commands_of_the_page_run_and_the_example_is_taken(etc: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    python = shlex.quote(sys.executable)
    script = f'vmtpy() {{ {python} -m vmtpy "$@"; }}\n' + "".join(blocks)
    done = subprocess.run(
        ["sh", "-c", f'{inside(etc)} sh -euc "$1"', "sh", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "/etc/vmtpy/vmtpy.toml is valid\n" in done.stdout
    assert re.search(r"^timeout = 30 +# default$", done.stdout, re.MULTILINE)
    assert load(etc / "vmtpy.toml") == Config()
