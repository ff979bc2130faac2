"""The statistics that the host gets, on a made-up /proc and /sys, beside what vmtoolsd sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.statistics import read

from vmtpy.services import statistics
from vmtpy.services.statistics import PAGE, Statistics

if TYPE_CHECKING:
    from pathlib import Path

# SetGuestInfo 8 of open-vm-tools 12.2 (Debian), not its first: it has rates.
THEIRS = bytes.fromhex(
    "050000000104000078fe7f010000000000000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000000000000000000000000000ae0000000a005f746f6f6c732f76310001000b01"
    "00090200030802000008ac00000001000601000902000308040078fe7f01ac00000001000401000902000308"
    "040048151a01ac0000000100030100090200030804009c0a0f00ac000000010009010009020003080000ac00"
    "000001000c010009020003880000ac00000001000701000b02004380040000384c46ac00000001000801000b"
    "02004380040000325546ac00000001000201000b010042040000889f46ac00000001000a0100090100030200"
    "0010ac00000001000501000902000308040083be4000ac00000001000d0100090200030804001f331300ac00"
    "000001001901000902000308040014735201ac000000010022010009020003080400980c0500ac0000000100"
    "1a01000902000308040070c00100ac00000001001b01000902000308040064603900ac00000001003c010009"
    "0200030804003ca67801ac00000001003d01000901000201000bac00000001003e010009010002010001ac00"
    "000001003f01000b010002040000001942"
)

MEMINFO = """\
MemTotal:        4000000 kB
MemFree:         1000000 kB
MemAvailable:    3000000 kB
Buffers:           50000 kB
Cached:           700000 kB
SwapCached:            0 kB
Active(file):     400000 kB
SwapFree:         999996 kB
SReclaimable:      60000 kB
HugePages_Total:       3
HugePages_Free:        2
Hugepagesize:       2048 kB
"""
ZONEINFO = """\
Node 0, zone      DMA
  pages free     3840
        present  {present}
        managed  3840
Node 0, zone   Normal
  pages free     200000
        present  1000000
"""
DISKSTATS = """\
   8       0 sda 100 0 0 0 50 0 0 0 {waiting} 0 {waited} 0 0 0 0 0 0
   8       1 sda1 100 0 0 0 50 0 0 0 7 0 999 0 0 0 0 0 0
   8      16 sdb 0 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0 0
 104       0 cciss/c0d0 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0 0 0
   7       0 loop0 broken
"""


class Machine:
    """A made-up /proc and /sys."""

    def __init__(self, path: Path) -> None:
        self.proc, self.sys = path / "proc", path / "sys"
        self.proc.mkdir()
        for name in ("sda", "sdb", "cciss!c0d0", "loop0"):
            (self.sys / "block" / name).mkdir(parents=True)
        self.write(read=1000, switched=0)

    def write(
        self, *, read: int, switched: int, waiting: int = 4, waited: int = 0, present: int = 4000
    ) -> None:
        files = {
            "meminfo": MEMINFO,
            "zoneinfo": ZONEINFO.format(present=present),
            "vmstat": f"nr_free_pages 1\npgpgin {read}\npgpgout 500\nodd\n",
            "stat": f"cpu  1 2 3\nintr {'1 ' * 9000}\nctxt {switched}\nprocs_running 3\n",
            "diskstats": DISKSTATS.format(waiting=waiting, waited=waited),
        }
        for name, text in files.items():
            (self.proc / name).write_text(text)

    def statistics(self) -> Statistics:
        return Statistics(str(self.proc), str(self.sys))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_record_has_the_statistics_that_open_vm_tools_sends(machine: Machine) -> None:
    taken = machine.statistics()
    taken.take(0.0)
    machine.write(read=1001, switched=1)
    fixed, ours = read(taken.take(1.0))
    their_fixed, theirs = read(THEIRS)
    assert list(ours) == list(theirs), "the same ones in the same order"
    assert {key: statistic[:2] for key, statistic in ours.items()} == {
        key: statistic[:2] for key, statistic in theirs.items()
    }
    assert all(statistic.value is not None for statistic in (*ours.values(), *theirs.values()))
    assert fixed[:2] == their_fixed[:2] == (5, 0x401)
    assert their_fixed[2] == theirs[6].value


def test_numbers_are_encoded_as_open_vm_tools_does() -> None:
    """Their record, read and written again, is the same to the byte."""
    _, theirs = read(THEIRS)
    names = {identifier: name for name, identifier, _, _ in statistics.STATISTICS}
    values = {
        names[key]: statistic.value
        for key, statistic in theirs.items()
        if statistic.value is not None
    }
    assert statistics.encode(values) == THEIRS


def test_the_values_are_the_kernels(machine: Machine) -> None:
    fixed, found = read(machine.statistics().take(100.0))
    physical = 1004000 * PAGE // 1024
    reserve = physical // 20
    assert fixed == (5, 0x401, physical, 3)
    values = {
        key: statistic.value for key, statistic in found.items() if statistic.value is not None
    }
    assert values == {
        11: 2048,
        6: physical,
        4: 1000000,
        3: 400000,
        9: 999996,
        12: 3,
        10: PAGE,
        5: physical - (3000000 - reserve),
        13: reserve,
        25: 3000000,
        34: 60000,
        26: 50000,
        27: 700000,
        60: 4000000,
        61: 2,
    }


def test_the_first_record_has_no_rates_and_the_next_one_those_since(machine: Machine) -> None:
    taken = machine.statistics()
    _, first = read(taken.take(100.0))
    assert {key for key, statistic in first.items() if statistic.value is None} == {7, 8, 2, 62, 63}
    machine.write(read=3000, switched=50, waited=4000)
    _, then = read(taken.take(120.0))
    assert then[7].value == 100.0
    assert then[8].value == 0.0
    assert then[2].value == 2.5
    assert then[62].value == 4 + 1, "disks that were ever used, without their partitions"
    assert then[63].value == 20.0, "0.2 requests on the average, in hundredths"


def test_counters_that_ran_over_or_back_are_no_nonsense(machine: Machine) -> None:
    taken = machine.statistics()
    machine.write(read=1000, switched=100, waited=(1 << 32) - 1000)
    taken.take(0.0)
    machine.write(read=999, switched=50, waited=1000)
    _, found = read(taken.take(10.0))
    assert (found[7].value, found[2].value) == (None, None)
    assert found[63].value == 20.0, "milliseconds are counted modulo 2**32"
    _, found = read(taken.take(10.0))
    assert found[8].value is None, "no time has passed"


def test_a_disk_that_comes_costs_the_disks_one_record(machine: Machine) -> None:
    taken = machine.statistics()
    taken.take(0.0)
    (machine.sys / "block" / "sdc").mkdir()
    with (machine.proc / "diskstats").open("a") as file:
        file.write("   8      32 sdc 1 0 0 0 1 0 0 0 0 0 5 0 0 0\n")
    _, found = read(taken.take(20.0))
    assert (found[62].value, found[63].value) == (None, None)
    _, found = read(taken.take(40.0))
    assert (found[62].value, found[63].value) == (5, 0.0)


def test_the_physical_memory_is_read_again_only_when_memory_was_plugged(machine: Machine) -> None:
    taken = machine.statistics()
    taken.take(0.0)
    (machine.proc / "zoneinfo").unlink()
    fixed, _ = read(taken.take(20.0))
    assert fixed[2] == 1004000 * PAGE // 1024
    (machine.proc / "meminfo").write_text(MEMINFO.replace("4000000 kB", "8000000 kB"))
    fixed, _ = read(taken.take(40.0))
    assert fixed[2] == 8000000, "without zoneinfo it is the kernel's total"


@pytest.mark.parametrize("missing", ["meminfo", "zoneinfo", "vmstat", "stat", "diskstats"])
def test_a_source_that_cannot_be_read_costs_its_own_numbers_only(
    machine: Machine, missing: str
) -> None:
    (machine.proc / missing).unlink()
    fixed, found = read(machine.statistics().take(0.0))
    assert len(found) == 20
    assert found[10].value == PAGE
    assert fixed[1] == (0 if missing == "meminfo" else 0x401)


def test_of_a_file_without_end_only_the_beginning_is_read(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "MOST_READ", 100_000)
    (machine.proc / "vmstat").write_text("pgpgin 1\n" + "x 1\n" * 100_000 + "pgpgout 2\n")
    taken = machine.statistics()
    taken.take(0.0)
    _, found = read(taken.take(1.0))
    assert (found[7].value, found[8].value) == (0.0, None)


@given(
    st.dictionaries(
        st.sampled_from([name for name, *_ in statistics.STATISTICS]),
        st.integers(0, 2**64 - 1) | st.floats(0, 2.0**63),
    )
)
def test_any_record_is_small_and_can_be_read(values: dict[str, float]) -> None:
    record = statistics.encode(values)
    assert len(record) <= 700
    _, found = read(record)
    assert len(found) == 20


def test_this_machine_has_them_all() -> None:
    taken = Statistics()
    taken.take(0.0)
    _, found = read(taken.take(1.0))
    missing = {key for key, statistic in found.items() if statistic.value is None}
    assert missing <= {62, 63}, "a container may have no disk"
