"""Every call of the freeze path fails once and for good, one after the other.

Whatever fails, nothing of ours stays frozen unless its thaw itself keeps failing, and then it is
named; rcu_expedited and the marker are put back or said to be left.
"""

from __future__ import annotations

import errno

import pytest
from support.bench import RCU, Bench
from support.patience import FAR, await_true

from vmtpy._core import Outcome, Phase, RunRecord
from vmtpy._host import FaultySystem, SimulatedDisk

PATHS = ["/a", "/b", "/c"]
ERRORS = [errno.EIO, errno.ENOMEM]
BACK = ("0", "0\n")  # what rcu_expedited was before
# A call that fails for good is one of these; each is swept on its own too, so that the sweep gets
# behind what a failure of everything would have stopped earlier.
CALLS = ["", "freeze", "thaw", "sync", "write_file", "create_file", "remove_file", "close"]


def run(
    nth: int, error: int, *, for_good: bool, call: str
) -> tuple[Bench, FaultySystem, RunRecord]:
    """A whole session, released when it is frozen, with one fault in it."""
    disk = SimulatedDisk(PATHS)
    system = FaultySystem(disk)
    system.fail(nth, error, for_good, call)
    # The clock runs on while the session's threads wait for a processor.
    bench = Bench(disk=disk, system=system, levels={"/c": 1}, filesystem_timeout=FAR)
    bench.advance_until(lambda: bench.session.phase() in (Phase.FROZEN, Phase.ENDED), step=0.01)
    bench.session.release()
    return bench, system, bench.advance_to_end()


def check(bench: Bench, system: FaultySystem, record: RunRecord) -> None:
    """The invariant."""
    assert record.outcome != Outcome.NONE
    told = record.error + "\n".join(record.warnings)
    for path in bench.frozen():
        # Without an error where the end came before the first FITHAW had failed.
        named = f"FITHAW {path}: " in told or f"FITHAW {path}; " in told
        assert named, f"{path} is frozen and not named"
    if record.outcome == Outcome.RELEASED and not bench.frozen():
        assert record.error == ""
    if record.outcome != Outcome.RELEASED:
        assert record.error != ""
    if bench.disk.files()[RCU] not in BACK:
        assert f"{RCU} could not be put back" in told
    elif not bench.frozen():
        assert bench.markers() == [] or "unlink" in told
    # When the fault is over, all comes right by itself.
    system.fail(1 << 30, 0, for_good=False)
    bench.advance_until(lambda: bench.frozen() == [] and bench.disk.files()[RCU] in BACK, step=1)
    bench.advance_until(lambda: bench.markers() == [] or "unlink" in told, step=1)


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call or "any call")
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: errno.errorcode[error])
def test_nothing_stays_frozen_whatever_fails(error: int, call: str, for_good: bool) -> None:
    fired = 0
    for nth in range(1, 200):
        bench, system, record = run(nth, error, for_good=for_good, call=call)
        reached = system.fired()
        check(bench, system, record)
        if not reached:
            break
        fired += 1
    else:
        pytest.fail("the faults did not come to an end")
    assert fired > 0
    assert record.outcome == Outcome.RELEASED


# What the manual pages and the kernel's sources have for these calls, beyond those above.
FURTHER = {
    "open_directory": "EACCES ELOOP EMFILE ENFILE ENOENT ENOTDIR ENXIO EPERM ESTALE",
    "mount_id": "EACCES EBADF EINVAL ENOENT ENOSYS",
    "sync": "EBADF EDQUOT EINTR ENOSPC EROFS",
    "freeze": "EBADF EBUSY EINTR EINVAL ENOSPC ENOTTY EOPNOTSUPP EPERM EROFS",
    "thaw": "EBADF EBUSY EINTR ENOTTY EOPNOTSUPP EPERM EROFS",
    "read_file": "EACCES EISDIR EMFILE ENOENT EPERM",
    "write_file": "EACCES EINVAL ENOENT ENOSPC EPERM EROFS",
    "create_file": "EACCES EDQUOT EEXIST EMFILE ENOENT ENOSPC EPERM EROFS",
    "make_directory": "EACCES EDQUOT EEXIST ENOENT ENOSPC ENOTDIR EPERM EROFS",
    "remove_file": "EACCES EBUSY EPERM EROFS",
    "close": "EBADF EDQUOT EINTR ENOSPC",
}


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize(
    ("call", "error"), [(call, error) for call in FURTHER for error in FURTHER[call].split()]
)
def test_nothing_stays_frozen_whatever_the_error(call: str, error: str, for_good: bool) -> None:
    for nth in range(1, 100):
        bench, system, record = run(nth, getattr(errno, error), for_good=for_good, call=call)
        reached = system.fired()
        check(bench, system, record)
        if not reached:
            break
    else:
        pytest.fail("the faults did not come to an end")
    assert nth > 1


def test_a_freeze_that_fails_says_which_and_why() -> None:
    _, _, record = run(2, errno.EIO, for_good=False, call="freeze")
    assert record.outcome == Outcome.FAILED
    assert record.code == errno.EIO
    assert record.error == f"FIFREEZE {record.path}: Input/output error"
    assert [
        filesystem.error for filesystem in record.filesystems if filesystem.path == record.path
    ] == [errno.EIO]


def test_a_level_is_not_frozen_when_the_one_before_failed() -> None:
    _, system, _ = run(1, errno.EIO, for_good=False, call="freeze")
    assert (
        system.calls().count("freeze") <= 2
    )  # of three; the other one of its level may have begun


def test_a_marker_that_cannot_be_removed_is_told() -> None:
    bench, _, record = run(1, errno.EROFS, for_good=True, call="remove_file")
    assert record.outcome == Outcome.RELEASED
    [marker] = bench.markers()
    assert record.warnings == [f"unlink {marker}: Read-only file system"]


def test_rcu_that_cannot_be_put_back_is_told_and_its_marker_kept() -> None:
    bench, system, record = run(2, errno.EIO, for_good=True, call="write_file")
    assert record.outcome == Outcome.RELEASED
    assert record.warnings == [f"{RCU} could not be put back"]
    assert len(bench.markers()) == 1
    await_true(lambda: bench.frozen() == [])
    system.fail(1 << 30, 0, for_good=False)
    bench.advance_until(lambda: bench.markers() == [])
    assert bench.disk.files()[RCU] in BACK
