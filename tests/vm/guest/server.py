"""Runs commands in a test machine for the tests outside, as its first process.

Reads one JSON object a line from the virtio-serial port "control" and answers with one a line:
see support/qemu.py, which is the other side. Each request has a thread: a command that hangs in a
frozen filesystem hangs alone. Standard library only.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

PORT = "/dev/virtio-ports/control"


class Server:
    def __init__(self) -> None:
        self.port = os.open(PORT, os.O_RDWR | os.O_CLOEXEC)
        self.lock = threading.Lock()
        self.started: dict[int, subprocess.Popen[bytes]] = {}

    def say(self, answer: dict[str, Any]) -> None:
        data = json.dumps(answer).encode() + b"\n"
        with self.lock:
            while data:
                data = data[os.write(self.port, data) :]

    def serve(self) -> None:
        # What an earlier life of this machine was asked for ends at this line.
        self.say({"booted": Path("/proc/sys/kernel/random/boot_id").read_text().strip()})
        buffer = b""
        while True:
            read = os.read(self.port, 65536)
            if not read:  # nobody is connected outside
                time.sleep(0.05)
            buffer += read
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                threading.Thread(target=self.answer, args=[json.loads(line)], daemon=True).start()

    def answer(self, request: dict[str, Any]) -> None:
        try:
            result = getattr(self, f"do_{request['do']}")(**request.get("with", {}))
        except Exception as error:  # whatever it is, the test outside is to read it
            result = {"error": f"{type(error).__name__}: {error}"}
        self.say({"id": request["id"], **result})

    def do_run(
        self, command: list[str], user: int, stdin: str, timeout: float, environment: dict[str, str]
    ) -> dict[str, Any]:
        done = subprocess.run(
            command,
            input=stdin.encode(),
            capture_output=True,
            timeout=timeout,
            check=False,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            cwd="/",
            env={**os.environ, **environment},
        )
        return {
            "code": done.returncode,
            "out": done.stdout.decode("utf-8", "replace"),
            "err": done.stderr.decode("utf-8", "replace"),
        }

    def do_start(self, command: list[str], output: str) -> dict[str, Any]:
        with Path(output).open("wb") as file:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=file, stderr=file, cwd="/"
            )
        self.started[process.pid] = process
        return {"pid": process.pid}

    def do_wait(self, pid: int, timeout: float) -> dict[str, Any]:
        return {"code": self.started[pid].wait(timeout)}

    def do_end_of_input(self, pid: int) -> dict[str, Any]:
        stdin = self.started[pid].stdin
        assert stdin is not None
        stdin.close()
        return {}

    def do_read(self, path: str) -> dict[str, Any]:
        return {"text": Path(path).read_text("utf-8", "replace")}

    def do_write(self, path: str, text: str) -> dict[str, Any]:
        Path(path).write_text(text)
        return {}

    def do_change_root(self, path: str) -> dict[str, Any]:
        """A mounted copy of the root becomes that of all commands to come, as by switch_root."""
        for directory in ("proc", "sys", "dev", "run", "tmp", "data"):
            Path(path, directory).mkdir(exist_ok=True)
            if os.path.ismount(f"/{directory}"):
                move = ["mount", "--move", f"/{directory}", f"{path}/{directory}"]
                subprocess.run(move, check=True)
        os.chdir(path)
        subprocess.run(["mount", "--move", ".", "/"], check=True)
        os.chroot(".")
        os.chdir("/")
        return {}


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    Server().serve()
