"""Tools in a few lines, over the real instructions: they answer and play quiesced snapshots."""

from __future__ import annotations

import signal
import sys
import time

from vmtpy._core import PortBackdoor, Rpci, Tclo

running = True


def stop(_number: int, _frame: object) -> None:
    global running  # noqa: PLW0603
    running = False


signal.signal(signal.SIGTERM, stop)
backdoor = PortBackdoor()
rpci = Rpci(backdoor)
tclo = Tclo(backdoor)
events: list[str] = []
while running:
    command = tclo.poll()
    if command is None:
        for event in events:
            rpci.call(b"vmbackup.eventSet " + event.encode())
        events = []
        time.sleep(0.002)
        continue
    if command.startswith(b"vmbackup.start"):
        events = ["reset 0 ", "prov.snapshotCommit 0 "]
    elif command == b"vmbackup.snapshotDone":
        events = ["req.done 0 "]
    elif command == b"vmbackup.abort":
        events = ["req.aborted 4 ", "req.done 0 "]
    tclo.answer(b"OK ATR toolbox" if command == b"reset" else b"OK ")
sys.exit(0)
