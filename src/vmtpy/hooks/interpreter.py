"""Checks whether the interpreter in a script's `#!` line can run the script.

It serves hooks, before they run, and the doctor. The kernel reports a missing interpreter as "No
such file or directory" for the script, which exists.
"""

from __future__ import annotations

import os

READ_BY_KERNEL = 256  # bytes of the file in which the kernel looks for the line (BINPRM_BUF_SIZE)


def interpreter_trouble(path: str) -> str:
    """Why the interpreter of `path` cannot run it; "" if it can, or if there is no `#!` line.

    Raises:
        OSError: the file cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        head = os.read(descriptor, READ_BY_KERNEL)
    finally:
        os.close(descriptor)
    if not head.startswith(b"#!"):
        return ""
    line = head[2:].split(b"\n", 1)[0]
    words = line.strip(b" \t").replace(b"\t", b" ").split(b" ", 1)
    name = os.fsdecode(words[0])
    if line.endswith(b"\r"):
        return (
            f"its first line ends with a carriage return, so the interpreter {name!r} does not "
            "exist: convert the file to Unix line ends, sed -i 's/\\r$//' FILE"
        )
    if not name:
        return "its first line names no interpreter after #!"
    if not os.path.exists(name):  # noqa: PTH110
        return f"its interpreter {name} does not exist"
    if not os.access(name, os.X_OK):
        return f"its interpreter {name} is not executable"
    return ""
