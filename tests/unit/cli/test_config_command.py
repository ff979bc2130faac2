"""`vmtpy config`, and which file counts: the named one, the running agent's, the default one."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from vmtpy import agent_status, config_text
from vmtpy.__main__ import main
from vmtpy.cli import run
from vmtpy.config import Config, QuiesceConfig, find, load
from vmtpy.errors import ConfigError
from vmtpy.in_force import in_force
from vmtpy.log import Log
from vmtpy.status_socket import AskingRefusedError, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default place of the file; nothing is there yet, and no agent runs."""
    file = tmp_path / "etc" / "vmtpy.toml"
    file.parent.mkdir()
    monkeypatch.setattr("vmtpy.config.FILE", str(file))
    socket = str(tmp_path / "no-agent")
    status = Config().status._replace(socket=socket)
    monkeypatch.setattr("vmtpy.in_force.Config", lambda: Config(status=status))
    return file


@pytest.fixture
def agent(default: Path, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What a running agent says, on the socket that the default file names."""
    socket = tmp_path / "status"
    default.write_text(f'[quiesce]\ninclude = ["/srv"]\n[status]\nsocket = "{socket}"\n')
    told: dict[str, Any] = {"pid": 7, "configuration_file": str(default)}
    told["configuration"] = json.loads(json.dumps(agent_status.in_force(load(default))))
    with served(str(socket), lambda: told, Log(lambda *_: None)):
        yield told


def test_the_default_file_counts_where_it_is_there_and_no_other_is_named(default: Path) -> None:
    assert find(None) == ""
    assert find("x.toml") == "x.toml"
    default.write_text("[quiesce]\ntimeout = 5\n")
    assert find(None) == str(default)
    assert find("x.toml") == "x.toml"
    assert load(find(None)).quiesce.timeout == 5


def test_a_default_file_that_leads_nowhere_is_an_error(default: Path) -> None:
    default.symlink_to("nowhere")
    with pytest.raises(ConfigError, match=r"vmtpy\.toml: No such file or directory"):
        load(find(None))


def test_run_reads_the_default_file_and_sees_it_come_and_go(default: Path) -> None:
    options = run.parse([])
    assert run.read(options) == Config()
    default.write_text("[quiesce]\ntimeout = 5\n")
    assert run.read(options).quiesce.timeout == 5
    assert options.file == str(default)
    default.unlink()
    assert run.read(options) == Config()


def test_a_named_file_that_is_missing_is_an_error_for_every_command(
    default: Path, capsys: Capture
) -> None:
    default.write_text("")
    missing = str(default.with_name("missing.toml"))
    for command in ("run", "plan", "install-service"):
        assert main([command, "--config", missing]) == 1
        assert f"{missing}: No such file or directory" in capsys.readouterr().err
    assert main(["doctor", "--config", missing]) == 1
    shown = capsys.readouterr().out
    assert re.search(rf"PROBLEM +configuration +{missing}: No such file", shown)


def test_the_example_has_every_key_and_check_takes_it(tmp_path: Path, capsys: Capture) -> None:
    assert main(["config", "example"]) == 0
    text = capsys.readouterr().out
    for table, default in Config._field_defaults.items():
        part = text.partition(f"\n[{table}]\n")[2].partition("\n[")[0]
        keys = re.findall(r"^#(\w+) = ", part, re.MULTILINE)
        assert keys == list(default._fields)
    file = tmp_path / "vmtpy.toml"
    for written in (text, re.sub(r"(?m)^#(\w+ = )", r"\1", text)):
        file.write_text(written)
        assert main(["config", "check", str(file)]) == 0
        assert capsys.readouterr().out == f"{file} is valid\n"
        assert load(file) == Config()
    assert max(map(len, text.splitlines())) <= 100


def test_every_table_and_key_has_words_of_its_own() -> None:
    for table in config_text.tables():
        assert len(table.text) > 20
        for key in table.keys:
            assert len(key.text) > 20, f"[{table.name}] {key.name}"
            assert key.allowed or isinstance(key.default, bool)


def test_check_names_every_mistake(default: Path, capsys: Capture) -> None:
    default.write_text(
        '[quiesce]\ntimeot = 3\ntimeout = 0\nexclude = ["/x"]\n[pol]\nx = 1\n[poll]\nmin = 0.9\n'
    )
    assert main(["config", "check"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"vmtpy config: {default}: ") for line in lines)
    for line, words in zip(lines, ("no key 'timeot'", "timeout = 0", "key 'pol'"), strict=True):
        assert words in line


def test_check_sees_what_is_wrong_only_together(default: Path, capsys: Capture) -> None:
    default.write_text("[poll]\nmin = 0.9\nmax = 2\n")
    assert main(["config", "check"]) == 0
    default.write_text("[poll]\nmin = 0.9\n")
    assert main(["config", "check"]) == 1
    assert "min = 0.9 must not be more than max = 0.6" in capsys.readouterr().err
    default.write_text("[poll\n")
    assert main(["config", "check"]) == 1
    assert "not valid TOML" in capsys.readouterr().err


@pytest.mark.usefixtures("default")
def test_check_without_any_file_says_so(capsys: Capture) -> None:
    assert main(["config", "check"]) == 1
    assert "/etc/vmtpy/vmtpy.toml does not exist" in capsys.readouterr().err


def test_show_says_where_each_value_is_from_and_is_a_file_itself(
    default: Path, tmp_path: Path, capsys: Capture
) -> None:
    default.write_text('[quiesce]\ntimeout = 5\n[postgresql]\ndsn = "a\\u007f\\t\\"b"\n')
    assert main(["config", "show"]) == 0
    text = capsys.readouterr().out
    assert re.search(rf"^timeout = 5 +# {default}$", text, re.MULTILINE)
    assert re.search(r"^filesystem_timeout = 2 +# default$", text, re.MULTILINE)
    again = tmp_path / "again.toml"
    again.write_text(text)
    assert load(again) == load(default)


def test_the_running_agents_includes_count(
    agent: dict[str, Any], default: Path, capsys: Capture
) -> None:
    found = in_force(None)
    assert (found.file, found.differing) == (str(default), [])
    agent["configuration"]["quiesce"]["include"] = ["/data"]
    found = in_force(None)
    assert found.config.quiesce == QuiesceConfig(include=("/data",))
    assert found.differing == [("quiesce", "include")]
    assert main(["config", "show"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r'^include = \["/data"\] +# the running agent, process 7$', shown, re.M)


def test_show_has_what_the_running_agent_has_and_not_what_the_file_has_become(
    agent: dict[str, Any], default: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    status = load(default).status
    monkeypatch.setattr("vmtpy.in_force.Config", lambda: Config(status=status))
    text = default.read_text() + '[postgresql]\ndsn = "host=/x"\n'
    default.write_text(text)
    agent["configuration"]["hooks"]["timeout"] = 5.0
    agent["configuration"]["hooks"]["of_a_later_version"] = 5.0
    assert main(["config", "show"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("# The configuration of the running agent, process 7\n")
    assert re.search(r"^timeout = 5 +# the running agent, process 7$", shown, re.M)
    assert re.search(rf'^dsn = "host=/x" +# {default}$', shown, re.M)
    default.write_text(text + "user = 1\n")
    assert main(["config", "show"]) == 0
    shown, said = capsys.readouterr()
    assert "[postgresql] has no key 'user'" in said
    assert re.search(r"^timeout = 5 +# the running agent, process 7$", shown, re.M)
    assert re.search(r'^dsn = "" +# not known', shown, re.M)
    assert main(["plan"]) == 1
    assert "include /srv" in capsys.readouterr().err, "the agent's plan"


def test_a_named_file_counts_instead_of_the_running_agents(
    agent: dict[str, Any], default: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    socket = load(default).status.socket
    other.write_text(f'[quiesce]\nexclude = ["/x"]\n[status]\nsocket = "{socket}"\n')
    found = in_force(str(other))
    assert found.status == agent
    assert found.config.quiesce == QuiesceConfig(exclude=("/x",))
    assert list(found.differing) == []


def test_plan_says_whose_includes_it_has(
    agent: dict[str, Any], default: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from vmtpy import _core
    from vmtpy.cli import plan

    asked = []

    def planned(*lists: list[str]) -> _core.Plan:
        asked.append(lists)
        return _core.Plan([])

    monkeypatch.setattr(plan, "plan", planned)
    assert main(["plan"]) == 0
    assert (
        capsys.readouterr().out.splitlines()[-1] == f"This plan applies include /srv of {default}"
    )
    agent["configuration"]["quiesce"] |= {"include": ["/data"], "exclude": ["/data/x", "/y"]}
    assert main(["plan"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert (
        last
        == "This plan applies include /data and exclude /data/x, /y of the running agent, process 7"
    )
    assert main(["plan", "/var"]) == 0
    assert main(["plan", "--exclude", "/z"]) == 0
    assert asked[1:] == [
        (["/data"], ["/data/x", "/y"], []),
        (["/var"], [], []),
        ([], ["/z"], []),
    ]


@pytest.mark.usefixtures("default")
def test_a_plan_made_without_the_agents_answer_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def refuse(path: str) -> None:
        raise AskingRefusedError(f"only root may ask the agent on {path}")

    monkeypatch.setattr("vmtpy.in_force.ask", refuse)
    assert main(["plan"]) == 0
    assert "only root may ask the agent on " in capsys.readouterr().err
    assert main(["plan", "--config", "/dev/null"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["config", "show"]) == 0
    assert "only root may ask the agent on " in capsys.readouterr().err


def test_doctor_names_what_the_running_agent_has_otherwise(
    agent: dict[str, Any], default: Path
) -> None:
    from vmtpy.doctor.machine import check_configuration

    agent["configuration"]["quiesce"]["include"] = ["/data"]
    agent["configuration"]["metrics"]["listen"] = "127.0.0.1:1"
    first, *others = check_configuration(in_force(None))
    assert (first.level, first.text) == ("ok", str(default))
    assert [other.level for other in others] == ["note", "note"]
    differs = f"of the running agent differs from {default}"
    assert others[0].text == f'[quiesce] include {differs}: ["/data"]'
    assert others[0].remedy.startswith("`systemctl reload vmtpy`")
    assert others[1].text == f'[metrics] listen {differs}: "127.0.0.1:1"'
    assert others[1].remedy == "`systemctl restart vmtpy`"
