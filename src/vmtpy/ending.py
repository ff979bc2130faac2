"""The end of a program that is interrupted or whose reader has closed the pipe: silent, with the
exit codes that shells use for SIGINT and SIGPIPE. A name that is no text ends no program. This
module serves all programs of vmtpy, and imports no large module because `vmtpy rpc` starts often.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal itself costs 7 ms
import errno
import io
import os
import sys

TYPE_CHECKING = False  # see vmtpy/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED, NO_READER = 130, 141


def guarded(program: Callable[[], int]) -> int:
    """Runs a program and flushes its output. Returns its exit code."""
    escape_names()
    try:
        try:
            return program()
        finally:
            # Python also flushes at its exit, but there no error can be caught.
            if sys.stdout is not None:  # None: standard output was closed at the start
                sys.stdout.flush()
    except BrokenPipeError:
        abandon()
        return NO_READER
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        if error.filename is not None or error.errno != errno.ENOSPC:
            raise
        abandon()
        print(f"vmtpy: the output could not be written: {error.strerror}", file=sys.stderr)
        return 1


def escape_names() -> None:
    """Lets print() write escapes for what the output's encoding lacks, as it does on stderr.

    A path may have bytes that are not characters, and a strict output would raise an error.
    """
    output = sys.stdout
    if isinstance(output, io.TextIOWrapper) and not output.closed and output.errors == "strict":
        output.reconfigure(errors="backslashreplace")


def abandon() -> None:
    """Redirects streams that cannot be flushed to /dev/null, so that Python's exit stays silent."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
        except (ValueError, AttributeError):  # the stream is closed
            continue
    os.close(nowhere)


class at_once:  # noqa: N801 (used as a function; contextlib costs a millisecond)
    """Within the block SIGINT ends the process at once, without a traceback of a broken import.

    A program that ignores or handles SIGINT is not changed.
    """

    def __enter__(self) -> None:
        self._before = _signal.getsignal(_signal.SIGINT)
        self._set(_signal.SIG_DFL)

    def __exit__(self, *_: object) -> None:
        self._set(self._before)

    def _set(self, handler: object) -> None:
        if self._before is _signal.default_int_handler:
            try:
                _signal.signal(_signal.SIGINT, handler)
            except ValueError:  # only the main thread may set a handler
                return
