"""A hook's process at the moment of its end."""

from __future__ import annotations

import os
from pathlib import Path

from support.patience import await_true

from vmtpy.hooks.process import Ending, Process


def test_what_ends_by_itself_at_the_very_limit_is_not_taken_for_stopped(tmp_path: Path) -> None:
    """It ends between the look for its end and the look at the clock."""
    number, go_on = tmp_path / "number", tmp_path / "go_on"
    script = f"echo $$ > {number}.new; mv {number}.new {number}; read line < {go_on}; exit 3"
    os.mkfifo(go_on)
    process = Process("/bin/sh", ["-c", script])

    def stop() -> bool:
        await_true(number.exists)
        go_on.write_text("go on\n")
        stat = Path(f"/proc/{number.read_text().strip()}/stat")
        await_true(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z")
        return True

    assert process.wait(stop) is Ending.EXITED
    assert os.waitstatus_to_exitcode(process.status) == 3
