// Sends any packets to the guest's HGFS server while files are served and withdrawn. The server
// gives only the file that is served, only by a handle that was opened on it, and still serves
// afterwards.
#include "wire/hgfs.h"

#include <set>
#include <stdexcept>
#include <string>
#include <utility>

#include "fuzz.h"

using namespace vmtpy;

namespace {

constexpr std::size_t STATUS = 24, FLAGS = 28, SESSION = 36;  // offsets in a header
constexpr std::size_t PAGE = 4096;

std::uint64_t number(std::string_view bytes, std::size_t at, std::size_t size) {
  check(at <= bytes.size() && size <= bytes.size() - at, "a packet that succeeds is whole");
  std::uint64_t value = 0;
  while (size-- > 0) value = value << 8 | static_cast<unsigned char>(bytes[at + size]);
  return value;
}

std::string packet(std::uint32_t op, std::uint64_t session, std::string_view body) {
  std::string made;
  const auto put = [&made](std::uint64_t value, int size) {
    for (int i = 0; i < size; ++i) made += static_cast<char>(value >> 8 * i);
  };
  const std::uint64_t whole = wire::hgfs::HEADER + body.size();
  for (const std::uint64_t field : {std::uint64_t{1}, std::uint64_t{wire::hgfs::NEW_HEADER}, whole,
                                    std::uint64_t{wire::hgfs::HEADER}, std::uint64_t{7}}) {
    put(field, 4);
  }
  put(op, 4);
  put(0, 8);  // status and flags
  put(0, 4);  // information
  put(session, 8);
  put(0, 8);
  return made += body;
}

// The server and what it may give. It lives in one run of the target.
class Guest {
 public:
  void serve(const std::string& path, const std::string& content) {
    const bool good = path.size() > 1 && path[0] == '/' && path.find('\0') == std::string::npos &&
                      content.size() <= wire::HgfsServer::MAX_CONTENT;
    try {
      server_.serve(path, content);
      check(good, "a server takes only a file that can be served");
    } catch (const std::invalid_argument&) {
      check(!good, "a server takes every file that can be served");
      return;
    }
    content_ = content;
    name_ = std::string("root\0", 5) + path.substr(1);
    for (char& letter : name_) letter = letter == '/' ? '\0' : letter;
    open_.clear();
  }

  void withdraw() {
    server_.withdraw();
    name_.clear();
    open_.clear();
  }

  // Returns the body of a reply that tells success, else "".
  std::string ask(std::string_view asked) {
    const std::string answer = server_.answer(asked);
    check(answer.size() <= PAGE, "an answer fits into a page");
    if (answer.starts_with("ERROR ")) return "";
    check(answer.starts_with("OK "), "an answer is OK or ERROR");
    const std::string reply = answer.substr(3);
    check(number(reply, 8, 4) == reply.size(), "a reply tells its size");
    check(number(reply, 12, 4) == wire::hgfs::HEADER, "a reply tells its header's size");
    check(number(reply, FLAGS, 4) == wire::hgfs::REPLY, "a reply says that it is one");
    check(number(reply, 16, 8) == number(asked, 16, 8), "a reply names its request");
    const std::string body = reply.substr(wire::hgfs::HEADER);
    if (number(reply, STATUS, 4) != 0) {
      check(body.empty(), "a refusal has no body");
      return "";
    }
    promise(asked, body);
    return body;
  }

 private:
  using Handle = std::pair<std::uint64_t, std::uint64_t>;  // the session and the number

  void promise(std::string_view asked, std::string_view told) {
    const std::uint64_t op = number(asked, 20, 4), session = number(asked, SESSION, 8);
    const std::string_view body = asked.substr(number(asked, 12, 4));
    switch (op) {
      case wire::hgfs::OPEN:
      case wire::hgfs::OPEN_V3:
        check(!name_.empty() && body.substr(op == wire::hgfs::OPEN ? 21 : 80).starts_with(name_) &&
                  number(body, op == wire::hgfs::OPEN ? 17 : 64, 4) == name_.size(),
              "only the file is opened");
        check(number(body, 8, 8) == 0, "the file is opened for reading");
        open_.emplace(session, op == wire::hgfs::OPEN ? number(told, 8, 4) : number(told, 0, 4));
        return;
      case wire::hgfs::READ_V3:
        check(open_.contains({session, number(body, 0, 4)}), "only an open file is read");
        read(number(body, 4, 8), number(body, 12, 4), told);
        return;
      case wire::hgfs::CLOSE:
      case wire::hgfs::CLOSE_V3:
        check(open_.erase({session, number(body, op == wire::hgfs::CLOSE ? 8 : 0, 4)}) == 1,
              "only an open file is closed");
        return;
      case wire::hgfs::GETATTR_V2:
        check(!name_.empty() && number(told, 20, 8) == content_.size(),
              "attributes are the file's");
        return;
      case wire::hgfs::DESTROY_SESSION_V4:
        std::erase_if(open_, [session](const Handle& handle) { return handle.first == session; });
        return;
      default:
        check(op == wire::hgfs::CREATE_SESSION_V4, "no other operation succeeds");
    }
  }

  void read(std::uint64_t offset, std::uint64_t wanted, std::string_view told) const {
    const std::string expected =
        offset < content_.size() ? content_.substr(offset, wanted) : std::string();
    check(number(told, 0, 4) == expected.size(), "a read returns as much as there is");
    check(told.substr(12) == expected + '\0', "a read returns the file's own bytes");
  }

  wire::HgfsServer server_{0};
  std::string name_;  // in the form of the wire; "" when no file is served
  std::string content_;
  std::set<Handle> open_;  // the server may have forgotten the oldest handles
};

void check_it_still_serves(Guest& guest) {
  guest.serve("/a", "still here");
  const std::string begun =
      guest.ask(packet(wire::hgfs::CREATE_SESSION_V4, 0, std::string(24, '\0')));
  check(!begun.empty(), "a session can begin");
  const std::uint64_t session = number(begun, 0, 8);
  const std::string name("\6\0\0\0root\0a\0", 11);  // the name's length comes before the name
  const std::string opened =
      guest.ask(packet(wire::hgfs::OPEN, session, std::string(8 + 4 + 4 + 1, '\0') + name));
  check(!opened.empty(), "the file can be opened");
  const std::string all = std::string(8, '\0') + "\xff" + std::string(11, '\0');
  check(guest.ask(packet(wire::hgfs::READ_V3, session, opened.substr(8, 4) + all)).size() ==
            12 + 10 + 1,
        "the file can be read");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 16384) return -1;
  FuzzedDataProvider input(data, size);
  Guest guest;
  while (input.remaining_bytes() > 0) {
    switch (input.ConsumeIntegralInRange(0, 15)) {
      case 0: {
        const std::string path = input.ConsumeRandomLengthString(64);
        std::string content = input.ConsumeRandomLengthString();
        if (input.ConsumeBool())
          content.resize(wire::HgfsServer::MAX_CONTENT + input.ConsumeBool());
        guest.serve(path, content);
        break;
      }
      case 1:
        guest.withdraw();
        break;
      default:
        guest.ask(input.ConsumeRandomLengthString());
    }
  }
  check_it_still_serves(guest);
  return 0;
}
