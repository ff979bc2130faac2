"""The parser of every command: argparse's, for programs whose reader may go.

Its subcommands' parsers are of the same class.
"""

from __future__ import annotations

import argparse
import sys

TYPE_CHECKING = False  # see vmtpy/__init__.py
if TYPE_CHECKING:
    from _typeshed import SupportsWrite


class Parser(argparse.ArgumentParser):
    """argparse's. A text that cannot be written is an error, which ending.guarded() knows; the
    argparse of later Pythons drops that error, and the program would exit with 0.
    """

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        stream = file or sys.stderr
        if message and stream is not None:  # None: it was closed before the start
            stream.write(message)
