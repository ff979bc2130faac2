"""Metrics for Prometheus from made-up facts; end to end in tests/system/test_service_real.py."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from vmtpy.config import MetricsConfig, parse
from vmtpy.errors import ConfigError
from vmtpy.log import Log

pytest.importorskip("prometheus_client", reason="needs the package prometheus-client")
from prometheus_client import generate_latest

from vmtpy.metrics import Metrics

if TYPE_CHECKING:
    from pathlib import Path


def status(**values: object) -> dict[str, Any]:
    wire = ("low", "high_out", "high_in", "rpcs", "refusals", "failures", "opens")
    known = {
        "frozen": False,
        "backups": {"released": 2, "expired": 1},
        "wire": {name: number for number, name in enumerate(wire, 1)},
        "channel": {"connected": True, "resets": 3},
        "time_difference": -0.25,
    }
    return {**known, **values}


def metrics(config: MetricsConfig, lines: list[str], **values: object) -> Metrics:
    return Metrics(config, lambda: status(**values), Log(lambda _, line: lines.append(line)))


def test_counts_come_from_the_status_of_the_moment() -> None:
    text = generate_latest(metrics(MetricsConfig(), []).registry).decode()
    for line in (
        'vmtpy_backups_total{outcome="released"} 2.0',
        'vmtpy_backups_total{outcome="expired"} 1.0',
        'vmtpy_traps_total{kind="high_out"} 2.0',
        "vmtpy_rpcs_total 4.0",
        'vmtpy_rpc_errors_total{kind="refused"} 5.0',
        'vmtpy_rpc_errors_total{kind="broken"} 6.0',
        "vmtpy_channel_opens_total 7.0",
        "vmtpy_channel_resets_total 3.0",
        "vmtpy_time_difference_seconds -0.25",
        "vmtpy_frozen 0.0",
        "vmtpy_connected 1.0",
    ):
        assert line in text.splitlines()


def test_an_unknown_time_difference_is_not_a_zero() -> None:
    one = metrics(MetricsConfig(), [], time_difference=None)
    assert b"time_difference" not in generate_latest(one.registry)


def test_records_fill_the_histograms_as_far_as_they_came() -> None:
    one = metrics(MetricsConfig(), [])
    whole = SimpleNamespace(first_freeze=5.0, all_frozen=5.004, all_thawed=5.3)
    failed = SimpleNamespace(first_freeze=9.0, all_frozen=0.0, all_thawed=9.1)
    refused = SimpleNamespace(first_freeze=0.0, all_frozen=0.0, all_thawed=0.0)
    for record in (whole, failed, refused):
        one.record(record)  # type: ignore[arg-type]
    text = generate_latest(one.registry).decode()
    assert 'vmtpy_freeze_seconds_bucket{le="0.005"} 1.0' in text
    assert "vmtpy_freeze_seconds_count 1.0" in text
    assert 'vmtpy_stall_seconds_bucket{le="0.2"} 1.0' in text
    assert "vmtpy_stall_seconds_count 2.0" in text


def test_the_textfile_is_written_whole_but_not_while_frozen(tmp_path: Path) -> None:
    file = tmp_path / "vmtpy.prom"
    config = MetricsConfig(textfile=str(file))
    metrics(config, [], frozen=True).write()
    assert not file.exists()
    metrics(config, []).write()
    assert "vmtpy_rpcs_total 4.0" in file.read_text()
    assert [one.name for one in tmp_path.iterdir()] == ["vmtpy.prom"]


def test_the_textfile_is_readable_for_others_under_the_units_umask(tmp_path: Path) -> None:
    file = tmp_path / "vmtpy.prom"
    mask = os.umask(0o077)
    try:
        metrics(MetricsConfig(textfile=str(file)), []).write()
    finally:
        os.umask(mask)
    assert file.stat().st_mode & 0o777 == 0o644


def test_a_textfile_that_cannot_be_replaced_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "vmtpy.prom"
    file.mkdir()
    lines: list[str] = []
    metrics(MetricsConfig(textfile=str(file)), lines).write()
    assert lines[0].startswith("[metrics] textfile: ")
    assert [one.name for one in tmp_path.iterdir()] == ["vmtpy.prom"]


def test_a_textfile_that_cannot_be_written_is_logged_once() -> None:
    lines: list[str] = []
    one = metrics(MetricsConfig(textfile="/nowhere/vmtpy.prom"), lines)
    one.write()
    one.write()
    assert len(lines) == 1
    assert lines[0].startswith("[metrics] textfile: ")


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "192.0.2.1:9273"])
def test_an_address_that_cannot_be_listened_on_is_an_error_of_the_configuration(
    address: str,
) -> None:
    with pytest.raises(ConfigError, match=r"\[metrics\] listen = "):
        metrics(MetricsConfig(listen=address), []).start()


@pytest.mark.parametrize(
    "table",
    [{"textfile": "vmtpy.prom"}, {"textfile": "/x/vmtpy.txt"}, {"listen": "9273"}, {"port": 1}],
)
def test_a_table_that_makes_no_sense_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"\[metrics\]"):
        parse({"metrics": table}, "here")


def test_without_the_extra_the_error_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "from vmtpy.errors import ConfigError\n"
        "try:\n    import vmtpy.metrics\n"
        "except ConfigError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True, timeout=60
    )
    assert done.stdout.strip().endswith("pip install 'vmtpy[metrics]'")
