#!/usr/bin/python3
"""MariaDB or MySQL around a quiesced snapshot, as /etc/vmtpy/hooks.d/50-mariadb.

Called with `freeze`, then `thaw` or `freezeFail`. A process in the background holds one session
open in between, with BACKUP STAGE (MariaDB 10.4 and later) or FLUSH TABLES WITH READ LOCK (MySQL).
The locks are the session's: they are gone at the thaw, when the limit is over, when the agent ends,
and when that process dies, however it dies. What that is good for and what it costs:
docs/hooks-mariadb.md. Needs Python 3.8 and the server's command-line client, nothing else.

Settings, from the environment of the agent's service:
    VMTPY_MARIADB_CLIENT  the client and its options (`mariadb`, else `mysql`)
    VMTPY_MARIADB_LOCK    BLOCK_COMMIT, BLOCK_DDL or READ_LOCK (by the server's version)
    VMTPY_MARIADB_WAIT    seconds to wait for statements that run (5)
    VMTPY_MARIADB_LIMIT   seconds that the session is held (60)
    VMTPY_MARIADB_STATE   a file (/run/vmtpy-mariadb)
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
ENDING = 20.0  # seconds for the session's end


class HookError(Exception):
    """What the log is to show."""


class ReleaseError(Exception):
    """SIGTERM: the thaw, or the agent has given this hook up."""


class Session:
    """A session of the server's command-line client, which ends when its input does."""

    def __init__(self, deadline):
        self.deadline = deadline
        self.stages = False  # it holds a stage of BACKUP STAGE
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
        """Runs a statement. Returns the lines that it gave."""
        try:
            self.client.stdin.write(f"{statement};\nSELECT '{DONE}';\n".encode())
        except BrokenPipeError:
            pass  # what the client said of its end is read now
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
        """Waits; True as soon as the server or the client has ended the session."""
        return bool(select.select([self.client.stdout], [], [], seconds)[0])

    def close(self):
        """Ends it: the server takes its locks back."""
        self.client.stdin.close()  # raises nothing: it is not buffered
        try:
            self.client.wait(ENDING)
        except subprocess.TimeoutExpired:
            self.client.kill()
            self.client.wait()


def lock(session):
    """Has the server flush and hold still. Raises HookError."""
    version = session.ask("SELECT VERSION()")[0]
    kind = LOCK or ("BLOCK_COMMIT" if "MariaDB" in version else "READ_LOCK")
    # A statement that runs for long would keep all writers waiting behind this.
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
    """Lets the server go on. Returns RELEASED, or what shows that the session was lost before."""
    session.deadline = time.monotonic() + ENDING
    try:
        session.ask("BACKUP STAGE END" if session.stages else "UNLOCK TABLES")
    except HookError as failure:
        return str(failure)
    return RELEASED


def hold(agent, ready):
    """The process in the background. `ready` takes "", or what went wrong."""
    state = os.open(STATE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    fcntl.flock(state, fcntl.LOCK_EX)  # as long as this process lives
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
                pass  # `freeze` has been killed


def asked(*_):
    raise ReleaseError


def lives(pid):
    """False for a zombie, too."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def freeze():
    """Returns when the server holds still."""
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
    """Ends the session. Returns why it had ended before, "" if it had not, None without one."""
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
