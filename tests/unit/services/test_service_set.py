"""What all services have in common: no failure of one ends the agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmtpy import _core, _host
from vmtpy.config import Config
from vmtpy.services.service_set import ServiceSet
from vmtpy.transport import find_ways

if TYPE_CHECKING:
    import pytest


def test_a_command_that_fails_with_a_text_that_is_no_utf_8_is_an_error_to_the_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backdoor = _host.EmulatedBackdoor(_host.Device(_host.ManualClock()))
    ways = find_ways("auto", backdoor=backdoor, dialer=None, clock=_core.SteadyClock())
    log: list[str] = []
    services = ServiceSet(Config(), ways, lambda _: None, log.append)

    def fail(_: str) -> bytes:
        raise OSError("/caf\udcff")

    monkeypatch.setattr(services._time, "request", fail)
    assert services.command("Time_Synchronize", "1", 1) == rb"ERROR Time_Synchronize: /caf\udcff"
    assert log == ["Time_Synchronize: OSError: /caf\udcff"]
    services.close()
