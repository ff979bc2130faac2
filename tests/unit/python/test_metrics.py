"""Metrics for Prometheus from made-up facts; end to end in tests/system/test_service_real.py."""

from __future__ import annotations

import os
import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.patience import FAR, await_true

from vmtpy.config import MetricsConfig, parse
from vmtpy.errors import ConfigError
from vmtpy.log import Log
from vmtpy.metrics import Metrics

parser = pytest.importorskip("prometheus_client.parser", reason="needs prometheus-client")

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
        "version": "1.2.3",
        "last_backup": None,
        "last_success": None,
    }
    return {**known, **values}


def metrics(config: MetricsConfig, lines: list[str], **values: object) -> Metrics:
    return Metrics(config, lambda: status(**values), Log(lambda _, line: lines.append(line)))


def values(page: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """A page as Prometheus's own parser reads it; each series once."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for family in parser.text_string_to_metric_families(page.decode()):
        assert family.documentation
        assert family.type in ("counter", "gauge", "histogram")
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def test_counts_come_from_the_status_of_the_moment() -> None:
    text = metrics(MetricsConfig(), []).page().decode()
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
        'vmtpy_build_info{version="1.2.3"} 1.0',
    ):
        assert line in text.splitlines()
    assert "last_success" not in text, "an agent that has seen no backup knows of none"
    assert "left_out" not in text
    assert len(values(text.encode())) > 40


def test_the_last_success_has_its_fraction_of_a_second() -> None:
    exporter = metrics(MetricsConfig(), [], last_success=1764110827.25)
    assert (
        values(exporter.page())["vmtpy_last_success_timestamp_seconds", frozenset()]
        == 1764110827.25
    )


def test_what_was_left_out_of_the_last_backup_is_named_with_its_reason() -> None:
    odd = '/a "quoted"\\path\nof two lines and no UTF-8: \udcff'
    left_out = [
        {"path": "/boot/efi", "type": "vfat", "cause": "unsupported"},
        {"path": odd, "type": "nfs4", "cause": "network"},
        {"path": odd, "type": "nfs4", "cause": "network"},  # mounted twice in one place
    ]
    found = values(metrics(MetricsConfig(), [], last_backup={"left_out": left_out}).page())
    series = {labels: value for (name, labels), value in found.items() if "left_out" in name}
    assert series == {
        frozenset({"path": path, "type": kind, "reason": reason}.items()): 1.0
        for path, kind, reason in (
            ("/boot/efi", "vfat", "unsupported"),
            (odd.replace("\udcff", "\\xff"), "nfs4", "network"),
        )
    }


def test_an_unknown_time_difference_is_not_a_zero() -> None:
    exporter = metrics(MetricsConfig(), [], time_difference=None)
    assert b"time_difference" not in exporter.page()


def record(*, paced: float = 0.0, **times: float) -> Any:  # noqa: ANN401 (a RunRecord is made by C++)
    """What the metrics look at of a backup of two filesystems, one of them slowed down."""
    return SimpleNamespace(
        filesystems=[SimpleNamespace(paced=0.0), SimpleNamespace(paced=paced)], **times
    )


def test_records_fill_the_histograms_as_far_as_they_came() -> None:
    exporter = metrics(MetricsConfig(), [])
    whole = record(first_freeze=5.0, all_frozen=5.004, all_thawed=5.3)
    failed = record(first_freeze=9.0, all_frozen=0.0, all_thawed=9.1)
    refused = record(first_freeze=0.0, all_frozen=0.0, all_thawed=0.0)
    paced = record(paced=12.5, first_freeze=0.0, all_frozen=0.0, all_thawed=0.0)
    for ended in (whole, failed, refused, paced):
        exporter.record(ended)
    text = exporter.page().decode()
    assert values(exporter.page())["vmtpy_stall_seconds_sum", frozenset()] == pytest.approx(0.4)
    assert 'vmtpy_freeze_seconds_bucket{le="0.005"} 1.0' in text
    assert "vmtpy_freeze_seconds_count 1.0" in text
    assert 'vmtpy_stall_seconds_bucket{le="0.2"} 1.0' in text
    assert "vmtpy_stall_seconds_count 2.0" in text
    assert 'vmtpy_paced_seconds_bucket{le="0.0"} 3.0' in text
    assert 'vmtpy_paced_seconds_bucket{le="10.0"} 3.0' in text
    assert 'vmtpy_paced_seconds_bucket{le="20.0"} 4.0' in text
    assert "vmtpy_paced_seconds_sum 12.5" in text


def test_the_textfile_is_written_whole_but_not_while_frozen(tmp_path: Path) -> None:
    file = tmp_path / "vmtpy.prom"
    config = MetricsConfig(textfile=str(file))
    metrics(config, [], frozen=True).write()
    assert not file.exists()
    metrics(config, []).write()
    assert "vmtpy_rpcs_total 4.0" in file.read_text()
    assert [entry.name for entry in tmp_path.iterdir()] == ["vmtpy.prom"]


def test_the_textfile_is_readable_for_others_under_the_units_umask(tmp_path: Path) -> None:
    file = tmp_path / "vmtpy.prom"
    mask = os.umask(0o077)
    try:
        metrics(MetricsConfig(textfile=str(file)), []).write()
    finally:
        os.umask(mask)
    assert file.stat().st_mode & 0o777 == 0o644


def test_a_backup_that_ends_is_in_the_textfile_before_the_interval(tmp_path: Path) -> None:
    file = tmp_path / "vmtpy.prom"
    exporter = metrics(MetricsConfig(textfile=str(file), interval=FAR), [])
    exporter.start()
    await_true(lambda: file.exists() and "vmtpy_freeze_seconds_count 0.0" in file.read_text())
    exporter.record(record(first_freeze=5.0, all_frozen=5.1, all_thawed=5.2))
    await_true(lambda: "vmtpy_freeze_seconds_count 1.0" in file.read_text())
    exporter.record(record(first_freeze=5.0, all_frozen=5.1, all_thawed=5.2))
    await_true(lambda: "vmtpy_freeze_seconds_count 2.0" in file.read_text())
    exporter.write = lambda: None  # type: ignore[method-assign]  # the directory goes before the thread


def test_a_textfile_that_cannot_be_replaced_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "vmtpy.prom"
    file.mkdir()
    lines: list[str] = []
    metrics(MetricsConfig(textfile=str(file)), lines).write()
    assert lines[0] == f"[metrics] textfile = '{file}': Is a directory"
    assert [entry.name for entry in tmp_path.iterdir()] == ["vmtpy.prom"]


def test_a_textfile_that_cannot_be_written_is_logged_once() -> None:
    lines: list[str] = []
    exporter = metrics(MetricsConfig(textfile="/nowhere/vmtpy.prom"), lines)
    exporter.write()
    exporter.write()
    assert lines == ["[metrics] textfile = '/nowhere/vmtpy.prom': No such file or directory"]


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "192.0.2.1:9273", "no..name:9273"])
def test_an_address_that_cannot_be_listened_on_is_an_error_in_the_log(
    address: str, tmp_path: Path
) -> None:
    lines: list[str] = []
    file = tmp_path / "vmtpy.prom"
    exporter = metrics(MetricsConfig(listen=address, textfile=str(file)), lines)
    exporter.start()
    await_true(file.exists)  # the textfile is written all the same
    exporter.write = lambda: None  # type: ignore[method-assign]  # the directory goes before the thread
    (line,) = lines
    assert line.startswith(f"the metrics are not served: [metrics] listen = '{address}': ")


def test_a_port_that_is_taken_is_an_error_in_the_log() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        lines: list[str] = []
        metrics(MetricsConfig(listen=address), lines).start()
    (line,) = lines
    why = "Address already in use"
    assert line == f"the metrics are not served: [metrics] listen = '{address}': {why}"


@pytest.mark.parametrize("port", ["0", "9273", "09273", "65535"])
def test_a_port_of_the_range_is_accepted(port: str) -> None:
    address = f"[::1]:{port}"
    assert parse({"metrics": {"listen": address}}, "here").metrics.listen == address


@pytest.mark.parametrize("port", ["65536", "66000", "70000", "99999", "123456", ""])
def test_a_port_above_the_range_is_refused(port: str) -> None:
    with pytest.raises(ConfigError, match="must be an address and a port up to 65535 like"):
        parse({"metrics": {"listen": f"127.0.0.1:{port}"}}, "here")


@pytest.mark.parametrize(
    "table",
    [{"textfile": "vmtpy.prom"}, {"textfile": "/x/vmtpy.txt"}, {"listen": "9273"}, {"port": 1}],
)
def test_a_table_that_makes_no_sense_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"\[metrics\]"):
        parse({"metrics": table}, "here")
