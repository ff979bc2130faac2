"""Alert rules, dashboard and page of monitoring: right by Prometheus's own tool, and about metrics
that the agent has.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from vmtpy.config import MetricsConfig
from vmtpy.log import Log
from vmtpy.metrics import Metrics

ROOT = Path(__file__).parent.parent.parent
MONITORING = ROOT / "contrib" / "monitoring"
RULES = MONITORING / "vmtpy.rules.yml"
DASHBOARD = MONITORING / "vmtpy.dashboard.json"
PAGE = ROOT / "docs" / "monitoring.md"


def promtool(*arguments: str) -> str:
    """What it says. Skips the test without it."""
    if not shutil.which("promtool"):
        pytest.skip("needs promtool (Debian: prometheus)")
    done = subprocess.run(
        ["promtool", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
        cwd=MONITORING,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def page() -> bytes:
    """All metrics that there are."""
    wire = dict.fromkeys(("low", "high_out", "high_in", "rpcs", "refusals", "failures", "opens"), 1)
    left_out = [{"path": "/a", "type": "zfs", "cause": "unsupported"}]
    status: dict[str, Any] = {
        "version": "1",
        "backups": {"released": 1},
        "wire": wire,
        "channel": {"resets": 0, "connected": True},
        "frozen": False,
        "last_success": 1.0,
        "last_backup": {"left_out": left_out},
        "time_difference": 0.0,
    }
    return Metrics(MetricsConfig(), lambda: status, Log(lambda *_: None)).page()


def metrics() -> set[str]:
    return set(re.findall(r"^# TYPE (\S+)", page().decode(), re.M))


def mentioned(text: str) -> set[str]:
    """Metrics of the agent that a text names, without what a histogram's series add."""
    names = re.findall(r"\bvmtpy_\w+", text)
    return {re.sub(r"(?<=_seconds)_(?:bucket|count|sum)$", "", name) for name in names}


def expressions() -> list[str]:
    """What the dashboard's panels ask, with Grafana's variables put in."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    return [
        question.replace("$__rate_interval", "5m")
        .replace("$__range", "7d")
        .replace("$instance", ".*")
        for question in asked
    ]


def test_the_rules_pass_promtools_checks_and_their_own_tests() -> None:
    assert "9 rules found" in promtool("check", "rules", RULES.name)
    assert "SUCCESS" in promtool("test", "rules", "vmtpy.rules.test.yml")


def test_a_rule_that_is_changed_fails_its_test(tmp_path: Path) -> None:
    for file in (RULES, MONITORING / "vmtpy.rules.test.yml"):
        shutil.copy(file, tmp_path)
    changed = tmp_path / RULES.name
    changed.write_text(changed.read_text().replace("> 2 * 86400", "> 3 * 86400"))
    with pytest.raises(AssertionError, match="VmtpyNoRecentSnapshot"):
        promtool("test", "rules", str(tmp_path / "vmtpy.rules.test.yml"))


def test_every_alert_is_tested_and_explained() -> None:
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text())
    tested = re.findall(
        r"alertname: (\w+)\n        exp_alerts:", RULES.with_suffix(".test.yml").read_text()
    )
    assert sorted(alerts) == sorted(tested)
    assert sorted(alerts) == sorted(re.findall(r"^\| `(Vmtpy\w+)`", PAGE.read_text(), re.M))


def test_the_dashboards_questions_are_promql(tmp_path: Path) -> None:
    rules = [{"record": f"question:{n}", "expr": one} for n, one in enumerate(expressions())]
    file = tmp_path / "questions.yml"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "questions", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(file))


def test_rules_dashboard_and_page_name_metrics_that_there_are() -> None:
    assert len(metrics()) > 10
    for text in (RULES.read_text(), "\n".join(expressions())):
        assert mentioned(text)
        assert mentioned(text) <= metrics()
    assert mentioned(PAGE.read_text()) == metrics()


def test_the_dashboards_panels_are_apart() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in panels):
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells
