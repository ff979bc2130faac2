"""How vmtpy-toolbox-cmd ends: exit codes, and the error of a wrong command line."""

from __future__ import annotations

# sysexits.h
EX_USAGE, EX_UNAVAILABLE, EX_TEMPFAIL, EX_NOPERM = 64, 69, 75, 77


class UsageError(Exception):
    """A wrong command line; the text says what is wrong."""
