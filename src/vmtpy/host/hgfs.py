"""The host's side of HGFS: it fetches one file out of a guest, such as a backup's manifest.

Packets travel over TCLO: the command is `f ` and a packet; the answer is `OK ` and a packet, even
where HGFS refuses. Requests are byte for byte those of VMware's own host (captures are in govmomi's
toolbox/hgfs). Replies are read strictly, as a guest is not trusted. All integers are little-endian.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from vmtpy._host import MessageKind
from vmtpy.errors import VmtError

if TYPE_CHECKING:
    from vmtpy._host import Device
    from vmtpy.host.listener import Listener

# An Exchange takes a TCLO command of the host and returns the guest's answer to it.
Exchange = Callable[[bytes], bytes]

HEADER = struct.Struct("<B3xIIIIIIIIQ8x")
ATTRIBUTES = struct.Struct("<QIQQQQQ4BQQIIQII8x")
REQUEST_ID = 0x80000000  # the id that hosts use
MAX_PACKET = 0xF800
MAX_READ = 0xF000
NO_SESSION = 0xFFFFFFFFFFFFFFFF
SHARE = b"root"  # the guest's whole tree of files
_VERSION, _NEW_HEADER, _REQUEST, _REPLY = 1, 0xFF, 1, 2
_READ_MASK = 0x80B  # of OpenV3: mode, flags, owner's permissions and name are given
BY_HANDLE = 4  # a hint of GetattrV2: the file is named by its handle
LIMIT = 1 << 20  # bytes of the largest file that fetch() takes
PATIENCE = 9.0  # seconds after which a host calls an answer timed out


class Op(IntEnum):
    """Operations of HGFS that a host needs to fetch a file."""

    OPEN = 0
    CLOSE = 3
    GETATTR_V2 = 15
    OPEN_V3 = 24
    READ_V3 = 25
    CLOSE_V3 = 27
    CREATE_SESSION_V4 = 41
    DESTROY_SESSION_V4 = 42


class Status(IntEnum):
    """The status with which HGFS answers a request."""

    SUCCESS = 0
    NO_SUCH_FILE = 1
    INVALID_HANDLE = 2
    OPERATION_NOT_PERMITTED = 3
    FILE_EXISTS = 4
    NOT_DIRECTORY = 5
    DIRECTORY_NOT_EMPTY = 6
    PROTOCOL_ERROR = 7
    ACCESS_DENIED = 8
    INVALID_NAME = 9
    GENERIC_ERROR = 10
    SHARING_VIOLATION = 11
    NO_SPACE = 12
    NOT_SUPPORTED = 13
    NAME_TOO_LONG = 14
    INVALID_PARAMETER = 15
    NOT_SAME_DEVICE = 16
    STALE_SESSION = 17
    TOO_MANY_SESSIONS = 18


class HgfsError(VmtError):
    """The guest does not serve HGFS, or answers against the protocol."""


class HgfsStatusError(HgfsError):
    """The guest's HGFS server refused an operation.

    Attributes:
        op: the operation's number.
        status: a `Status`, or the number that the guest sent.
    """

    def __init__(self, op: int, status: int) -> None:
        self.op = op
        self.status = status
        super().__init__(f"{name_of(Op, op)}: status {status} ({name_of(Status, status)})")


@dataclass(frozen=True, slots=True)
class Reply:
    """A packet of the guest.

    Attributes:
        op: the operation that the packet answers.
        status: a number of `Status`; 0 means success.
        request_id: the id of the request.
        session: the session to which the packet belongs.
        body: what follows the header; it is empty with any status other than 0.
    """

    op: int
    status: int
    request_id: int
    session: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of a file that GetattrV2 returns.

    Attributes:
        mask: the bits of the attributes that are valid: bit 0 is the type, bit 1 the size.
        type: 0 for a file, 1 for a directory, 2 for a link.
        size: the size in bytes.
    """

    mask: int
    type: int
    size: int


def name_of(kind: type[IntEnum], number: int) -> str:
    """Returns the name of a number in words."""
    known = next((one for one in kind if one == number), None)
    return known.name.lower().replace("_", " ") if known else f"{kind.__name__.lower()} {number}"


def request(op: int, body: bytes = b"", session: int = 0, request_id: int = REQUEST_ID) -> bytes:
    """Makes a packet of the host."""
    size = HEADER.size + len(body)
    header = (_VERSION, _NEW_HEADER, size, HEADER.size, request_id, op, 0, _REQUEST, 0, session)
    return HEADER.pack(*header) + body


def parse(packet: bytes) -> Reply:
    """Reads a packet of the guest.

    Raises:
        HgfsError: it is no packet of HGFS, or no reply.
    """
    if len(packet) < HEADER.size:
        raise HgfsError(f"a packet of {len(packet)} bytes has no header of {HEADER.size}")
    version, new_header, size, header_size, request_id, op, status, flags, _, session = (
        HEADER.unpack_from(packet)
    )
    if (version, new_header, header_size) != (_VERSION, _NEW_HEADER, HEADER.size):
        raise HgfsError(
            f"the packet has no HGFS header of version 1: {packet[: HEADER.size].hex()}"
        )
    if size != len(packet):
        raise HgfsError(f"a packet of {len(packet)} bytes says that it has {size}")
    if flags != _REPLY:
        raise HgfsError(f"a packet with the flags {flags:#x} is no reply")
    body = packet[HEADER.size :]
    if status != Status.SUCCESS and body:
        raise HgfsError(f"an error of {name_of(Op, op)} has a body of {len(body)} bytes")
    return Reply(op, status, request_id, session, body)


def name_on_wire(path: str) -> bytes:
    """Returns the guest's name of an absolute path: its parts, separated by NULs."""
    return b"\0".join([SHARE, *path.encode().strip(b"/").split(b"/")])


def prefix(op: int) -> bytes:
    """Makes what precedes the body of a request older than version 3."""
    return struct.pack("<II", REQUEST_ID, op)


def create_session_body() -> bytes:
    """Makes the body by which a host without capabilities begins a session."""
    return struct.pack("<IIII8x", 0, MAX_PACKET, 0, 0)


def getattr_body(name: bytes, hints: int = 0, handle: int = REQUEST_ID) -> bytes:
    """Makes a request for attributes, by name or, with the hint BY_HANDLE, by handle.

    A request by name has a number in the place of the handle, too, as hosts send it.
    """
    return prefix(Op.GETATTR_V2) + struct.pack("<QII", hints, handle, len(name)) + name + b"\0"


def open_body(name: bytes, mode: int = 0, flags: int = 0) -> bytes:
    """Makes a request to open a file: mode 0 reads, flags 0 opens a file that exists."""
    return prefix(Op.OPEN) + struct.pack("<IIBI", mode, flags, 6, len(name)) + name + b"\0"


def open_v3_body(
    name: bytes, mode: int = 0, flags: int = 0, lock: int = 0, mask: int = _READ_MASK
) -> bytes:
    """Makes the same request as open_body() in version 3; the mask tells which fields are given."""
    wanted = struct.pack("<QII4B", mask, mode, flags, 0, 6, 0, 0)
    return wanted + struct.pack("<QQIII16xI12x", 0, 0, 0, 0, lock, len(name)) + name + b"\0"


def read_body(handle: int, offset: int, size: int) -> bytes:
    """Makes a request to read `size` bytes from `offset`."""
    return struct.pack("<IQIQ", handle, offset, size, 0)


def close_body(handle: int) -> bytes:
    """Makes a request to close a file that Open has opened."""
    return prefix(Op.CLOSE) + struct.pack("<I", handle)


def close_v3_body(handle: int) -> bytes:
    """Makes a request to close a file that OpenV3 has opened."""
    return struct.pack("<IQ", handle, 0)


class Hgfs:
    """A conversation with a guest's HGFS server.

    Each method sends one packet and returns what the guest answered.

    Args:
        exchange: a function that brings a command to the guest; its exceptions are passed on.

    Attributes:
        session: the session to which the next requests belong.

    Raises:
        HgfsStatusError: every method raises it where the guest refused.
        HgfsError: every method raises it where the guest's answer is no valid reply.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.session = 0

    def send(self, packet: bytes) -> Reply:
        """Sends any packet and returns the reply; a refusal raises nothing here."""
        answer = self._exchange(b"f " + packet)
        if not answer.startswith(b"OK "):
            text = answer.decode("utf-8", "backslashreplace")
            raise HgfsError(f"the guest does not serve HGFS: {text or 'an empty answer'}")
        return parse(answer[3:])

    def call(self, op: int, body: bytes) -> Reply:
        """Requests one operation in this session and returns the reply to it."""
        reply = self.send(request(op, body, self.session))
        if (reply.op, reply.request_id) != (op, REQUEST_ID):
            raise HgfsError(f"{name_of(Op, op)} was answered as {name_of(Op, reply.op)}")
        if reply.status != Status.SUCCESS:
            raise HgfsStatusError(op, reply.status)
        return reply

    def create_session(self) -> dict[int, int]:
        """Begins a session. Returns the guest's flags for each operation that it lists."""
        reply = self.call(Op.CREATE_SESSION_V4, create_session_body())
        session, count, _, _, _ = self._fields("<QIIII4x", reply.body)
        listed = reply.body[28:]
        if len(listed) != 8 * count:
            raise HgfsError(f"the reply lists {count} capabilities in {len(listed)} bytes")
        if session == NO_SESSION:
            raise HgfsError("the guest has given no number to the session")
        self.session = session
        return dict(struct.iter_unpack("<II", listed))

    def destroy_session(self) -> None:
        """Ends the session; its handles are closed."""
        self._fields("<8x", self.call(Op.DESTROY_SESSION_V4, bytes(8)).body, whole=True)

    def attributes(self, path: str) -> Attributes:
        """Returns the attributes of a file, by its name."""
        return self._attributes(getattr_body(name_on_wire(path)))

    def attributes_of(self, handle: int) -> Attributes:
        """Returns the attributes of an open file."""
        return self._attributes(getattr_body(b"", BY_HANDLE, handle))

    def open(self, path: str) -> int:
        """Opens a file for reading. Returns its handle."""
        body = self.call(Op.OPEN, open_body(name_on_wire(path))).body
        return self._fields("<8xI", body, whole=True)[0]

    def open_v3(self, path: str) -> int:
        """Opens a file for reading, by OpenV3. Returns its handle."""
        body = self.call(Op.OPEN_V3, open_v3_body(name_on_wire(path))).body
        return self._fields("<III4x", body, whole=True)[0]

    def read(self, handle: int, offset: int, size: int = MAX_READ) -> bytes:
        """Reads up to `size` bytes from `offset`; b"" is the end of the file."""
        body = self.call(Op.READ_V3, read_body(handle, offset, size)).body
        (got,) = self._fields("<I8x", body)
        data = body[12:]
        # open-vm-tools sends one byte too many, as its structure ends with an array of one byte.
        if got > size or len(data) not in (got, got + 1):
            raise HgfsError(
                f"the reply claims {got} of the {size} bytes asked for, and has {len(data)}"
            )
        return data[:got]

    def close(self, handle: int) -> None:
        """Closes a file that open() has opened."""
        self._fields("<8x", self.call(Op.CLOSE, close_body(handle)).body, whole=True)

    def close_v3(self, handle: int) -> None:
        """Closes a file that open_v3() has opened."""
        self._fields("<8x", self.call(Op.CLOSE_V3, close_v3_body(handle)).body, whole=True)

    def _attributes(self, body: bytes) -> Attributes:
        reply = self.call(Op.GETATTR_V2, body).body
        (target,) = self._fields("<8x104xI", reply)
        if len(reply) not in (116 + target, 117 + target):
            raise HgfsError(
                f"a reply of {len(reply)} bytes claims a link's target of {target} bytes"
            )
        return Attributes(*ATTRIBUTES.unpack_from(reply, 8)[:3])

    @staticmethod
    def _fields(layout: str, body: bytes, whole: bool = False) -> tuple[int, ...]:
        size = struct.calcsize(layout)
        if len(body) < size or (whole and len(body) != size):
            raise HgfsError(f"a reply has {len(body)} bytes instead of {size}")
        return struct.unpack_from(layout, body)


def fetch(exchange: Exchange, path: str, limit: int = LIMIT) -> bytes:
    """Fetches a file out of the guest, with the packets that VMware's own host sends for it.

    Args:
        exchange: a function that brings a command to the guest, such as
            `commands_to(device, listener)`.
        path: the absolute path of the file in the guest.
        limit: bytes; a larger file is refused.

    Raises:
        HgfsStatusError: the guest refused, for example because it has no such file.
        HgfsError: the guest serves no HGFS, or answers against the protocol.
    """
    guest = Hgfs(exchange)
    guest.create_session()
    try:
        found = guest.attributes(path)
        if found.type != 0 or not found.mask & 1:
            raise HgfsError(f"{path} is no file (type {found.type})")
        if found.size > limit:
            raise HgfsError(f"{path} has {found.size} bytes, and at most {limit} are taken")
        handle = guest.open(path)
        data = b""
        while len(data) < found.size:
            part = guest.read(handle, len(data))
            if not part:
                raise HgfsError(f"{path} ends after {len(data)} of {found.size} bytes")
            data += part
        guest.close(handle)
    finally:
        guest.destroy_session()
    return data


def commands_to(device: Device, listener: Listener, patience: float = PATIENCE) -> Exchange:
    """Makes an Exchange with the guest of an emulated host.

    Args:
        device: the emulated VMware.
        listener: a running listener on that device.
        patience: seconds from the sending of a command after which the exchange raises HgfsError.
    """

    def exchange(command: bytes) -> bytes:
        follower = listener.follow()
        try:
            deadline = time.monotonic() + patience
            device.send_command(command)
            # The guest may take other commands first. Once it has taken this command, the next
            # answer belongs to it.
            taken = follower.wait_for(
                lambda entry: entry.kind == MessageKind.TCLO_COMMAND and entry.request == command,
                deadline,
            )
            answer = taken and follower.wait_for(
                lambda entry: entry.kind == MessageKind.TCLO_REPLY, deadline
            )
        finally:
            listener.leave(follower)
        if answer is None:
            what = (
                "the guest has ended"
                if follower.ended
                else f"the guest gave no answer within {patience:g} s"
            )
            raise HgfsError(what)
        return answer.request

    return exchange
