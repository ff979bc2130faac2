// HGFS packets by layout. The layouts and errors are those of open-vm-tools' server, as far as one
// file needs them.
#include "wire/hgfs.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace vmtpy::wire {

using hgfs::Status;

namespace {

constexpr std::string_view OK = "OK ";
constexpr std::string_view NO_HEADER = "ERROR Invalid HGFS packet";
constexpr std::string_view NO_PACKET = "ERROR 1 argument required";
constexpr std::string_view SHARE("root\0", 5);  // the share that is the guest's whole tree of files
constexpr std::array SERVED = {
    hgfs::OPEN,    hgfs::CLOSE,    hgfs::GETATTR_V2,        hgfs::OPEN_V3,
    hgfs::READ_V3, hgfs::CLOSE_V3, hgfs::CREATE_SESSION_V4, hgfs::DESTROY_SESSION_V4};

void put(std::string& to, std::uint64_t number, int bytes) {
  for (int i = 0; i < bytes; ++i) to += static_cast<char>(number >> 8 * i);
}
void put32(std::string& to, std::uint32_t number) {
  put(to, number, 4);
}
void put64(std::string& to, std::uint64_t number) {
  put(to, number, 8);
}

}  // namespace

// Reads what follows a header from front to back. After the end it returns 0, and whole() is false.
// It lives in one call of answer().
class HgfsServer::Body {
 public:
  explicit Body(std::string_view bytes) : left_(bytes) {}

  std::uint64_t number(std::size_t bytes) {
    const std::string_view found = take(bytes);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      value |= std::uint64_t{static_cast<unsigned char>(found[i])} << 8 * i;
    }
    return value;
  }
  std::uint8_t byte() { return static_cast<std::uint8_t>(number(1)); }
  std::uint32_t word() { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t wide() { return number(8); }
  void skip(std::size_t bytes) { take(bytes); }
  // A name is followed by one byte that does not belong to it.
  std::string_view name(std::size_t size) {
    const std::string_view found = take(size);
    skip(1);
    return found;
  }
  bool whole() const { return whole_; }

 private:
  std::string_view take(std::size_t bytes) {
    if (bytes > left_.size()) {
      whole_ = false;
      left_ = {};
      return {};
    }
    const std::string_view found = left_.substr(0, bytes);
    left_.remove_prefix(bytes);
    return found;
  }

  std::string_view left_;
  bool whole_ = true;
};

struct HgfsServer::Request {
  std::uint32_t id = 0;
  std::uint32_t op = 0;
  std::uint64_t session = 0;
  std::string_view body;
};

void HgfsServer::check(std::string_view path, std::string_view content) {
  if (path.size() < 2 || path.front() != '/' || path.find('\0') != std::string_view::npos) {
    throw std::invalid_argument("the path of a manifest must be absolute: " + std::string(path));
  }
  if (content.size() > MAX_CONTENT) {
    throw std::invalid_argument("a manifest may have at most " + std::to_string(MAX_CONTENT) +
                                " bytes, but this one has " + std::to_string(content.size()));
  }
}

void HgfsServer::serve(std::string_view path, std::string content) {
  check(path, content);
  std::string name(SHARE);
  name += path.substr(1);
  std::replace(name.begin(), name.end(), '/', '\0');
  withdraw();
  name_ = std::move(name);
  content_ = std::move(content);
}

void HgfsServer::withdraw() {
  name_.clear();
  content_.clear();
  handles_ = {};
}

std::string HgfsServer::answer(std::string_view packet) {
  if (packet.empty()) return std::string(NO_PACKET);
  Body header(packet);
  const std::uint8_t version = header.byte();
  header.skip(3);
  const std::uint32_t new_header = header.word();
  const std::uint32_t size = header.word();
  const std::uint32_t header_size = header.word();
  Request request;
  request.id = header.word();
  request.op = header.word();
  header.skip(12);  // status, flags, information
  request.session = header.wide();
  header.skip(8);
  if (!header.whole() || version < hgfs::HEADER_VERSION || new_header != hgfs::NEW_HEADER ||
      header_size < hgfs::HEADER || size < header_size || size > packet.size()) {
    return std::string(NO_HEADER);
  }
  request.body = packet.substr(header_size, size - header_size);

  std::string body;
  const Status status = dispatch(request, body);
  if (status != Status::SUCCESS) body.clear();
  const bool none = request.op == hgfs::CREATE_SESSION_V4 || status == Status::STALE_SESSION;
  std::string reply(OK);
  reply.reserve(OK.size() + hgfs::HEADER + body.size());
  put32(reply, hgfs::HEADER_VERSION);
  put32(reply, hgfs::NEW_HEADER);
  put32(reply, static_cast<std::uint32_t>(hgfs::HEADER + body.size()));
  put32(reply, static_cast<std::uint32_t>(hgfs::HEADER));
  put32(reply, request.id);
  put32(reply, request.op);
  put32(reply, static_cast<std::uint32_t>(status));
  put32(reply, hgfs::REPLY);
  put32(reply, static_cast<std::uint32_t>(status));  // information
  put64(reply, none ? hgfs::NO_SESSION : request.session);
  put64(reply, 0);
  return reply += body;
}

Status HgfsServer::dispatch(const Request& request, std::string& reply) {
  if (request.op > hgfs::LAST_OP) return Status::PROTOCOL_ERROR;
  const Body body(request.body);
  if (request.op == hgfs::CREATE_SESSION_V4) return create_session(body, reply);
  if (!knows(request.session)) return Status::STALE_SESSION;
  switch (request.op) {
    case hgfs::DESTROY_SESSION_V4:
      return destroy_session(request, reply);
    case hgfs::GETATTR_V2:
      return attributes(request, body, reply);
    case hgfs::OPEN:
      return open(request, body, reply);
    case hgfs::OPEN_V3:
      return open_v3(request, body, reply);
    case hgfs::READ_V3:
      return read(request, body, reply);
    case hgfs::CLOSE:
    case hgfs::CLOSE_V3:
      return close(request, body, reply);
    default:
      return Status::NOT_SUPPORTED;
  }
}

Status HgfsServer::create_session(Body body, std::string& reply) {
  body.skip(12);  // capabilities, the largest packet, flags
  if (!body.whole()) return Status::PROTOCOL_ERROR;
  do {
    ++session_;
  } while (session_ == 0 || session_ == hgfs::NO_SESSION);
  std::uint64_t& place =
      sessions_[std::exchange(next_session_, (next_session_ + 1) % MAX_SESSIONS)];
  end_session(place);
  place = session_;
  put64(reply, session_);
  put32(reply, static_cast<std::uint32_t>(SERVED.size()));
  put32(reply, hgfs::MAX_PACKET);
  put32(reply, 0);  // the position of an identity
  put32(reply, hgfs::MAX_PACKET_VALID);
  put32(reply, 0);
  for (const std::uint32_t op : SERVED) {
    put32(reply, op);
    put32(reply, 1);
  }
  return Status::SUCCESS;
}

Status HgfsServer::destroy_session(const Request& request, std::string& reply) {
  end_session(request.session);
  put64(reply, 0);
  return Status::SUCCESS;
}

Status HgfsServer::attributes(const Request& request, Body body, std::string& reply) {
  body.skip(8);  // id and operation, as before version 3
  const std::uint64_t hints = body.wide();
  const std::uint32_t number = body.word();
  const std::string_view name = body.name(body.word());
  if (!body.whole()) return Status::PROTOCOL_ERROR;
  if ((hints & hgfs::HINT_BY_HANDLE) != 0) {
    if (handle(request.session, number) == nullptr) return Status::INVALID_HANDLE;
  } else if (const Status found = find(name); found != Status::SUCCESS) {
    return found;
  }
  put64(reply, 0);
  put64(reply, hgfs::ATTRIBUTES);
  put32(reply, hgfs::REGULAR_FILE);
  put64(reply, content_.size());
  reply.append(32, '\0');  // the four times of a file
  const std::uint8_t readable = hgfs::PERMISSION_READ;
  put32(reply, std::uint32_t{readable} << 8);  // special, owner, group, other
  reply.append(8 + 8 + 4 + 4 + 8 + 4, '\0');   // flags, allocation, ids of owner, file, volume
  put32(reply, readable);                      // effective permissions
  put64(reply, 0);
  put32(reply, 0);  // length of a link's target
  reply += '\0';
  return Status::SUCCESS;
}

Status HgfsServer::open(const Request& request, Body body, std::string& reply) {
  body.skip(8);
  const std::uint32_t mode = body.word();
  const std::uint32_t flags = body.word();
  body.skip(1);  // permissions
  const std::string_view name = body.name(body.word());
  if (!body.whole()) return Status::PROTOCOL_ERROR;
  const Status status = may_open(mode, flags, name);
  if (status != Status::SUCCESS) return status;
  put64(reply, 0);
  put32(reply, new_handle(request.session));
  return status;
}

Status HgfsServer::open_v3(const Request& request, Body body, std::string& reply) {
  body.skip(8);  // the mask of the fields that count
  const std::uint32_t mode = body.word();
  const std::uint32_t flags = body.word();
  body.skip(4 + 8 + 8 + 4 + 4 + 4 + 16);  // permissions, attributes, sizes, access, lock
  const std::uint32_t length = body.word();
  body.skip(12);  // flags, case, id
  const std::string_view name = body.name(length);
  if (!body.whole()) return Status::PROTOCOL_ERROR;
  const Status status = may_open(mode, flags, name);
  if (status != Status::SUCCESS) return status;
  put32(reply, new_handle(request.session));
  put32(reply, 0);  // no lock
  put64(reply, 0);
  return status;
}

Status HgfsServer::read(const Request& request, Body body, std::string& reply) {
  const std::uint32_t number = body.word();
  const std::uint64_t offset = body.wide();
  const std::uint32_t wanted = std::min(body.word(), hgfs::MAX_READ);
  body.skip(8);
  if (!body.whole()) return Status::PROTOCOL_ERROR;
  if (handle(request.session, number) == nullptr) return Status::INVALID_HANDLE;
  const std::size_t start = std::min<std::uint64_t>(offset, content_.size());
  const std::string_view part = std::string_view(content_).substr(start, wanted);
  put32(reply, static_cast<std::uint32_t>(part.size()));
  put64(reply, 0);
  reply += part;
  // open-vm-tools counts this byte, too, because its structure ends with an array of one.
  reply += '\0';
  return Status::SUCCESS;
}

Status HgfsServer::close(const Request& request, Body body, std::string& reply) {
  const bool old = request.op == hgfs::CLOSE;
  if (old) body.skip(8);
  const std::uint32_t number = body.word();
  if (!old) body.skip(8);
  if (!body.whole()) return Status::PROTOCOL_ERROR;
  Handle* closed = handle(request.session, number);
  if (closed == nullptr) return Status::INVALID_HANDLE;
  *closed = {};
  put64(reply, 0);
  return Status::SUCCESS;
}

// A part "." or "..", or an empty part at the end, makes a name invalid wherever it leads.
Status HgfsServer::find(std::string_view name) const {
  for (std::string_view left = name;;) {
    const std::size_t end = left.find('\0');
    const std::string_view part = left.substr(0, end);
    if (part == "." || part == ".." || (part.empty() && end == std::string_view::npos)) {
      return Status::INVALID_NAME;
    }
    if (end == std::string_view::npos) break;
    left.remove_prefix(end + 1);
  }
  if (name_.empty() || !name.starts_with(name_)) return Status::NO_SUCH_FILE;
  if (name.size() == name_.size()) return Status::SUCCESS;
  return name[name_.size()] == '\0' ? Status::NOT_DIRECTORY : Status::NO_SUCH_FILE;
}

Status HgfsServer::may_open(std::uint32_t mode, std::uint32_t flags, std::string_view name) const {
  if (mode > hgfs::LAST_MODE || flags > hgfs::LAST_FLAGS) return Status::PROTOCOL_ERROR;
  if (mode != hgfs::MODE_READ || flags != hgfs::FLAGS_OPEN) return Status::ACCESS_DENIED;
  return find(name);
}

std::uint32_t HgfsServer::new_handle(std::uint64_t session) {
  if (++number_ > INT32_MAX) number_ = 1;
  handles_[std::exchange(next_handle_, (next_handle_ + 1) % MAX_HANDLES)] = {session, number_};
  return number_;
}

HgfsServer::Handle* HgfsServer::handle(std::uint64_t session, std::uint32_t number) {
  for (Handle& candidate : handles_) {
    if (candidate.number != 0 && candidate.number == number && candidate.session == session) {
      return &candidate;
    }
  }
  return nullptr;
}

bool HgfsServer::knows(std::uint64_t session) const {
  return session != 0 && std::find(sessions_.begin(), sessions_.end(), session) != sessions_.end();
}

void HgfsServer::end_session(std::uint64_t session) {
  std::replace(sessions_.begin(), sessions_.end(), session, std::uint64_t{0});
  for (Handle& handle : handles_) {
    if (handle.session == session) handle = {};
  }
}

}  // namespace vmtpy::wire
