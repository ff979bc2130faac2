"""Metrics for Prometheus, in a textfile for node_exporter or over HTTP.

The agent imports this module only if metrics are configured. The native counters are read for each
page; the histograms count the records of backups. A new metric needs a line in families() and one
in docs/monitoring.md.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from vmtpy.errors import ConfigError
from vmtpy.exposition import (
    Family,
    Histogram,
    counter,
    counters,
    gauge,
    gauges,
    render,
)
from vmtpy.metrics_server import serve

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmtpy._core import RunRecord
    from vmtpy.config import MetricsConfig
    from vmtpy.log import Log

BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
PACED = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0)
TRAPS = ("low", "high_out", "high_in")


class Metrics:
    """All metrics of an agent.

    Args:
        config: the textfile and the address.
        status: returns the agent's status, as `Agent.status`.
        log: gets a line for each new failure.
    """

    def __init__(
        self, config: MetricsConfig, status: Callable[[], dict[str, Any]], log: Log
    ) -> None:
        self._config = config
        self._status = status
        self._log = log
        self._trouble = ""
        self._unchanged = threading.Lock()  # held until a backup has ended
        self._unchanged.acquire()
        self._freeze = Histogram(
            "vmtpy_freeze_seconds",
            "Time from the first FIFREEZE to the return of the last FIFREEZE.",
            BUCKETS,
        )
        self._stall = Histogram(
            "vmtpy_stall_seconds",
            "Time from the first FIFREEZE to the return of the last FITHAW.",
            BUCKETS,
        )
        self._paced = Histogram(
            "vmtpy_paced_seconds", "Time for which writers were slowed down before a freeze.", PACED
        )

    def start(self) -> None:
        """Starts the threads that serve the metrics. They end with the program.

        If the agent cannot listen on the configured address, this is only logged, because an agent
        without metrics still takes part in backups.
        """
        if self._config.listen:
            try:
                serve(self._config.listen, self.page, self._log)
            except ConfigError as error:
                self._log.error(f"the metrics are not served: {error}")
        if self._config.textfile:
            threading.Thread(target=self._keep_writing, daemon=True).start()

    def record(self, record: RunRecord) -> None:
        """Counts the record of a backup that has ended."""
        if record.all_frozen:
            self._freeze.observe(record.all_frozen - record.first_freeze)
        if record.first_freeze and record.all_thawed:
            self._stall.observe(record.all_thawed - record.first_freeze)
        self._paced.observe(max((one.paced for one in record.filesystems), default=0.0))
        if self._unchanged.locked():
            self._unchanged.release()

    def page(self) -> bytes:
        """All metrics, in the text format."""
        histograms = [self._freeze.family(), self._stall.family(), self._paced.family()]
        return render([*families(self._status()), *histograms])

    def write(self) -> None:
        """Writes the textfile, except while filesystems are frozen, since it may lie on one."""
        if self._status()["frozen"]:
            return
        try:
            _replace(self._config.textfile, self.page())
        except OSError as error:
            if self._trouble != str(error):
                name = self._config.textfile
                self._log.warning(f"[metrics] textfile = {name!r}: {error.strerror or error}")
            self._trouble = str(error)
        else:
            self._trouble = ""

    def _keep_writing(self) -> None:
        while True:
            self.write()
            self._unchanged.acquire(timeout=self._config.interval)


def families(status: dict[str, Any]) -> list[Family]:
    """The metrics that are made from the agent's status."""
    wire, channel, last = status["wire"], status["channel"], status["last_backup"]
    traps = {kind: wire[kind] for kind in TRAPS}
    errors = {"refused": wire["refusals"], "broken": wire["failures"]}
    made = [
        gauge(
            "vmtpy_build_info",
            "Always 1; the label has the agent's version.",
            1,
            {"version": status["version"]},
        ),
        counters("vmtpy_backups_total", "Backups by outcome.", "outcome", status["backups"]),
        counters("vmtpy_traps_total", "Traps to the host by kind.", "kind", traps),
        counter("vmtpy_rpcs_total", "Requests to the host.", wire["rpcs"]),
        counters(
            "vmtpy_rpc_errors_total",
            "Requests that the host refused, and conversations that broke.",
            "kind",
            errors,
        ),
        counter("vmtpy_channel_opens_total", "Channels opened to the host.", wire["opens"]),
        counter("vmtpy_channel_resets_total", "Resets that the host sent.", channel["resets"]),
        gauge("vmtpy_frozen", "1 while filesystems are frozen.", status["frozen"]),
        gauge("vmtpy_connected", "1 while the host answers.", channel["connected"]),
    ]
    if status["last_success"] is not None:
        words = "Unix time at which the last good backup since the agent's start was frozen."
        made.append(gauge("vmtpy_last_success_timestamp_seconds", words, status["last_success"]))
    if last is not None:
        words = "1 for each writable filesystem that the last backup did not freeze, by reason."
        made.append(gauges("vmtpy_left_out_filesystem", words, _left_out(last)))
    if status["time_difference"] is not None:
        words = "Seconds by which the guest's clock is ahead of the host's."
        made.append(gauge("vmtpy_time_difference_seconds", words, status["time_difference"]))
    return made


def _left_out(last: dict[str, Any]) -> list[tuple[dict[str, str], float]]:
    """The samples without duplicates: Prometheus refuses two series with the same labels."""
    known = {(left["path"], left["type"], left["cause"]): left for left in last["left_out"]}
    return [({"path": path, "type": type_, "reason": cause}, 1) for path, type_, cause in known]


def _replace(path: str, data: bytes) -> None:
    """Replaces the file atomically by one with `data` that every user can read.

    node_exporter runs as another user, and the service's umask denies other users.

    Raises:
        OSError: the file cannot be written; the old file stays.
    """
    temporary = f"{path}.{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(temporary, flags, 0o644)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123
            os.fchmod(descriptor, 0o644)
            file.write(data)
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        os.unlink(temporary)  # noqa: PTH108
        raise
