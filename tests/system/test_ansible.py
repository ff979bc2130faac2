"""The Ansible role, applied to this machine with a layer of its own over what the role changes: as
an image is built, where nothing is started.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.copies import HOOKS
from support.loop import require_root
from support.wheel import make_wheel

ROOT = Path(__file__).parent.parent.parent
ROLES = ROOT / "contrib" / "ansible" / "roles"
DEFAULTS = ROLES / "vmtpy" / "defaults" / "main.yml"
LAYERS = ("/etc", "/opt", "/usr/local")
ENTER = """\
set -e
layers=$1; shift
for place in /etc /opt /usr/local; do
    over=$layers$place
    mount -t overlay overlay -o "lowerdir=$place,upperdir=$over,workdir=$over.work" "$place"
done
exec "$@"
"""
TOOLS = "[vmbackup]\nexcludedFileSystems=/scratch\n"
CONFIG = "[quiesce]\ntimeout = 20\n"


class Machine:
    """This one, beneath layers that are kept in a directory."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.layers = place / "layers"
        for layer in LAYERS:
            for name in (layer, f"{layer}.work"):
                (self.layers / name[1:]).mkdir(parents=True)
        self.inside = ("unshare", "-m", "sh", "-c", ENTER, "sh", str(self.layers))
        tried = subprocess.run([*self.inside, "true"], capture_output=True, check=False, timeout=60)
        if tried.returncode != 0:
            pytest.skip("capability missing: overlay filesystems in a mount namespace")
        self.variables = {
            "ansible_python_interpreter": "/usr/bin/python3",
            "vmtpy_wheel": str(make_wheel(place)),
            "vmtpy_python": sys.executable,
            "vmtpy_python_packages": [],
            "vmtpy_pip_arguments": f"--no-index --find-links={place}",
            "vmtpy_root": "/",
        }
        self.said = ""

    def file(self, path: str) -> Path:
        return self.layers / path[1:]

    def write(self, path: str, text: str) -> None:
        self.file(path).parent.mkdir(parents=True, exist_ok=True)
        self.file(path).write_text(text)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        home = {"HOME": str(self.place), "ANSIBLE_HOME": str(self.place / "ansible")}
        roles = {"ANSIBLE_ROLES_PATH": str(ROLES), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"}
        roles["ANSIBLE_PIPELINING"] = "1"  # no files for each task
        return subprocess.run(
            [*self.inside, *command],
            env={**os.environ, **home, **roles},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=280,
            check=False,
            cwd=self.place,
        )

    def apply(self, **more: object) -> tuple[int, str]:
        """Applies the role. Returns how many tasks have changed something, and the output."""
        play = {"hosts": "localhost", "connection": "local", "gather_subset": "min"}
        playbook = self.place / "play.yml"  # JSON is YAML
        playbook.write_text(
            json.dumps([{**play, "roles": ["vmtpy"], "vars": {**self.variables, **more}}])
        )
        done = self.run("ansible-playbook", "-i", "localhost,", str(playbook))
        assert done.returncode == 0, done.stdout
        changed = re.search(r"changed=(\d+)", done.stdout)
        assert changed
        return int(changed[1]), done.stdout


def require_ansible() -> None:
    """Skips the test without it."""
    if not shutil.which("ansible-playbook"):
        pytest.skip("needs the program ansible-playbook (Debian: ansible-core)")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """One that had open-vm-tools, and to which the role has been applied."""
    require_root()
    require_ansible()
    machine = Machine(tmp_path_factory.mktemp("ansible"))
    machine.write("/etc/vmware-tools/tools.conf", TOOLS)
    changed, machine.said = machine.apply()
    assert changed > 5, machine.said
    return machine


def test_a_machine_with_open_vm_tools_changes_over_and_a_second_run_changes_nothing(
    machine: Machine,
) -> None:
    assert "guest customization" in machine.said, "what is lost is shown"
    assert 'exclude = ["/scratch"]' in machine.file("/etc/vmtpy/vmtpy.toml").read_text()
    assert machine.run("/usr/local/bin/vmtpy", "--version").stdout.startswith("vmtpy ")
    unit = machine.file("/etc/systemd/system/vmtpy.service").read_text()
    assert "ExecStart=/opt/vmtpy/bin/vmtpy run" in unit
    assert machine.file("/etc/systemd/system/multi-user.target.wants/vmtpy.service").is_symlink()
    changed, said = machine.apply()
    assert changed == 0, said


def test_configuration_hooks_and_environment_are_what_was_asked_for(machine: Machine) -> None:
    wanted: dict[str, Any] = {
        "vmtpy_config": CONFIG,
        "vmtpy_hooks": [{"src": str(HOOKS / "mariadb.py"), "name": "50-mariadb"}],
        "vmtpy_environment": {"VMTPY_MARIADB_LOCK": "BLOCK_DDL", "ODD": '50% of "a b"\\'},
        "vmtpy_migrate": False,
    }
    machine.apply(**wanted)
    assert machine.file("/etc/vmtpy/vmtpy.toml").read_text() == CONFIG
    hook = machine.file("/etc/vmtpy/hooks.d/50-mariadb")
    assert hook.read_bytes() == (HOOKS / "mariadb.py").read_bytes()
    assert hook.stat().st_mode & 0o777 == 0o755
    override = "/etc/systemd/system/vmtpy.service.d/ansible.conf"
    text = machine.file(override).read_text()
    assert 'Environment="VMTPY_MARIADB_LOCK=BLOCK_DDL"\n' in text
    assert 'Environment="ODD=50%% of \\"a b\\"\\\\"\n' in text
    assert machine.file(override).stat().st_mode & 0o777 == 0o600
    changed, said = machine.apply(**{**wanted, "vmtpy_environment": {}})
    assert changed == 1, said
    assert machine.run("test", "-e", override).returncode == 1


def test_a_configuration_that_no_agent_would_take_is_refused(machine: Machine) -> None:
    file = machine.file("/etc/vmtpy/vmtpy.toml")
    before = file.read_text()
    with pytest.raises(AssertionError, match="no key 'timeot'"):
        machine.apply(vmtpy_migrate=False, vmtpy_config="[quiesce]\ntimeot = 20\n")
    assert file.read_text() == before


def check_syntax(playbook: Path, **environment: str) -> None:
    done = subprocess.run(
        ["ansible-playbook", "--syntax-check", "-i", "localhost,", str(playbook)],
        env={**os.environ, "LC_ALL": "C.UTF-8", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout


def test_the_play_of_the_page_finds_the_role_and_the_hook_from_the_root(tmp_path: Path) -> None:
    require_ansible()
    text = (ROOT / "docs/ansible.md").read_text()
    (play,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    (roles,) = re.findall(r"`ANSIBLE_ROLES_PATH=(\S+) ansible-playbook ", text)
    (tmp_path / "play.yml").write_text(play)
    check_syntax(tmp_path / "play.yml", ANSIBLE_ROLES_PATH=roles)
    for hook in re.findall(r"- src: (\S+)", play):
        assert (ROOT / hook).is_file()


def test_playbook_and_role_are_ansible_and_every_variable_is_explained() -> None:
    require_ansible()
    check_syntax(ROLES.parent / "site.yml")
    known = set(re.findall(r"^(vmtpy_\w+):", DEFAULTS.read_text(), re.MULTILINE))
    rows = re.findall(r"^\|(.*?)\|", (ROOT / "docs/ansible.md").read_text(), re.MULTILINE)
    assert known == set(re.findall(r"`(vmtpy_\w+)`", " ".join(rows)))
