"""RPC round trips from Python: the counterpart of native/message_client.c, and of a script that
calls vmware-rpctool. Run as a program by scenarios/rpc.py:

    rpc_client.py kept|one-shot|rpctool|port|hypercall|vsock SIZE COUNT

The last three keep a channel by one transport alone. Prints the nanoseconds of each round trip,
one a line.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmtpy.transport import Transport


def by_kept_channel(request: bytes) -> Callable[[], object]:
    import vmtpy

    rpci = vmtpy.Rpci()
    return lambda: rpci.call(request)


def by_one_shot(request: bytes) -> Callable[[], object]:
    import vmtpy

    def call() -> None:
        with vmtpy.Rpci() as rpci:
            rpci.call(request)

    return call


def by_rpctool(request: bytes) -> Callable[[], object]:
    command = ["vmware-rpctool", request.decode()]

    def call() -> None:
        subprocess.run(command, stdout=subprocess.PIPE, check=True)

    return call


def by_transport(transport: Transport) -> Callable[[bytes], Callable[[], object]]:
    def way(request: bytes) -> Callable[[], object]:
        import vmtpy

        rpci = vmtpy.Rpci(transport=transport)
        return lambda: rpci.call(request)

    return way


WAYS: dict[str, Callable[[bytes], Callable[[], object]]] = {
    "kept": by_kept_channel,
    "one-shot": by_one_shot,
    "rpctool": by_rpctool,
    "port": by_transport("port"),
    "hypercall": by_transport("hypercall"),
    "vsock": by_transport("vsock"),
}


def main(way: str, size: int, count: int) -> None:
    call = WAYS[way](b"bench ".ljust(size, b"x"))
    clock = time.perf_counter_ns
    times = []
    for _ in range(count):
        begin = clock()
        call()
        times.append(clock() - begin)
    print("\n".join(map(str, times)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
