"""The argument parser of every command, which reports when its help text cannot be written.

argparse makes the parsers of subcommands from the same class.
"""

from __future__ import annotations

import argparse
import sys

TYPE_CHECKING = False  # see vmtpy/__init__.py
if TYPE_CHECKING:
    from _typeshed import SupportsWrite


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises an error if a text cannot be written, for ending.guarded().

    The argparse of later Pythons drops that error, so that the program would exit with 0.
    """

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        stream = file or sys.stderr
        if message and stream is not None:  # None: the stream was closed at the start
            stream.write(message)
