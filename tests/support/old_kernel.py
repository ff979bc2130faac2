"""Gives a command the system calls of Linux 4.18, the oldest kernel that vmtpy supports.

As a program (`old_kernel.py COMMAND…`, see OLD) it makes the kernel answer ENOSYS to every later
system call, for the command and its children, and then becomes the command. It also refuses statx,
which returns no mount ids on 4.18. It relies on seccomp; without CAP_SYS_ADMIN the command gets
no_new_privs.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# In front of a command.
OLD = [sys.executable, __file__]

# From here on system calls have one number for all processors; 423 and below are older, or unused.
FIRST_NEWER = 424
CLOSE_RANGE = 436
ARM = platform.machine() == "aarch64"
STATX = 291 if ARM else 332
GETDENTS64 = 61 if ARM else 217
MACHINE = 0xC00000B7 if ARM else 0xC000003E  # linux/audit.h
X32 = 0x40000000  # another numbering begins there
# linux/bpf_common.h, linux/seccomp.h, linux/prctl.h
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
NUMBER, ARCHITECTURE = 0, 4  # offsets in seccomp_data
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.ENOSYS
SET_SECCOMP, FILTER, SET_NO_NEW_PRIVS = 22, 2, 38


def refuse(calls: Iterable[int], first_newer: int = X32) -> None:
    """ENOSYS to these calls, and to those from `first_newer` on: for this thread and all that it
    starts, for good. Raises OSError."""
    program = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, MACHINE), (RETURN, 0, 0, ALLOW)]
    program += [(LOAD, 0, 0, NUMBER), (AT_LEAST, 0, 1, X32), (RETURN, 0, 0, ALLOW)]
    program += [(AT_LEAST, 0, 1, first_newer), (RETURN, 0, 0, REFUSE)]
    for call in calls:
        program += [(EQUAL, 0, 1, call), (RETURN, 0, 0, REFUSE)]
    program += [(RETURN, 0, 0, ALLOW)]
    packed = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
    # struct sock_fprog: a length, then a pointer
    head = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(packed)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(SET_SECCOMP, FILTER, head, 0, 0) == 0:
        return
    if prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(SET_SECCOMP, FILTER, head, 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


if __name__ == "__main__":
    refuse([STATX], FIRST_NEWER)
    os.execvp(sys.argv[1], sys.argv[1:])
