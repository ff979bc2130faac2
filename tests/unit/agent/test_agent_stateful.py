"""Any order of what a host, Python, other people and the time may do to the agent, beside a small
model of it: the native loop on a simulated disk, with a clock that is turned by hand.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from support.rig import EVENT, KIND, Rig, State

from vmtpy import _core, _host
from vmtpy._host import VsockFault

LIMIT = 30.0
FINISH_PATIENCE = 600.0
PREPARE_PATIENCE = 180.0
EVENTS = ("reset", "prov.snapshotCommit", "req.keepAlive", "req.done", "req.aborted")
OK, BUSY = b"OK ", b"ERROR Quiesce operation already in progress."
NONE = b"ERROR Error: no quiesce operation in progress"


class Life(RuleBasedStateMachine):
    """`state` and what else is expected; the rules do a thing to both and compare."""

    vsock = False

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig(vsock=self.vsock, timeout=LIMIT)
        self.state = State.IDLE
        self.since = 0.0  # of this state
        self.heard = 0.0  # when Python was last heard of, if it is to prepare
        self.stuck = False  # it still owes the answer to a start that has been given up
        self.told = 0.0  # the last event, at the latest
        self.frozen_at = 0.0
        self.intact = False  # frozen from the commit on
        self.refusals: Counter[str] = Counter()
        self.begun = 0

    @initialize(lost=st.booleans())
    def begin(self, *, lost: bool) -> None:
        self.rig.turn()
        if lost:
            self.rig.device.lose_channels()

    # --- the host ---
    @rule()
    def start(self) -> None:
        refused = self.will_refuse("reset")
        reply = self.rig.command("vmbackup.start 1")
        if self.state != State.IDLE:
            assert reply == BUSY
        elif self.stuck:
            assert reply.startswith(b"ERROR Error: Python is stuck: ")
        elif refused and not self.said_again(b"reset 0 ", self.begun):
            assert reply == b"ERROR Error when sending the start event."
        else:
            assert reply == OK
            self.begun += 1
            self.enter(State.PREPARING)
            self.heard = self.now

    @rule()
    def done(self) -> None:
        reply = self.rig.command("vmbackup.snapshotDone")
        if self.state in (State.IDLE, State.FINISHING):
            assert reply == NONE
        elif self.state == State.FROZEN:
            if self.now < self.frozen_at + LIMIT - 0.5:  # not just at the limit
                assert (reply == OK) == self.intact
            self.enter(State.FINISHING)
        else:
            assert reply == b"ERROR Error: unexpected state for quiesce done message."

    @rule()
    def abort(self) -> None:
        reply = self.rig.command("vmbackup.abort")
        assert reply == (NONE if self.state == State.IDLE else OK)
        self.give_up()

    @rule(command=st.sampled_from(["ping", "reset", "Capabilities_Register", "nonsense", "x 1"]))
    def other(self, command: str) -> None:
        expected = {"ping": OK, "Capabilities_Register": OK, "reset": b"OK ATR toolbox"}
        reply = self.rig.command(command)
        assert reply == expected.get(command, b"ERROR Unknown Command")

    @rule()
    def lose_channels(self) -> None:
        self.rig.device.lose_channels()

    @rule(event=st.sampled_from(EVENTS))
    def refuse(self, event: str) -> None:
        """The next such event is refused."""
        self.rig.device.answer_with(EVENT + event.encode(), b"0 no")
        self.refusals[event] += 1

    # --- Python ---
    @rule()
    def show_that_it_is_alive(self) -> None:
        assert self.rig.agent.preparing() == (self.state == State.PREPARING)
        self.heard = self.now

    @precondition(lambda self: self.state in (State.PREPARING, State.CANCELLED))
    @rule()
    def stay_silent(self) -> None:
        self.rig.turn(PREPARE_PATIENCE)

    @precondition(lambda self: self.stuck)
    @rule(answer=st.sampled_from(["arm", "skip", "refuse"]))
    def answer_late(self, answer: str) -> None:
        self.rig.take(KIND.START)
        if answer == "arm":
            session = self.rig.session
            self.rig.arm()
            self.rig.session = session
        elif answer == "skip":
            self.rig.agent.skip(LIMIT)
        else:
            self.rig.agent.refuse(_core.BackupCode.SCRIPT, "no")
        self.rig.take(KIND.ENDED)
        self.rig.agent.finish()
        self.stuck = False

    @precondition(lambda self: self.state in (State.PREPARING, State.CANCELLED))
    @rule()
    def arm(self) -> None:
        self.rig.take(KIND.START)
        self.catch_up()
        refused = self.will_refuse("prov.snapshotCommit")
        commits = times(self.rig, b"prov.snapshotCommit 0 ", reply=b"1")
        self.rig.arm()
        if refused and self.state == State.PREPARING:
            through = (State.FROZEN, State.FINISHING)
            self.rig.until(lambda: self.rig.agent.backup_state in through)
            refused = not self.said_again(b"prov.snapshotCommit 0 ", commits)
        if self.state == State.CANCELLED or refused:
            self.enter(State.FINISHING)
        else:
            self.enter(State.FROZEN)
            self.frozen_at, self.intact = self.now, True

    @precondition(lambda self: self.state in (State.PREPARING, State.CANCELLED))
    @rule()
    def refuse_to_freeze(self) -> None:
        self.rig.take(KIND.START)
        self.catch_up()
        self.rig.agent.refuse(_core.BackupCode.SCRIPT, "no")
        self.enter(State.FINISHING)

    @precondition(lambda self: self.state == State.FINISHING)
    @rule()
    def finish(self) -> None:
        self.rig.take(KIND.ENDED)
        self.catch_up()
        self.rig.agent.finish()
        self.enter(State.IDLE)

    @precondition(lambda self: not self.stuck)
    @rule()
    def answer_out_of_turn(self) -> None:
        """What is not waited for changes nothing."""
        if self.state not in (State.PREPARING, State.CANCELLED):
            session = self.rig.session
            self.rig.arm()
            self.rig.session = session
        if self.state != State.FINISHING:
            self.rig.agent.finish("/nonsense")

    # --- others ---
    @precondition(lambda self: self.state == State.FROZEN)
    @rule()
    def thaw_by_someone_else(self) -> None:
        self.rig.disk.thaw_by_someone_else("/srv")
        self.intact = False

    @rule(seconds=st.sampled_from([0.01, 0.5, 1.0, 10.0, 31.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.rig.turn(seconds)

    # --- what is expected of both ---
    @property
    def now(self) -> float:
        return self.rig.clock.now()

    def enter(self, state: State) -> None:
        self.state, self.since = state, self.now

    def give_up(self) -> None:
        if self.state == State.PREPARING:
            self.enter(State.CANCELLED)
        elif self.state == State.FROZEN:
            self.enter(State.FINISHING)

    def settle(self) -> None:
        """Lets the session's threads come to rest, and the model follow the clock."""
        self.rig.turn()
        self.rig.until(self.rests)

    def rests(self) -> bool:
        self.catch_up()
        return self.rig.agent.backup_state == self.state

    def catch_up(self) -> None:
        """The clock's and the refusals' part."""
        if self.state == State.FROZEN and self.now >= self.frozen_at + LIMIT:
            self.give_up()
        if any(entry.time >= self.since for entry in self.refused("req.keepAlive")):
            self.give_up()
        prepares = self.state in (State.PREPARING, State.CANCELLED)
        silent = self.now >= self.heard + PREPARE_PATIENCE
        if prepares and silent and self.rig.agent.backup_state == State.IDLE:
            self.enter(State.IDLE)
            self.stuck = True
        late = self.state == State.FINISHING and self.now >= self.since + FINISH_PATIENCE
        if late and self.rig.agent.backup_state == State.IDLE:
            self.enter(State.IDLE)

    def refused(self, event: str) -> list[_host.TranscriptEntry]:
        """What the host was told and did not want to know."""
        said = [
            request
            for request in told(self.rig)
            if request.request.startswith(EVENT + event.encode())
        ]
        return [entry for entry in said if entry.reply.startswith(b"0")]

    def said_again(self, event: bytes, before: int) -> bool:
        """The refusal broke on its way back over vsock, and the host took what was said again."""
        return self.vsock and times(self.rig, event, reply=b"1") > before

    def will_refuse(self, event: str) -> bool:
        return self.refusals[event] > len(self.refused(event))

    @invariant()
    def as_expected(self) -> None:
        self.settle()
        assert self.rig.disk.frozen("/srv") == (self.state == State.FROZEN and self.intact)

    @invariant()
    def every_backup_ends_once(self) -> None:
        assert times(self.rig, b"reset 0 ", reply=b"1") == self.begun
        assert times(self.rig, b"req.done 0 ") == self.begun - (self.state != State.IDLE)

    @invariant()
    def the_host_hears_that_it_lives(self) -> None:
        if self.state != State.IDLE:
            assert self.now - told(self.rig)[-1].time < 1.1

    def teardown(self) -> None:
        """Told to stop, it thaws, tells the end and ends, whether Python answers or not."""
        self.rig.agent.request_stop()
        self.rig.until(lambda: self.rig.agent.step() is None, seconds=0.5)
        self.rig.turn()
        assert not self.rig.disk.frozen("/srv")
        assert times(self.rig, b"req.done 0 ") == self.begun
        assert self.rig.device.open_channels() == 0


class LifeOnVsock(Life):
    """The same with a host that is on vsock, too, until it is not."""

    vsock = True

    @rule(listens=st.booleans())
    def break_connections(self, *, listens: bool) -> None:
        if listens:
            self.rig.service.listen_again()
        else:
            self.rig.service.stop_listening()
        self.rig.service.drop_connections()
        self.rig.turn()
        self.rig.turn()  # what was under way is said again

    @rule(
        fault=st.sampled_from([VsockFault.CLOSE, VsockFault.HALF, VsockFault.UNKNOWN_TYPE]),
        after=st.integers(0, 3),
    )
    def break_a_reply(self, fault: VsockFault, after: int) -> None:
        self.rig.service.misbehave(fault, port=976, after=after)


def told(rig: Rig) -> list[_host.TranscriptEntry]:
    return [entry for entry in rig.seen if entry.request.startswith(EVENT)]


def times(rig: Rig, event: bytes, reply: bytes = b"") -> int:
    """How often the host was told it. What broke on its way back is said again at the same time."""
    return len(
        {
            request.time
            for request in told(rig)
            if request.request == EVENT + event and request.reply.startswith(reply)
        }
    )


TestLife = Life.TestCase
TestLifeOnVsock = LifeOnVsock.TestCase
TestLife.settings = TestLifeOnVsock.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # a run takes too long to be shrunk
    suppress_health_check=list(HealthCheck),
)
