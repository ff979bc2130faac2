"""Types of the native core. The public names are documented where vmtpy re-exports them."""

import enum
import os
from collections.abc import Sequence
from typing import TypeAlias, overload

# Paths go in by the rules of os.fsencode and come out by those of os.fsdecode.
_Path: TypeAlias = str | bytes | os.PathLike[str]

# --- clock ---
class Clock:
    """The monotonic clock of a loop or a session. now() returns seconds, as time.monotonic()."""

    def now(self) -> float: ...

class SteadyClock(Clock):
    """CLOCK_MONOTONIC, the clock of time.monotonic()."""

    def __init__(self) -> None: ...

def wall_clock_is_kept() -> bool:
    """Returns whether a program keeps the kernel's clock: adjtimex shows STA_UNSYNC clear."""

def step_wall_clock(by_us: int) -> None:
    """Moves the wall clock at once. Raises SystemCallError, for example without the right."""

def slew_wall_clock(by_us: int) -> None:
    """Moves the wall clock by half a millisecond a second. Raises as step_wall_clock()."""

# --- backdoor, probe ---
class Backdoor:
    """A way to speak to the host through the processor: make_backdoor() makes it, or a test."""

    def high_bandwidth(self) -> bool: ...

class PortBackdoor(Backdoor):
    """VMware's I/O ports. Probe first: outside VMware they fault where the kernel refuses them."""

    def __init__(self) -> None: ...

class AbsentBackdoor(Backdoor):
    """A backdoor that answers nothing, for a machine that has vsock alone."""

    def __init__(self) -> None: ...

class MeteredBackdoor(Backdoor):
    """Counts what passes another backdoor: counts() returns channels, requests and failures."""

    def __init__(self, backdoor: Backdoor) -> None: ...
    def record_to(self, name: str) -> None: ...
    def counts(self) -> dict[str, int]: ...

class Cpu:
    """The facts that CPUID gives.

    Attributes:
        is_virtual: whether a hypervisor announces itself (leaf 1, ECX bit 31).
        hypervisor: its signature (leaf 0x40000000), such as "VMwareVMware"; "" without one.
        vmcall, vmmcall: whether VMware names this hypercall instruction for this processor.
        encrypted: "SEV" or "TDX" where the host cannot read the guest's memory, else "".
    """

    def __init__(
        self,
        *,
        is_virtual: bool = False,
        hypervisor: str = "",
        vmcall: bool = False,
        vmmcall: bool = False,
        encrypted: str = "",
    ) -> None: ...
    @property
    def is_virtual(self) -> bool: ...
    @property
    def hypervisor(self) -> str: ...
    @property
    def vmcall(self) -> bool: ...
    @property
    def vmmcall(self) -> bool: ...
    @property
    def encrypted(self) -> str: ...

def read_cpu(leaves: dict[int, tuple[int, int, int, int]] = ...) -> Cpu:
    """Reads CPUID here, or takes it from `leaves`, which maps a leaf to EAX, EBX, ECX, EDX."""

class BackdoorWay(enum.Enum):
    """The instruction by which a backdoor answers."""

    NONE = 0
    PORT = 1
    PRIVILEGED_PORT = 2
    VMCALL = 3
    VMMCALL = 4

def make_backdoor(way: BackdoorWay, cpu: Cpu) -> Backdoor | None:
    """Makes the backdoor of a way; None for BackdoorWay.NONE. The probe must have found the way."""

def io_privilege_error() -> int:
    """Returns the errno with which the kernel refuses I/O privilege here; 0 if it grants it."""

class Presence(enum.Enum):
    """The result of the backdoor's probe.

    VMWARE: the backdoor answers. NO_CHANNEL: it answers, but opens no message channel. FAULT: the
    instruction faults. NO_ANSWER: nobody answers. UNDECIDED: the instruction could not be tried.
    """

    VMWARE = 0
    NO_CHANNEL = 1
    FAULT = 2
    NO_ANSWER = 3
    UNDECIDED = 4

class Probe:
    """The probe's facts. vmtpy.Probe has them with names, reason and remedy.

    Attributes:
        privilege_error: the errno with which the kernel refused I/O privilege; 0 if it did not.
    """

    @property
    def presence(self) -> Presence: ...
    @property
    def way(self) -> BackdoorWay: ...
    @property
    def version(self) -> int: ...
    @property
    def product(self) -> int: ...
    @property
    def cpu(self) -> Cpu: ...
    @property
    def privilege_error(self) -> int: ...
    @property
    def reason(self) -> str: ...

def probe_machine(
    cpu: Cpu, *, ports: bool = True, hypercalls: bool = True, ask_channel: bool = False
) -> Probe:
    """Tries the real instructions; where they may fault, a child process executes them."""

def probe(backdoor: Backdoor, cpu: Cpu) -> Probe:
    """Probes a backdoor that does not fault."""

class Hardware:
    """Facts of the virtual machine; None where the host does not tell. `uuid` is the BIOS's."""

    @property
    def hardware_version(self) -> int | None: ...
    @property
    def uuid(self) -> str | None: ...
    @property
    def memory_mib(self) -> int | None: ...
    @property
    def cpu_mhz(self) -> int | None: ...

class HostTime:
    """The host's time, in microseconds.

    Attributes:
        unix_us: the time since 1970.
        max_lag_us: how far a guest may be behind before its clock should be corrected.
        lag_us: how late the host is with this guest's timer interrupts; 0 if unknown.
    """

    @property
    def unix_us(self) -> int: ...
    @property
    def max_lag_us(self) -> int: ...
    @property
    def lag_us(self) -> int: ...

def read_hardware(backdoor: Backdoor) -> Hardware:
    """Asks the host for facts of the virtual machine, without a message channel."""

def read_host_time(backdoor: Backdoor) -> HostTime | None:
    """Returns the host's time now; None if the host does not tell it."""

def read_time_option(backdoor: Backdoor) -> bool | None:
    """Returns whether the host wants the guest's clock kept with its own; None if unknown."""

# --- dialer ---
class Dialer:
    """Opens connections to the host. It is the base of VsockDialer and of the tests' dialers."""

class VsockDialer(Dialer):
    """Connects over AF_VSOCK to `context`, which is the host by default."""

    def __init__(self, context: int = ...) -> None: ...

# --- transports ---
class Preference(enum.Enum):
    """The way to the host that conversations take.

    AUTO takes vsock where the host listens, else the backdoor. SPARE takes vsock only where the
    backdoor cannot serve. VSOCK and BACKDOOR take that way alone.
    """

    AUTO = 0
    SPARE = 1
    VSOCK = 2
    BACKDOOR = 3

class VsockState(enum.Enum):
    """The state of the connection over vsock."""

    ABSENT = 0
    DUE = 1
    CONNECTING = 2
    OPEN = 3
    RESTING = 4

class Choice(enum.Enum):
    """The decision of choose_transport() for the next conversation."""

    BACKDOOR = 0
    VSOCK = 1
    WAIT = 2
    NONE = 3

def choose_transport(preference: Preference, backdoor: bool, vsock: VsockState) -> Choice:
    """Chooses the way for the next conversation. ARCHITECTURE.md shows the choice as a table."""

def wants_vsock(preference: Preference, backdoor: bool) -> bool:
    """Returns whether a conversation should connect over vsock in the background."""

class Transports:
    """The backdoor and vsock, and the choice between them, for conversations of both protocols.

    An attempt over vsock may take `connect` seconds.
    """

    def __init__(
        self,
        backdoor: Backdoor,
        dialer: Dialer,
        clock: Clock,
        *,
        preference: Preference = ...,
        backdoor_name: str = "backdoor",
        connect: float = 5.0,
    ) -> None: ...
    def trouble(self, protocol: Protocol) -> str: ...

# --- channel, rpci, tclo ---
class Protocol(enum.Enum):
    """The protocol of a channel. In RPCI the guest asks; in TCLO the host asks."""

    RPCI = 0x49435052
    TCLO = 0x4F4C4354

class Channel:
    """One message channel. Its methods raise ChannelError and, for a size, MessageSizeError."""

    def open(self) -> None: ...
    def close(self) -> None: ...
    def is_open(self) -> bool: ...
    def send(self, message: bytes) -> None: ...
    def receive(self) -> bytes | None: ...
    def exchange(self, message: bytes) -> bytes | None: ...

class BackdoorChannel(Channel):
    """A channel through the backdoor. It takes replies of up to `max_receive` bytes."""

    def __init__(
        self,
        backdoor: Backdoor,
        protocol: Protocol,
        *,
        high_bandwidth: bool = True,
        max_receive: int = 65536,
    ) -> None: ...

class VsockChannel(Channel):
    """A channel over vsock; advance() connects without blocking."""

    def __init__(self, transports: Transports, protocol: Protocol) -> None: ...
    def advance(self) -> VsockState: ...
    def ping(self) -> None: ...
    def set_patience(self, seconds: float) -> None: ...
    @property
    def privileged(self) -> bool: ...
    @property
    def descriptor(self) -> int: ...

class Rpci:
    """The guest's requests, which vmtpy.Rpci wraps.

    call() raises ChannelError and MessageSizeError; set_patience() takes seconds.
    """

    @overload
    def __init__(
        self, backdoor: Backdoor, *, high_bandwidth: bool = True, max_receive: int = 65536
    ) -> None: ...
    @overload
    def __init__(self, transports: Transports) -> None: ...
    def set_patience(self, seconds: float) -> None: ...
    @property
    def over_vsock(self) -> bool: ...
    def call(self, request: bytes, *, last: bool = False) -> tuple[bool, bytes]: ...
    def close(self) -> None: ...

class Tclo:
    """The host's commands: poll() takes one, answer() sends its reply; both raise ChannelError."""

    @overload
    def __init__(
        self, backdoor: Backdoor, *, high_bandwidth: bool = True, max_receive: int = 65536
    ) -> None: ...
    @overload
    def __init__(self, transports: Transports) -> None: ...
    @property
    def pushed(self) -> bool: ...
    def poll(self) -> bytes | None: ...
    def answer(self, reply: bytes) -> None: ...
    def close(self) -> None: ...

# --- plan ---
class Filesystem:
    """A filesystem to freeze. vmtpy.Filesystem says what each attribute means."""

    def __init__(
        self,
        path: _Path,
        *,
        mount_id: int = 0,
        device: str = "",
        type: str = "",  # noqa: A002
        source: str = "",
        level: int = 0,
        sync_only: bool = False,
        also: Sequence[_Path] = (),
        stands_on: Sequence[str] = (),
        mapped: Sequence[str] = (),
        disks: Sequence[str] = (),
        bdis: Sequence[str] = (),
        sinks: Sequence[str] = (),
        behind_server: bool = False,
    ) -> None: ...
    @property
    def path(self) -> str: ...
    @property
    def mount_id(self) -> int: ...
    @property
    def unique_id(self) -> int: ...
    @property
    def device(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def level(self) -> int: ...
    @property
    def sync_only(self) -> bool: ...
    @property
    def also(self) -> list[str]: ...
    @property
    def stands_on(self) -> list[str]: ...
    @property
    def mapped(self) -> list[str]: ...
    @property
    def disks(self) -> list[str]: ...
    @property
    def bdis(self) -> list[str]: ...
    @property
    def sinks(self) -> list[str]: ...
    @property
    def behind_server(self) -> bool: ...

class Cause(enum.Enum):
    """Why a filesystem is not frozen."""

    NONE = 0
    PSEUDO = 1
    MEMORY = 2
    LAYERED = 3
    READ_ONLY = 4
    NETWORK = 5
    FUSE = 6
    UNSUPPORTED = 7
    UNREACHABLE = 8
    EXCLUDED = 9
    NOT_INCLUDED = 10
    NOT_REQUESTED = 11

class LeftOut:
    """A filesystem that is not frozen. vmtpy.LeftOut says what each attribute means."""

    @property
    def path(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def cause(self) -> Cause: ...
    @property
    def reason(self) -> str: ...
    @property
    def writable(self) -> bool: ...

class Plan:
    """The core's plan, from which vmtpy.Plan is made."""

    def __init__(
        self, filesystems: Sequence[Filesystem], left_out: Sequence[LeftOut] = ()
    ) -> None: ...
    @property
    def filesystems(self) -> list[Filesystem]: ...
    @property
    def left_out(self) -> list[LeftOut]: ...
    @property
    def unmatched(self) -> list[str]: ...
    @property
    def notes(self) -> list[str]: ...

class PlanRequest:
    """The choice of what to freeze, with the arguments of vmtpy.plan()."""

    def __init__(
        self,
        *,
        include: Sequence[_Path] = (),
        exclude: Sequence[_Path] = (),
        volumes: Sequence[_Path] = (),
    ) -> None: ...
    @property
    def include(self) -> list[str]: ...
    @property
    def exclude(self) -> list[str]: ...
    @property
    def volumes(self) -> list[str]: ...

class PlanSources:
    """The files that a plan is read from. Tests set other paths; `root` is put before each mount
    point that is looked at.
    """

    def __init__(
        self,
        *,
        mountinfo: _Path = "/proc/self/mountinfo",
        swaps: _Path = "/proc/swaps",
        sys: _Path = "/sys",
        dev: _Path = "/dev",
        root: _Path = "",
    ) -> None: ...

def make_plan(request: PlanRequest = ..., sources: PlanSources = ...) -> Plan:
    """Makes the plan for a request. Raises PlanError; SystemCallError if there is no mountinfo."""

# --- session, record, marker ---
class System:
    """The system calls of a freeze. real_system() returns the kernel's; tests use others."""

def real_system() -> System:
    """Returns the kernel's system calls."""

class Outcome(enum.Enum):
    """How a freeze ended."""

    NONE = 0
    RELEASED = 1
    ABORTED = 2
    FAILED = 3
    EXPIRED = 4
    LOST = 5

class FilesystemRun:
    """What happened to one filesystem. vmtpy.FilesystemRun says what each attribute means."""

    @property
    def path(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def level(self) -> int: ...
    @property
    def sync_only(self) -> bool: ...
    @property
    def presync(self) -> float: ...
    @property
    def presync_rounds(self) -> int: ...
    @property
    def freeze(self) -> float: ...
    @property
    def frozen(self) -> float: ...
    @property
    def thaw(self) -> float: ...
    @property
    def waited(self) -> float: ...
    @property
    def dirty_before(self) -> int | None: ...
    @property
    def dirty_left(self) -> int | None: ...
    @property
    def disk_rate(self) -> float: ...
    @property
    def writer_rate(self) -> float: ...
    @property
    def expected_hold(self) -> float: ...
    @property
    def paced(self) -> float: ...
    @property
    def error(self) -> int: ...
    @property
    def call(self) -> str: ...
    @property
    def note(self) -> str: ...

class RunRecord:
    """The core's record of a freeze, from which vmtpy.RunRecord is made."""

    @property
    def outcome(self) -> Outcome: ...
    @property
    def error(self) -> str: ...
    @property
    def code(self) -> int: ...
    @property
    def path(self) -> str: ...
    @property
    def started_unix_ns(self) -> int: ...
    @property
    def started(self) -> float: ...
    @property
    def presynced(self) -> float: ...
    @property
    def first_freeze(self) -> float: ...
    @property
    def all_frozen(self) -> float: ...
    @property
    def release_asked(self) -> float: ...
    @property
    def all_thawed(self) -> float: ...
    @property
    def limit(self) -> float: ...
    @property
    def rcu_expedited(self) -> bool: ...
    @property
    def dirty_before(self) -> int | None: ...
    @property
    def dirty_left(self) -> int | None: ...
    @property
    def dirty_source(self) -> str: ...
    @property
    def rate_source(self) -> str: ...
    @property
    def warnings(self) -> list[str]: ...
    @property
    def filesystems(self) -> list[FilesystemRun]: ...
    @property
    def left_out(self) -> list[LeftOut]: ...

class Converge(enum.Enum):
    """How writers are slowed down: not at all, by each device's bound, or by the machine's."""

    OFF = 0
    AUTO = 1
    GLOBAL = 2

class AlreadyFrozen(enum.Enum):
    """How a filesystem that someone else has frozen is treated: as an error, or as frozen."""

    ERROR = 0
    ACCEPT = 1

class FreezeOptions:
    """How a session freezes. Durations are seconds; one out of range raises ValueError.

    The constructor takes these arguments. Keys of the configuration's [quiesce] have the same name
    there.
        timeout: the limit from the first freeze until everything is thawed, whatever happens.
        filesystem_timeout: the limit for the freeze of one filesystem.
        presync_timeout: the limit for opening the filesystems, and then for writing dirty pages.
        expedite_rcu: whether /sys/kernel/rcu_expedited is set while freezing.
        guardian: whether a second process thaws if this one dies.
        run_directory: the directory of the marker.
        already_frozen: how a filesystem that someone else has frozen is treated.
        left_out: the writable filesystems that the plan left out; the record names them.
        stall_goal: how long the freeze may hold writers.
        converge: how writers are slowed down if the freeze would hold them for longer.
    """

    def __init__(
        self,
        *,
        timeout: float = 30.0,
        filesystem_timeout: float = 2.0,
        presync_timeout: float = 60.0,
        expedite_rcu: bool = True,
        guardian: bool = True,
        run_directory: _Path = "/run/vmtpy",
        already_frozen: AlreadyFrozen = ...,
        left_out: Sequence[LeftOut] = (),
        stall_goal: float = 0.1,
        converge: Converge = ...,
    ) -> None: ...

class Phase(enum.Enum):
    """The phase of a session. A session never goes back to an earlier phase."""

    NEW = 0
    PREPARING = 1
    FREEZING = 2
    FROZEN = 3
    THAWING = 4
    ENDED = 5

class FreezeSession:
    """One freeze, from opening the directories to the last thaw, on a native thread of its own.

    Any thread may use it. start() returns at once, and raises PlanError when there is nothing to
    freeze. release() and abort() ask for the thaw and do not wait; the first call counts.
    wait_for() returns whether the phase was reached within `timeout` seconds. The end of the object
    aborts the session and waits until all is thawed.
    """

    def __init__(
        self,
        system: System,
        clock: Clock | None,
        filesystems: Sequence[Filesystem],
        options: FreezeOptions = ...,
    ) -> None: ...
    def start(self) -> None: ...
    def release(self) -> None: ...
    def abort(self, reason: str) -> None: ...
    def phase(self) -> Phase: ...
    def event_fd(self) -> int: ...
    def clear_event(self) -> None: ...
    def wait_for(self, phase: Phase, timeout: float) -> bool: ...
    def wait_until_ended(self) -> None: ...
    def record(self) -> RunRecord: ...

class Rescue(enum.Enum):
    """What became of a filesystem that a marker names."""

    THAWED = 0
    NOT_FROZEN = 1
    NOT_MOUNTED = 2
    STALE = 3
    REFUSED = 4
    FAILED = 5

class RescueResult:
    """What became of one filesystem of a marker; `text` says it in a sentence."""

    @property
    def result(self) -> Rescue: ...
    @property
    def marker(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def text(self) -> str: ...

def thaw_from_markers(
    system: System, run_directory: _Path = "/run/vmtpy", force: bool = False, patience: float = 10.0
) -> list[RescueResult]:
    """Thaws what was left frozen by agents that died together with their guardians.

    `patience` is in seconds.
    """

# --- agent ---
class BackupCode(enum.Enum):
    """The host's code for the reason of a refused backup."""

    SCRIPT = 2
    SYNC = 3
    UNEXPECTED = 5

class BackupState(enum.Enum):
    """The states of the backup machine. ARCHITECTURE.md has its table."""

    IDLE = 0
    PREPARING = 1
    CANCELLED = 2
    FREEZING = 3
    FROZEN = 4
    UNFROZEN = 5
    THAWING = 6
    ABORTING = 7
    FINISHING = 8

class BackupEvent(enum.Enum):
    """The events of the backup machine. ARCHITECTURE.md has its table."""

    START = 0
    SNAPSHOT_DONE = 1
    ABORT = 2
    ARMED = 3
    SKIPPED = 4
    REFUSED = 5
    FINISHED = 6
    FROZE = 7
    ENDED = 8
    STOP = 9
    HOST_GONE = 10
    LATE = 11

def host_commands() -> list[tuple[str, bool]]:
    """Returns the host's commands, sorted by name, each with whether its body is binary."""

def parse_start_with_options(body: bytes) -> tuple[QuiesceRequest, bytes]:
    """Reads the XDR body of vmbackup.startWithOpts. Returns the request and an error, or b""."""

def backup_edge(state: BackupState, event: BackupEvent) -> BackupState | None:
    """Returns the backup machine's state after an event; None if the event has no edge."""

class ConversationState(enum.Enum):
    """The states of the conversation with the host. ARCHITECTURE.md has its table."""

    NEW = 0
    LOST = 1
    UNANNOUNCED = 2
    ANNOUNCED = 3
    KNOWN = 4
    CLOSED = 5

class ConversationEvent(enum.Enum):
    """The events of the conversation with the host. ARCHITECTURE.md has its table."""

    HEARD = 0
    FAILED = 1
    FORGOTTEN = 2
    TOLD = 3
    CLOSE = 4

def conversation_edge(
    state: ConversationState, event: ConversationEvent
) -> ConversationState | None:
    """Returns the conversation's state after an event; None if the event has no edge."""

class QuiesceRequest:
    """The host's request at the start of a backup.

    `timeout` is the longest time from start to thaw in seconds; 0 means the configured one.
    """

    @property
    def manifest(self) -> bool: ...
    @property
    def freeze(self) -> bool: ...
    @property
    def scripts(self) -> bool: ...
    @property
    def timeout(self) -> float: ...
    @property
    def volumes(self) -> str: ...
    @property
    def script_argument(self) -> str: ...

class AgentEvent:
    """An event of the native loop for Python. `kind` decides which attributes are set."""

    class Kind(enum.Enum):
        START = 0
        ENDED = 1
        LOG = 2
        COMMAND = 3
        ANSWERED = 4
        ANNOUNCED = 5
        RELOAD = 6
        STOPPED = 7

    @property
    def kind(self) -> Kind: ...
    @property
    def request(self) -> QuiesceRequest: ...
    @property
    def record(self) -> RunRecord: ...
    @property
    def text(self) -> str: ...
    @property
    def arguments(self) -> str: ...
    @property
    def id(self) -> int: ...
    @property
    def warning(self) -> bool: ...

def answer_vix(request: bytes, state: ToolsState) -> bytes:
    """Returns the answer to a VIX request: the bytes that follow `Vix_1_Relayed_Command `."""

class ToolsState:
    """The answer to a host that asks for the state of the tools; empty fields are left out."""

    def __init__(
        self,
        *,
        os_name: bytes = b"",
        os_short_name: bytes = b"",
        product: bytes = b"",
        version: bytes = b"",
        host_name: bytes = b"",
    ) -> None: ...

class AgentOptions:
    """How the loop polls, and what it announces. All durations are seconds."""

    def __init__(
        self,
        *,
        poll_min: float,
        poll_max: float,
        poll_busy: float,
        announce: Sequence[str],
        withdraw: Sequence[str],
        notify_socket: str = "",
        watchdog: float = 0.0,
        patience: float = 5.0,
        patience_busy: float = 1.0,
        prepare_patience: float = 180.0,
        tools: ToolsState = ...,
    ) -> None: ...

class LoopStatus:
    """The state of the loop. Times are the clock's, in seconds; 0.0 means never.

    Attributes:
        busy_since: when the session began to freeze, or an earlier one ended with something left
            frozen; 0.0 while nothing is frozen.
        stuck_since: when Python, which owes an answer, was last heard of; 0.0 while it is well.
    """

    @property
    def connected(self) -> bool: ...
    @property
    def announced(self) -> bool: ...
    @property
    def trouble(self) -> str: ...
    @property
    def transport(self) -> str: ...
    @property
    def transport_reason(self) -> str: ...
    @property
    def backup(self) -> BackupState: ...
    @property
    def frozen(self) -> bool: ...
    @property
    def last_poll(self) -> float: ...
    @property
    def busy_since(self) -> float: ...
    @property
    def stuck_since(self) -> float: ...
    @property
    def polls(self) -> int: ...
    @property
    def commands(self) -> int: ...
    @property
    def resets(self) -> int: ...
    @property
    def losses(self) -> int: ...

class Agent:
    """The native loop polls the host, answers it, and runs the backup machine on its own thread.

    Any thread may call status(), preparing(), request_stop(), arm(), skip(), refuse() and finish();
    only the owner's thread may call the others. next_event() waits `timeout` seconds; with None it
    waits without a limit.
    """

    @overload
    def __init__(self, backdoor: Backdoor, clock: Clock, options: AgentOptions) -> None: ...
    @overload
    def __init__(self, transports: Transports, clock: Clock, options: AgentOptions) -> None: ...
    def start(self) -> None: ...
    def request_stop(self) -> None: ...
    def next_event(self, timeout: float | None = None) -> AgentEvent | None: ...
    def arm(self, session: FreezeSession) -> None: ...
    def skip(self, timeout: float) -> None: ...
    def refuse(self, code: BackupCode, text: str) -> None: ...
    def finish(self, path: str = "", manifest: bytes = b"") -> None:
        """Ends a backup. The host may fetch `manifest` by `path` from now on; "" for none."""
    def answer(self, id: int, text: bytes) -> None: ...  # noqa: A002
    def settle(self, id: int) -> None: ...  # noqa: A002
    def configure(self, options: AgentOptions) -> None: ...
    def status(self) -> LoopStatus: ...
    @property
    def event_fd(self) -> int: ...
    @property
    def quiet(self) -> bool: ...
    @property
    def stop_fd(self) -> int: ...
    @property
    def reload_fd(self) -> int: ...
    @property
    def backup_state(self) -> BackupState: ...
    def preparing(self) -> bool: ...
    def step(self) -> float | None: ...

class SignalEvents:
    """Has the signals write to the eventfd `event_fd`, without Python, while the object exists.

    Raises VmtError for a signal that another object has.
    """

    def __init__(self, event_fd: int, signals: Sequence[int]) -> None: ...

def lock_memory() -> bool:
    """Locks this process's memory. Returns False, and locks nothing, where it may not."""

class Role(enum.Enum):
    """The role of a thread, which decides what it may do."""

    MAIN = 0
    STATUS = 1

def confine_process() -> None:
    """Makes take_role() effective from now on. The main thread calls it before any take_role()."""

def take_role(role: Role) -> None:
    """Leaves the calling thread only what its role needs, for good."""

def effective_capabilities() -> str:
    """Returns the effective capabilities of the calling thread."""
