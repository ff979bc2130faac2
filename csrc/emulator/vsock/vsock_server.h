// The thread behind emulator/vsock/vsock_service.h: one poll over its sockets. It relies on
// VsockConversation for what is said on each.
#pragma once

#include <poll.h>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/thread_safety.h"
#include "base/unique_fd.h"
#include "emulator/device.h"
#include "emulator/vsock/vsock_conversation.h"

namespace vmtpy::emulator {

// Owned by the VsockService. All members but call() and ring() belong to its thread, which ends
// with the object.
class VsockServer {
 public:
  VsockServer(std::shared_ptr<Device> device, std::string base, bool tclo);
  ~VsockServer();
  // Has the thread run `body`, and waits until it has.
  void call(const std::function<void()>& body);

  void listen();
  void stop_listening();
  void drop_connections() { connections_.clear(); }
  void send_raw(std::uint32_t port, const std::string& bytes);

  VsockFaults faults;
  VsockCounts counts;
  std::size_t connections() const { return connections_.size(); }

 private:
  struct Listener {
    std::uint32_t port;
    UniqueFd socket;
  };
  struct Connection {
    Connection(VsockServer& server, UniqueFd accepted, std::uint32_t port,
               std::uint32_t guest_port);
    ~Connection();
    UniqueFd socket;
    VsockPairs& pairs;
    const std::uint32_t guest_port;
    VsockConversation conversation;
    bool broken = false;
  };

  UniqueFd listen_on(std::uint32_t port) const;
  void run();
  std::vector<pollfd> watched() const;
  int timeout() const;
  void ring() const;
  void run_tasks();
  void accept_from(const Listener& listener);
  void serve(Connection& connection, short events);
  static void read_from(Connection& connection);
  static void write_to(Connection& connection);

  std::shared_ptr<Device> device_;
  const std::string base_;
  const bool tclo_;
  std::vector<Listener> listeners_;
  std::list<Connection> connections_;
  UniqueFd bell_;

  Mutex mutex_;  // guards the members below
  std::condition_variable done_;
  std::vector<std::function<void()>> tasks_ GUARDED_BY(mutex_);
  std::uint64_t asked_ GUARDED_BY(mutex_) = 0;
  std::uint64_t finished_ GUARDED_BY(mutex_) = 0;
  bool ending_ GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace vmtpy::emulator
