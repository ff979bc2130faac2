"""Translates open-vm-tools' configuration and scripts into vmtpy's, for `vmtpy migrate`.

tools_conf.py reads tools.conf, settings.py translates its keys, scripts.py finds scripts, absent.py
lists functions that vmtpy does not have, and configuration.py writes the result.
"""

from __future__ import annotations

from typing import NamedTuple

Value = bool | int | float | str | list[str]


class Setting(NamedTuple):
    """A key of vmtpy's configuration, its value, and a comment that names the value's source."""

    table: str
    key: str
    value: Value
    origin: str


class Fate(NamedTuple):
    """The translation of one setting or file of open-vm-tools.

    Attributes:
        thing: the setting or file.
        becomes: the setting or file of vmtpy that takes its place; "" if none does.
        note: why none does, or how the two differ; "" if there is nothing to say.
    """

    thing: str
    becomes: str
    note: str = ""


class Outcome:
    """The result of a migration.

    Attributes:
        fates: the translation of each setting and file, in the order in which they are shown.
        settings: the settings for vmtpy.toml.
        power_hook: the text of the program for /etc/vmtpy/power.d; "" if none is needed.
    """

    def __init__(self) -> None:  # dataclasses would cost the agent 1.5 MiB
        self.fates: list[Fate] = []
        self.settings: list[Setting] = []
        self.power_hook = ""
