"""Thawing by markers on disks that are not there: orders, races and descriptors."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

from support.patience import PATIENCE, await_true

from vmtpy._core import (
    FreezeOptions,
    FreezeSession,
    Phase,
    Rescue,
    RescueResult,
    real_system,
    thaw_from_markers,
)
from vmtpy._host import FaultySystem, ManualClock, SimulatedDisk, StoppingSystem

BOOT = "00000000-1111-2222-3333-444444444444"
OWNER = (1 << 22) + 1  # a process that is not there, beyond the highest pid_max
DEVICE = {"/a": "0:71", "/b": "0:72"}


class Machine:
    """A disk with "/a" and "/b", a marker of both, and what /proc says of the marker's owner."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.disk = SimulatedDisk(["/a", "/b"])
        self.disk.put_file("/proc/sys/kernel/random/boot_id", f"{BOOT}\n")
        self.id = {filesystem.path: filesystem.mount_id for filesystem in self.disk.filesystems()}
        self.mount(*(self.line(path, DEVICE[path], self.id[path]) for path in DEVICE))
        self.file = run / "freeze-1"
        self.file.touch()
        entries = "".join(f"filesystem {DEVICE[path]} {path} simulated\n" for path in DEVICE)
        text = f"vmtpy freeze marker 1\nboot {BOOT}\nprocess {OWNER} 5\n{entries}end\n"
        self.disk.put_file(str(self.file), text)

    @staticmethod
    def line(path: str, device: str, mount_id: int) -> str:
        return f"{mount_id} 1 {device} / {path} rw - simulated none rw\n"

    def mount(self, *lines: str) -> None:
        self.disk.put_file("/proc/self/mountinfo", "".join(lines))

    def freeze(self, *paths: str) -> FreezeSession:
        """As the dead agent has."""
        left = [filesystem for filesystem in self.disk.filesystems() if filesystem.path in paths]
        self.mount(
            *(
                self.line(f"/{filesystem.mount_id}", filesystem.device, filesystem.mount_id)
                for filesystem in left
            )
        )
        options = FreezeOptions(guardian=False, expedite_rcu=False)
        session = FreezeSession(self.disk, ManualClock(), left, options)
        session.start()
        assert session.wait_for(Phase.FROZEN, PATIENCE), session.record().error
        self.mount(*(self.line(path, DEVICE[path], self.id[path]) for path in DEVICE))
        return session

    def frozen(self) -> list[str]:
        return [path for path in DEVICE if self.disk.frozen(path)]


def test_what_was_frozen_last_is_thawed_first(tmp_path: Path) -> None:
    """An inner filesystem's thaw would wait for the outer one."""
    machine = Machine(tmp_path)
    session = machine.freeze("/a", "/b")
    results = thaw_from_markers(machine.disk, tmp_path)
    assert [(result.result, result.path) for result in results] == [
        (Rescue.THAWED, "/b"),
        (Rescue.THAWED, "/a"),
    ]
    assert machine.frozen() == []
    session.abort("the test is over")


def test_a_freeze_that_ends_with_its_dying_owner_is_thawed_although_it_was_not_frozen_before(
    tmp_path: Path,
) -> None:
    """Between the thaw that found nothing frozen and the look at the owner both come about."""
    machine = Machine(tmp_path)
    stat = " ".join([str(OWNER), "(vmtpy)", "D", *["0"] * 18, "5", "0"])
    machine.disk.put_file(f"/proc/{OWNER}/stat", stat)
    machine.disk.put_file(f"/proc/{OWNER}/status", "Name:\tvmtpy\nShdPnd:\t0000000000000100\n")
    stops = StoppingSystem(machine.disk, str(tmp_path / "stops"))
    stops.stop("after thaw")  # of "/b", the first that is tried
    results: list[RescueResult] = []
    rescue = threading.Thread(target=lambda: results.extend(thaw_from_markers(stops, tmp_path)))
    rescue.start()
    await_true(lambda: stops.stopped("after thaw"))
    session = machine.freeze("/b")
    machine.disk.put_file(f"/proc/{OWNER}/stat", "")
    stops.let_go("after thaw")
    rescue.join(PATIENCE)
    found = {result.path: result.result for result in results}
    assert found == {"/a": Rescue.NOT_FROZEN, "/b": Rescue.THAWED}
    assert machine.frozen() == []
    session.abort("the test is over")


def test_a_place_where_another_mount_lies_is_closed_and_the_next_one_tried(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    session = machine.freeze("/a")
    hidden = machine.line("/b", DEVICE["/a"], 4321)  # "/b" opens as another mount
    machine.mount(hidden, machine.line("/a", DEVICE["/a"], machine.id["/a"]))
    counted = FaultySystem(machine.disk)
    results = thaw_from_markers(counted, tmp_path)
    assert {result.path: result.result for result in results} == {
        "/b": Rescue.NOT_MOUNTED,
        "/a": Rescue.THAWED,
    }
    calls = counted.calls()
    assert calls.count("close") == calls.count("open_directory")
    session.abort("the test is over")


def test_a_living_owner_is_known_whatever_its_name(tmp_path: Path) -> None:
    """The name stands in parentheses before the start time, and may hold anything."""
    program = tmp_path / "x) Z 9 (y"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([str(program), "60"]) as process:
        try:
            stat = Path(f"/proc/{process.pid}/stat")
            await_true(lambda: "(x) Z 9 (y)" in stat.read_text())
            start = stat.read_text().rpartition(")")[2].split()[19]
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            (tmp_path / "freeze-1").write_text(
                f"vmtpy freeze marker 1\nboot {boot}\nprocess {process.pid} {start}\nend\n"
            )
            [result] = thaw_from_markers(real_system(), tmp_path)
            assert result.result == Rescue.REFUSED
        finally:
            process.kill()
