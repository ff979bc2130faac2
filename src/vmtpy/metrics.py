"""Metrics for Prometheus: a textfile for node_exporter, or HTTP. Imported only when configured.

Relies on prometheus-client. What the agent counts natively is read when somebody asks; histograms
are fed by the record of each backup.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from vmtpy.errors import ConfigError

try:
    from prometheus_client import CollectorRegistry, Histogram, generate_latest, start_http_server
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
except ImportError as error:
    raise ConfigError("[metrics] needs prometheus-client: pip install 'vmtpy[metrics]'") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.metrics_core import Metric

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
        self._changed = threading.Event()
        self.registry = CollectorRegistry()
        self.registry.register(_Native(status))
        self._freeze = self._histogram("freeze", "From the first FIFREEZE to the last one's return")
        self._stall = self._histogram(
            "stall", "From the first FIFREEZE to the last FITHAW's return"
        )

    def start(self) -> None:
        """Begins to serve, in threads that end with the program.

        Raises:
            ConfigError: the address cannot be listened on.
        """
        if self._config.listen:
            address, _, port = self._config.listen.rpartition(":")
            try:
                start_http_server(int(port), address.strip("[]"), self.registry)
            except (OSError, OverflowError) as error:
                raise ConfigError(f"[metrics] listen = {self._config.listen!r}: {error}") from error
        if self._config.textfile:
            threading.Thread(target=self._keep_writing, name="vmtpy-metrics", daemon=True).start()

    def record(self, record: RunRecord) -> None:
        """A backup has ended."""
        if record.all_frozen:
            self._freeze.observe(record.all_frozen - record.first_freeze)
        if record.first_freeze and record.all_thawed:
            self._stall.observe(record.all_thawed - record.first_freeze)
        self._changed.set()

    def write(self) -> None:
        """Writes the textfile; not while something is frozen, for it may lie there."""
        if self._status()["frozen"]:
            return
        try:
            _replace(self._config.textfile, generate_latest(self.registry))
        except OSError as error:
            if self._trouble != str(error):
                self._log.warning(f"[metrics] textfile: {error}")
            self._trouble = str(error)
        else:
            self._trouble = ""

    def _keep_writing(self) -> None:
        while True:
            self.write()
            self._changed.wait(self._config.interval)
            self._changed.clear()

    def _histogram(self, name: str, words: str) -> Histogram:
        return Histogram(
            f"vmtpy_{name}_seconds", f"{words}.", buckets=BUCKETS, registry=self.registry
        )


class _Native:
    """What the agent counts itself, read when asked."""

    def __init__(self, status: Callable[[], dict[str, Any]]) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        status = self._status()
        wire, channel = status["wire"], status["channel"]
        yield _labelled("vmtpy_backups", "Backups by how they ended.", "outcome", status["backups"])
        yield _labelled(
            "vmtpy_traps", "Traps to the host.", "kind", {one: wire[one] for one in TRAPS}
        )
        yield CounterMetricFamily("vmtpy_rpcs", "Requests to the host.", value=wire["rpcs"])
        yield _labelled(
            "vmtpy_rpc_errors",
            "Requests that the host refused, conversations that broke off.",
            "kind",
            {"refused": wire["refusals"], "broken": wire["failures"]},
        )
        yield CounterMetricFamily(
            "vmtpy_channel_opens", "Channels opened to the host.", value=wire["opens"]
        )
        yield CounterMetricFamily(
            "vmtpy_channel_resets", "Resets by the host.", value=channel["resets"]
        )
        yield GaugeMetricFamily("vmtpy_frozen", "1 while frozen.", value=status["frozen"])
        yield GaugeMetricFamily(
            "vmtpy_connected", "1 while the host answers.", value=channel["connected"]
        )
        if status["time_difference"] is not None:
            yield GaugeMetricFamily(
                "vmtpy_time_difference_seconds",
                "How far the guest's clock is ahead of the host's.",
                value=status["time_difference"],
            )


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


def _labelled(name: str, words: str, label: str, values: dict[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, words, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
