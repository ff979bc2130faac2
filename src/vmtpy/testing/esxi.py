"""ESXi's treatment of a test's guest, and the verdict on that guest.

It serves EmulatedHost.esxi() and relies on src/vmtpy/host/esxi.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmtpy._arguments import check_seconds
from vmtpy.host.esxi import Esxi, Periods
from vmtpy.host.script import BackupRequest
from vmtpy.testing.programs import wait_interruptibly

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from vmtpy._host import Device
    from vmtpy.host.listener import Listener
    from vmtpy.host.script import BackupResult
    from vmtpy.host.verdict import Verdict


class EsxiLife:
    """A host that treats its guest as ESXi does; `EmulatedHost.esxi()` makes it.

    In its `with` block the guest gets the burst of options with which a host begins, and then
    pings. A backup stuns the machine and fetches the manifest. After the block has ended,
    `verdict` says what vSphere would show.
    """

    def __init__(
        self, device: Device, listener: Listener, ping: float, stun: float, timeout: float
    ) -> None:
        self._device = device
        self._esxi = Esxi(device, listener, device, Periods(ping=ping, stun=stun))
        self._timeout = timeout
        self._verdict: Verdict | None = None

    def backup(
        self, snapshot: Callable[[], object] | None = None, timeout: float = 60.0
    ) -> BackupResult:
        """Takes one quiesced snapshot; the machine is stunned while it is taken.

        Args:
            snapshot: as for `EmulatedHost.backup()`. Default: None.
            timeout: seconds to wait at most. Default: 60.

        Returns:
            What happened. A backup that fails raises no exception.

        Raises:
            TypeError, ValueError: `timeout` is no number, or not between 0 and 86400.
        """
        check_seconds("timeout", timeout, 0.0, 86400.0)
        return self._esxi.backup(BackupRequest(snapshot=snapshot, timeout=timeout))

    @property
    def verdict(self) -> Verdict:
        """What vSphere would show of the guest.

        Raises:
            RuntimeError: the `with` block has not ended yet.
        """
        if self._verdict is None:
            raise RuntimeError("the verdict is available after the `with` block has ended")
        return self._verdict

    def __enter__(self) -> Self:
        if not wait_interruptibly(self._device.wait_for_tools, self._timeout):
            raise TimeoutError(f"no guest asked for commands within {self._timeout:g} s")
        self._esxi.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._esxi.end()
        self._verdict = self._esxi.verdict()
