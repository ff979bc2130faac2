"""Every peer runs both ways: where the processor faults on CPUID, and where the instruction is
overwritten in their programs, which is what processors that cannot fault need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.emulation import require_cpuid_faults

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", autouse=True, params=["fault", "patch"])
def _cpuid(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.param == "fault":
        require_cpuid_faults()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("VMTPY_EMULATE_CPUID", request.param)
        yield
