#!/usr/bin/python3
"""This hook locks MariaDB or MySQL during a quiesced snapshot: /etc/vmtpy/hooks.d/50-mariadb.

The agent calls it with `freeze`, then with `thaw` or `freezeFail`. Between the two, a process in
the background holds one session open with BACKUP STAGE (MariaDB 10.4 and later) or FLUSH TABLES
WITH READ LOCK (MySQL). The locks belong to the session, so the server drops them at the thaw, when
the limit is over, when the agent ends, and when that process dies for any reason.
docs/hooks-mariadb.md says what the hook is good for and what it costs. It needs only Python 3.8 and
the server's command-line client.

It reads these settings from the environment of the agent's service (defaults in parentheses):
    VMTPY_MARIADB_CLIENT  the client and its options (`mariadb`, else `mysql`)
    VMTPY_MARIADB_LOCK    BLOCK_COMMIT, BLOCK_DDL or READ_LOCK (by the server's version)
    VMTPY_MARIADB_WAIT    the seconds to wait for statements that run (5)
    VMTPY_MARIADB_LIMIT   the seconds for which the session may be held (60)
    VMTPY_MARIADB_STATE   the file that names the background process (/run/vmtpy-mariadb)
"""

import fcntl
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time

CLIENT = os.environ.get("VMTPY_MARIADB_CLIENT") or shutil.which("mariadb") or "mysql"
LOCK = os.environ.get("VMTPY_MARIADB_LOCK", "")
WAIT = int(os.environ.get("VMTPY_MARIADB_WAIT", "5"))
LIMIT = float(os.environ.get("VMTPY_MARIADB_LIMIT", "60"))
STATE = os.environ.get("VMTPY_MARIADB_STATE", "/run/vmtpy-mariadb")

FLAGS = ["--batch", "--skip-column-names", "--unbuffered", "--skip-reconnect"]
DONE = "vmtpy: done"
RELEASED = "released"
STAGES = ("START", "FLUSH", "BLOCK_DDL", "BLOCK_COMMIT")
LOOK = 0.2  # seconds between two looks at the agent
ENDING = 20.0  # seconds that the end of the session may take


class HookError(Exception):
    """The hook fails; the agent logs the text."""


class ReleaseError(Exception):
    """SIGTERM has come: the thaw has begun, or the agent has given up this hook."""


class Session:
    """A session of the server's command-line client, which ends when its input ends."""

    def __init__(self, deadline):
        self.deadline = deadline
        self.stages = False  # true while the session holds a stage of BACKUP STAGE
        try:
            self.client = subprocess.Popen(
                [*shlex.split(CLIENT), *FLAGS],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
            )
        except OSError as error:
            raise HookError(f"{CLIENT}: {error.strerror}") from error

    def ask(self, statement):
        """Runs a statement. Returns the lines of its result."""
        try:
            self.client.stdin.write(f"{statement};\nSELECT '{DONE}';\n".encode())
        except BrokenPipeError:
            pass  # the client has ended; the loop below reads why
        text = ""
        while not text.endswith(f"{DONE}\n"):
            left = self.deadline - time.monotonic()
            if left <= 0 or not select.select([self.client.stdout], [], [], left)[0]:
                raise HookError(f"{statement}: no answer in time")
            part = os.read(self.client.stdout.fileno(), 65536)
            if not part:
                errors = [line for line in text.splitlines() if line.startswith("ERROR")]
                raise HookError(
                    f"{statement}: {' '.join(errors) or text or 'the client has ended'}"
                )
            text += part.decode(errors="replace")
        return text.splitlines()[:-1]

    def has_ended(self, seconds):
        """Waits, and returns True as soon as the server or the client has ended the session."""
        return bool(select.select([self.client.stdout], [], [], seconds)[0])

    def close(self):
        """Ends the session, so that the server drops its locks."""
        self.client.stdin.close()  # this raises nothing, as stdin is not buffered
        try:
            self.client.wait(ENDING)
        except subprocess.TimeoutExpired:
            self.client.kill()
            self.client.wait()


def lock(session):
    """Makes the server flush its data and hold still. Raises HookError."""
    version = session.ask("SELECT VERSION()")[0]
    kind = LOCK or ("BLOCK_COMMIT" if "MariaDB" in version else "READ_LOCK")
    # All writers wait behind this lock while it waits for a statement that runs for long.
    session.ask(f"SET SESSION lock_wait_timeout = {WAIT}")
    if kind == "READ_LOCK":
        session.ask("FLUSH TABLES WITH READ LOCK")
    elif kind in STAGES[2:]:
        session.stages = True
        for stage in STAGES[: STAGES.index(kind) + 1]:
            session.ask(f"BACKUP STAGE {stage}")
    else:
        raise HookError(
            f"VMTPY_MARIADB_LOCK is {kind!r}; allowed: BLOCK_COMMIT, BLOCK_DDL, READ_LOCK"
        )


def unlock(session):
    """Lets the server go on. Returns RELEASED, or an error if the session was lost before."""
    session.deadline = time.monotonic() + ENDING
    try:
        session.ask("BACKUP STAGE END" if session.stages else "UNLOCK TABLES")
    except HookError as failure:
        return str(failure)
    return RELEASED


def hold(agent, ready):
    """Runs the background process. It closes the pipe `ready` when the server holds still, and
    writes to it what went wrong otherwise.
    """
    state = os.open(STATE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    fcntl.flock(state, fcntl.LOCK_EX)  # this process holds the lock as long as it lives
    os.ftruncate(state, 0)
    os.write(state, f"{os.getpid()}\n".encode())
    signal.signal(signal.SIGTERM, asked)
    session, held, why = None, False, RELEASED
    try:
        deadline = time.monotonic() + LIMIT
        session = Session(deadline)
        lock(session)
        held = True
        os.close(ready)
        while not session.has_ended(LOOK):
            if not lives(agent):
                raise HookError("the agent has ended")
            if time.monotonic() >= deadline:
                raise HookError(f"it was held for {LIMIT:g} s, the limit")
        raise HookError("the client has ended")
    except HookError as failure:
        why = str(failure)
    except ReleaseError:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        why = unlock(session) if held else "it was given up before it was held"
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if session:
            session.close()
        os.write(state, f"{why}\n".encode())
        if not held:
            try:
                os.write(ready, why.encode())
            except BrokenPipeError:
                pass  # the process of `freeze` has been killed


def asked(*_):
    raise ReleaseError


def lives(pid):
    """Returns whether a process exists and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def freeze():
    """Starts the background process. Returns the exit code when the server holds still or fails."""
    release()
    agent = os.getppid()
    reader, ready = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        hold(agent, ready)
        os._exit(0)
    os.close(ready)
    trouble = b""
    while part := os.read(reader, 4096):
        trouble += part
    if trouble:
        print(trouble.decode())
    return 1 if trouble else 0


def release():
    """Ends the session. Returns "" on success, the reason if the session had ended before, and None
    if there was no session.
    """
    try:
        state = os.open(STATE, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    deadline = time.monotonic() + ENDING
    number = 0
    while True:
        try:
            fcntl.flock(state, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            text = os.pread(state, 64, 0).decode()
            late = time.monotonic() >= deadline
            if text.endswith("\n") and (late or not number):
                number = signal.SIGKILL if late else signal.SIGTERM
                os.kill(int(text.splitlines()[0]), number)
            time.sleep(0.005)
    lines = os.pread(state, 65536, 0).decode(errors="replace").splitlines()
    os.unlink(STATE)
    why = " ".join(lines[1:]) or "the process that held it has died"
    return "" if why == RELEASED else why


def main():
    phase = sys.argv[1] if len(sys.argv) > 1 else ""
    if phase == "freeze":
        return freeze()
    if phase not in ("thaw", "freezeFail"):
        print(f"usage: {sys.argv[0]} freeze|thaw|freezeFail")
        return 2
    why = release()
    if phase == "thaw" and why != "":
        print(f"the session ended before the thaw: {why or 'it is not known'}")
        return 1
    return 0


sys.exit(main())
