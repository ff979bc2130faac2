"""How a program ends that somebody interrupts, or whose reader goes: silently, with the exit codes
that shells give for SIGINT and SIGPIPE. For all programs of vmtpy; it imports nothing large.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal itself costs 7 ms
import errno
import os
import sys

TYPE_CHECKING = False  # see vmtpy/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED, NO_READER = 130, 141


def guarded(program: Callable[[], int]) -> int:
    """Runs a program up to its last byte of output. Returns its exit code."""
    try:
        try:
            return program()
        finally:
            # Python would do it at its exit, where errors cannot be caught.
            if sys.stdout is not None:  # None: it was closed before the start
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
        print(f"vmtpy: output: {error.strerror}", file=sys.stderr)
        return 1


def abandon() -> None:
    """What nobody reads goes nowhere, at Python's exit as well."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
        except (ValueError, AttributeError):  # none that is open
            continue
    os.close(nowhere)


class at_once:  # noqa: N801 (used as a function; contextlib costs a millisecond)
    """SIGINT ends the process within the block: an import that it interrupts would leave a stack,
    or an error of its own. Where SIGINT is ignored or handled, that stays.
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
            except ValueError:  # not the main thread, which gets no signals
                return
