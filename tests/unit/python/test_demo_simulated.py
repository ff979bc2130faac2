"""The demo over a simulated disk passes or fails by what vSphere would show of its snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmtpy import _core, _host
from vmtpy.demo.simulate import simulate

if TYPE_CHECKING:
    import pytest


def test_it_passes_where_vsphere_would_show_a_quiesced_snapshot() -> None:
    result = simulate()
    assert result.passed, result.findings
    assert result.findings[-1] == (
        True,
        "vSphere would show: quiesced, the host has the manifest",
    )


def test_it_fails_where_the_host_does_not_get_the_manifest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def deaf(clock: _core.Clock, **options: bool) -> _host.Device:
        device = made(clock, **options)
        device.answer_with("tools.capability.hgfs_server", "0 Unknown command", 9)
        return device

    made = _host.Device
    monkeypatch.setattr(_host, "Device", deaf)
    result = simulate()
    assert not result.passed
    assert result.findings[-1] == (
        False,
        "vSphere would show: not quiesced: the host did not get the manifest: "
        "the guest did not announce tools.capability.hgfs_server",
    )
    assert all(good for good, _ in result.findings[:-1]), "the guest did confirm it"
