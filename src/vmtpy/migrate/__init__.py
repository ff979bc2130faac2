"""Leaving open-vm-tools: what its configuration and scripts become here, and what they do not.

tools_conf.py reads tools.conf, settings.py knows its keys, scripts.py finds scripts, absent.py
lists what vmtpy does not do, configuration.py writes the outcome, cli/migrate.py tells it.
"""

from __future__ import annotations

from typing import NamedTuple

Value = bool | int | float | str | list[str]


class Setting(NamedTuple):
    """A key of vmtpy's configuration, and where its value comes from."""

    table: str
    key: str
    value: Value
    origin: str


class Fate(NamedTuple):
    """What becomes of one thing.

    Attributes:
        thing: a setting or a file of open-vm-tools.
        becomes: what takes its place, "" if nothing does.
        note: why nothing does, or what is different.
    """

    thing: str
    becomes: str
    note: str = ""


class Outcome:
    """What a migration leads to.

    Attributes:
        fates: of everything that was found, in the order in which it is told.
        settings: for vmtpy.toml.
        power_hook: the text of the program for /etc/vmtpy/power.d, "" if none is needed.
    """

    def __init__(self) -> None:  # dataclasses would cost the agent 1.5 MiB
        self.fates: list[Fate] = []
        self.settings: list[Setting] = []
        self.power_hook = ""
