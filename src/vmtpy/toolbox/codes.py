"""The exit codes of vmtpy-toolbox-cmd, and its error for a wrong command line."""

from __future__ import annotations

# sysexits.h
EX_USAGE, EX_UNAVAILABLE, EX_TEMPFAIL, EX_NOPERM = 64, 69, 75, 77


class UsageError(Exception):
    """The command line is wrong; the text says why."""
