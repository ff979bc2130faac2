"""The recipes of docs/many-vms.md: what can run of them runs on reports that an agent has made, the
rest compiles.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.patience import PATIENCE

from vmtpy import backup_report
from vmtpy._core import Cause, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = (Path(__file__).parents[3] / "docs/many-vms.md").read_text()
SYSTEM_PYTHON = "/usr/bin/python3"
KEY = "guestinfo.vmtpy.backup"
MISSING = "nothing was frozen: no agent has reported"
UNASKED = "nothing was frozen, as the host asked"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def made(
    outcome: Outcome = Outcome.RELEASED, error: str = "", *, frozen: bool = True, **left_out: Cause
) -> str:
    """A report as the host has it."""
    record: Any = SimpleNamespace(
        outcome=outcome,
        error=error,
        started_unix_ns=1_800_000_000_000_000_000,
        first_freeze=1.0 if frozen else 0.0,
        all_thawed=1.5 if frozen else 0.0,
        filesystems=[SimpleNamespace(path="/boot", paced=0.0)] if frozen else [],
        left_out=[
            SimpleNamespace(path=f"/{name}", type="x", cause=cause)
            for name, cause in left_out.items()
        ],
    )
    return backup_report.encode(backup_report.report(record)).decode()


# Reports, and what is wrong with the snapshot.
CASES = [
    (None, MISSING),
    (made(), ""),
    (made(Outcome.FAILED, 'hook "10-db": no\nspace'), 'failed: hook "10-db": no\nspace'),
    (made(Outcome.FAILED, "no space", frozen=False), "failed: no space"),
    (made(frozen=False), UNASKED),
    (made(home=Cause.UNSUPPORTED, nas=Cause.NETWORK), "partial: not frozen: /home, /nas"),
    (made(home=Cause.EXCLUDED, nas=Cause.NOT_INCLUDED, x=Cause.NOT_REQUESTED), ""),
]


def machine(report: str | None) -> SimpleNamespace:
    """A VM as pyVmomi gives it."""
    options = [SimpleNamespace(key="tools.guest.desktop.autolock", value="FALSE")]
    if report is not None:
        options.append(SimpleNamespace(key=KEY, value=report))
    return SimpleNamespace(config=SimpleNamespace(extraConfig=options))


@pytest.fixture
def names() -> dict[str, Callable[..., Any]]:
    """What the first of the Python recipes defines: it needs nothing."""
    found: dict[str, Any] = {}
    exec(compile(blocks("python")[0], "recipe", "exec"), found)
    return found


def test_every_kind_of_recipe_is_there() -> None:
    assert {language: len(blocks(language)) for language in ("json", "python", "sh", "yaml")} == {
        "json": 1,
        "python": 2,
        "sh": 1,
        "yaml": 1,
    }


def test_the_report_that_is_shown_has_the_fields_of_a_real_one() -> None:
    shown, real = json.loads(blocks("json")[0]), json.loads(made(home=Cause.UNSUPPORTED))
    assert list(shown) == list(real)
    assert list(shown["left_out"][0]) == list(real["left_out"][0])
    assert all(f"| `{name}` |" in TEXT for name in real if not name.endswith("_count"))
    lost = {cause.name.lower() for cause in Cause} - {
        *("none", "pseudo", "memory", "read_only")  # none of these is writable
    }
    assert all(f"`{cause}`" in TEXT for cause in lost)
    assert all(f"`{member.lower()}`" in TEXT for member in Outcome.__members__ if member != "NONE")


def test_the_python_recipes_compile() -> None:
    for number, block in enumerate(blocks("python")):
        compile(block, f"recipe {number}", "exec")


@pytest.mark.parametrize(("report", "wrong"), CASES)
def test_the_python_recipe_judges_a_real_report(
    names: dict[str, Callable[..., Any]], report: str | None, wrong: str
) -> None:
    found = names["report"](machine(report))
    assert names["verdict"](found, None) == wrong
    assert names["verdict"](found, {"time": "before"}) == wrong
    if report is not None:
        assert names["verdict"](found, found) == MISSING, "an old report is none"


def test_the_python_recipe_takes_a_cut_list_for_a_partial_snapshot(
    names: dict[str, Callable[..., Any]],
) -> None:
    report = json.loads(made(home=Cause.EXCLUDED)) | {"left_out_count": 99}
    assert names["verdict"](report, None) == "partial: not frozen: ?"


def test_the_shell_recipe_is_shell() -> None:
    subprocess.run(["sh", "-n"], input=blocks("sh")[0], text=True, check=True, timeout=PATIENCE)


@pytest.mark.parametrize(("report", "wrong"), CASES)
def test_the_shell_recipe_judges_a_real_report(
    report: str | None, wrong: str, tmp_path: Path
) -> None:
    if shutil.which("jq") is None:
        pytest.skip("capability missing: jq")
    options = [
        {"key": option.key, "value": option.value} for option in machine(report).config.extraConfig
    ]
    answer = {"virtualMachines": [{"config": {"extraConfig": options}}]}
    (tmp_path / "answer").write_text(json.dumps(answer))
    # govc's answer to vm.info, in place of govc.
    script = f"govc() {{ cat answer; }}\n{blocks('sh')[0]}\nreport vm | verdict"
    done = subprocess.run(
        ["sh", "-ec", script], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == f"{wrong or 'ok'}\n"


# The playbook as Ansible's own parser and templates read it, without Ansible. Debian's Python has
# them for cloud-init.
PLAYBOOK = """\
import json, sys
import jinja2, yaml
(play,) = yaml.safe_load(sys.argv[1])
environment = jinja2.Environment()
environment.filters["from_json"] = json.loads
options = json.loads(sys.argv[2])
found = {"instance": {"config": {"extraConfig": options}}}
names = {"found": found, "wanted": play["vars"]["wanted"]}
for name in ("report", "missed"):
    text = play["vars"][name].strip()
    names[name] = environment.compile_expression(text[2:-2].strip())(**names)
modules = [next(key for key in task if "." in key) for task in play["tasks"]]
good = environment.compile_expression(play["tasks"][-1][modules[-1]]["that"])(**names)
message = play["tasks"][-1][modules[-1]]["fail_msg"]
said = environment.from_string(message).render(**names)
print(json.dumps([modules, bool(good), said, names["report"]["time"]]))
"""


@pytest.mark.parametrize(("report", "wrong"), CASES)
def test_the_playbook_is_yaml_and_judges_a_real_report(report: str | None, wrong: str) -> None:
    tried = subprocess.run(
        [SYSTEM_PYTHON, "-c", "import jinja2, yaml"], capture_output=True, check=False, timeout=60
    )
    if tried.returncode != 0:
        pytest.skip("capability missing: python3-yaml and python3-jinja2")
    options = [vars(option) for option in machine(report).config.extraConfig]
    done = subprocess.run(
        [SYSTEM_PYTHON, "-c", PLAYBOOK, blocks("yaml")[0], json.dumps(options)],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    modules, good, said, when = json.loads(done.stdout)
    assert modules == [
        "ansible.builtin.set_fact",
        "community.vmware.vmware_guest_snapshot",
        "community.vmware.vmware_guest_info",
        "ansible.builtin.assert",
    ]
    assert good == (wrong == "" and report is not None)
    assert when == ("" if report is None else "2027-01-15T08:00:00Z")
    if wrong == UNASKED or wrong.startswith("partial"):
        assert said == wrong
    elif report is not None and not good:
        assert said == json.loads(report)["error"]
