"""vmtpy: the VMware guest agent that takes quiesced snapshots in milliseconds and always thaws.

Importing the package imports no other module, opens nothing and never faults, on VMware or not.
Each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # the module typing costs 7 ms, half of what a short command takes
if TYPE_CHECKING:
    from vmtpy import hardware as hardware
    from vmtpy._freeze import Freeze as Freeze
    from vmtpy._freeze import freeze as freeze
    from vmtpy._guestinfo import GuestInfo as GuestInfo
    from vmtpy._guestinfo import guestinfo as guestinfo
    from vmtpy._plan import plan as plan
    from vmtpy._probe import Probe as Probe
    from vmtpy._probe import probe as probe
    from vmtpy.agent import Agent as Agent
    from vmtpy.config import Config as Config
    from vmtpy.errors import ChannelError as ChannelError
    from vmtpy.errors import ConfigError as ConfigError
    from vmtpy.errors import FreezeError as FreezeError
    from vmtpy.errors import GuestInfoError as GuestInfoError
    from vmtpy.errors import MessageSizeError as MessageSizeError
    from vmtpy.errors import NotVMwareError as NotVMwareError
    from vmtpy.errors import NoValueError as NoValueError
    from vmtpy.errors import PlanError as PlanError
    from vmtpy.errors import RpcError as RpcError
    from vmtpy.errors import SystemCallError as SystemCallError
    from vmtpy.errors import VmtError as VmtError
    from vmtpy.results import Cause as Cause
    from vmtpy.results import Filesystem as Filesystem
    from vmtpy.results import FilesystemRun as FilesystemRun
    from vmtpy.results import LeftOut as LeftOut
    from vmtpy.results import Outcome as Outcome
    from vmtpy.results import Plan as Plan
    from vmtpy.results import RunRecord as RunRecord
    from vmtpy.rpci import Rpci as Rpci

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "Cause",
    "ChannelError",
    "Config",
    "ConfigError",
    "Filesystem",
    "FilesystemRun",
    "Freeze",
    "FreezeError",
    "GuestInfo",
    "GuestInfoError",
    "LeftOut",
    "MessageSizeError",
    "NoValueError",
    "NotVMwareError",
    "Outcome",
    "Plan",
    "PlanError",
    "Probe",
    "RpcError",
    "Rpci",
    "RunRecord",
    "SystemCallError",
    "VmtError",
    "__version__",
    "freeze",
    "guestinfo",
    "hardware",
    "plan",
    "probe",
]

# public name → the module that holds it
_EXPORTS = {
    "Agent": "vmtpy.agent",
    "Cause": "vmtpy.results",
    "ChannelError": "vmtpy.errors",
    "Config": "vmtpy.config",
    "ConfigError": "vmtpy.errors",
    "Filesystem": "vmtpy.results",
    "FilesystemRun": "vmtpy.results",
    "Freeze": "vmtpy._freeze",
    "FreezeError": "vmtpy.errors",
    "GuestInfo": "vmtpy._guestinfo",
    "GuestInfoError": "vmtpy.errors",
    "LeftOut": "vmtpy.results",
    "MessageSizeError": "vmtpy.errors",
    "NoValueError": "vmtpy.errors",
    "NotVMwareError": "vmtpy.errors",
    "Outcome": "vmtpy.results",
    "Plan": "vmtpy.results",
    "PlanError": "vmtpy.errors",
    "Probe": "vmtpy._probe",
    "RpcError": "vmtpy.errors",
    "Rpci": "vmtpy.rpci",
    "RunRecord": "vmtpy.results",
    "SystemCallError": "vmtpy.errors",
    "VmtError": "vmtpy.errors",
    "freeze": "vmtpy._freeze",
    "guestinfo": "vmtpy._guestinfo",
    "plan": "vmtpy._plan",
    "probe": "vmtpy._probe",
}
_MODULES = ("hardware",)


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return importlib.import_module(f"vmtpy.{name}")
    if name not in _EXPORTS:
        raise AttributeError(f"module 'vmtpy' has no attribute {name!r}")
    value = getattr(importlib.import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
