"""The pytest plugin: fixtures for tests of programs that run in a VMware guest.

    def test_my_code(vmware_host):
        vmware_host.guestinfo["answer"] = "42"
        assert my_code() == "42"

Every pytest loads this file where vmtpy is installed, so it imports nothing of vmtpy until a test
uses a fixture.
"""

from __future__ import annotations

import pytest

TYPE_CHECKING = False  # see vmtpy/__init__.py
if TYPE_CHECKING:
    import os
    import subprocess
    from collections.abc import Iterator, Mapping
    from typing import Protocol

    from vmtpy.testing import EmulatedHost, SimulatedGuest

    class Run(Protocol):
        """The type of the fixture vmware_run: EmulatedHost.run() of this test's host."""

        def __call__(
            self,
            *command: str | os.PathLike[str],
            stdin: bytes = b"",
            env: Mapping[str, str] | None = None,
            cwd: str | os.PathLike[str] | None = None,
            timeout: float = 60.0,
        ) -> subprocess.CompletedProcess[bytes]: ...


@pytest.fixture
def vmware_host() -> Iterator[EmulatedHost]:
    """An emulated VMware host, a vmtpy.testing.EmulatedHost, which stands in for this machine's.

    vmtpy in this process speaks to it, and so do the subprocesses `vmware-rpctool` and
    `vmtpy-rpctool`.
    """
    from vmtpy.testing import EmulatedHost

    with EmulatedHost() as host, host.installed():
        yield host


@pytest.fixture
def vmware_guest(vmware_host: EmulatedHost) -> Iterator[SimulatedGuest]:
    """vmtpy's agent as the guest of vmware_host, a vmtpy.testing.SimulatedGuest.

    Its disk is simulated.
    """
    from vmtpy.testing import SimulatedGuest

    with SimulatedGuest(vmware_host) as guest:
        yield guest


@pytest.fixture
def vmware_run(vmware_host: EmulatedHost) -> Run:
    """EmulatedHost.run(), which runs a program by ptrace as in a virtual machine of vmware_host.

    The fixture skips the test where programs cannot be traced.
    """
    from vmtpy.testing.programs import untraceable

    if reason := untraceable():
        pytest.skip(f"capability missing: {reason}")
    return vmware_host.run
