"""Metrics for Prometheus: a textfile for node_exporter, or HTTP. Imported only when configured.

What the agent counts natively is read when somebody asks; histograms are fed by the record of each
backup. To add a metric: a line in families() and one in docs/monitoring.md.
"""

from __future__ import annotations

import _thread
import os
from typing import TYPE_CHECKING, Any

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
TRAPS = ("low", "high_out", "high_in")


class Metrics:
    """All metrics of an agent.

    Args:
        config: where they go.
        status: gives the agent's status, as `Agent.status`.
        log: takes what goes wrong.
    """

    def __init__(
        self, config: MetricsConfig, status: Callable[[], dict[str, Any]], log: Log
    ) -> None:
        self._config = config
        self._status = status
        self._log = log
        self._trouble = ""
        self._unchanged = _thread.allocate_lock()  # held until a backup has ended
        self._unchanged.acquire()
        self._freeze = Histogram(
            "vmtpy_freeze_seconds", "From the first FIFREEZE to the last one's return.", BUCKETS
        )
        self._stall = Histogram(
            "vmtpy_stall_seconds",
            "From the first FIFREEZE to the last FITHAW's return.",
            BUCKETS,
        )

    def start(self) -> None:
        """Begins to serve, in threads that end with the program.

        Raises:
            ConfigError: the address cannot be listened on.
        """
        if self._config.listen:
            serve(self._config.listen, self.page, self._log)
        if self._config.textfile:
            _thread.start_new_thread(self._keep_writing, ())

    def record(self, record: RunRecord) -> None:
        """A backup has ended."""
        if record.all_frozen:
            self._freeze.observe(record.all_frozen - record.first_freeze)
        if record.first_freeze and record.all_thawed:
            self._stall.observe(record.all_thawed - record.first_freeze)
        if self._unchanged.locked():
            self._unchanged.release()

    def page(self) -> bytes:
        """All of them, in the text format."""
        return render([*families(self._status()), self._freeze.family(), self._stall.family()])

    def write(self) -> None:
        """Writes the textfile; not while something is frozen, for it may lie there."""
        if self._status()["frozen"]:
            return
        try:
            _replace(self._config.textfile, self.page())
        except OSError as error:
            if self._trouble != str(error):
                self._log.warning(f"[metrics] textfile: {error}")
            self._trouble = str(error)
        else:
            self._trouble = ""

    def _keep_writing(self) -> None:
        while True:
            self.write()
            self._unchanged.acquire(timeout=self._config.interval)


def families(status: dict[str, Any]) -> list[Family]:
    """What the agent's status says, as metrics."""
    wire, channel, last = status["wire"], status["channel"], status["last_backup"]
    traps = {kind: wire[kind] for kind in TRAPS}
    errors = {"refused": wire["refusals"], "broken": wire["failures"]}
    made = [
        gauge("vmtpy_build_info", "1; the version.", 1, {"version": status["version"]}),
        counters("vmtpy_backups_total", "Backups by how they ended.", "outcome", status["backups"]),
        counters("vmtpy_traps_total", "Traps to the host.", "kind", traps),
        counter("vmtpy_rpcs_total", "Requests to the host.", wire["rpcs"]),
        counters(
            "vmtpy_rpc_errors_total",
            "Requests that the host refused, conversations that broke off.",
            "kind",
            errors,
        ),
        counter("vmtpy_channel_opens_total", "Channels opened to the host.", wire["opens"]),
        counter("vmtpy_channel_resets_total", "Resets by the host.", channel["resets"]),
        gauge("vmtpy_frozen", "1 while frozen.", status["frozen"]),
        gauge("vmtpy_connected", "1 while the host answers.", channel["connected"]),
    ]
    if status["last_success"] is not None:
        words = "Since 1970, when all was frozen for the last good snapshot of this run."
        made.append(gauge("vmtpy_last_success_timestamp_seconds", words, status["last_success"]))
    if last is not None:
        words = "1: writable, and not frozen in the last backup; the reason as in the report."
        made.append(gauges("vmtpy_left_out_filesystem", words, _left_out(last)))
    if status["time_difference"] is not None:
        words = "How far the guest's clock is ahead of the host's."
        made.append(gauge("vmtpy_time_difference_seconds", words, status["time_difference"]))
    return made


def _left_out(last: dict[str, Any]) -> list[tuple[dict[str, str], float]]:
    """Each once: Prometheus refuses a page with two series of the same labels."""
    known = {(one["path"], one["type"], one["cause"]): one for one in last["left_out"]}
    return [({"path": path, "type": type_, "reason": cause}, 1) for path, type_, cause in known]


def _replace(path: str, data: bytes) -> None:
    """Puts `data` in place of the file, readable for everybody whatever the umask.

    node_exporter is another user, and the service's umask lets nobody else read.

    Raises:
        OSError: it cannot be written; the old file stays.
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
