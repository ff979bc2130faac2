// Passes each call to the server's thread, and leaves it alone in a fork, where the thread does not
// exist.
#include "emulator/vsock/vsock_service.h"

#include <unistd.h>

#include <utility>

#include "emulator/vsock/vsock_server.h"

namespace vmtpy::emulator {

VsockService::VsockService(std::shared_ptr<Device> device, std::string base, bool tclo)
    : server_(std::make_unique<VsockServer>(std::move(device), std::move(base), tclo)),
      process_(getpid()) {}

VsockService::~VsockService() {
  // In a fork there is no thread to join, and the sockets are also the parent's.
  if (getpid() != process_) (void)server_.release();
}

void VsockService::call(const std::function<void()>& body) {
  server_->call(body);
}
void VsockService::stop_listening() {
  call([this] { server_->stop_listening(); });
}
void VsockService::listen_again() {
  call([this] { server_->listen(); });
}
void VsockService::drop_connections() {
  call([this] { server_->drop_connections(); });
}
void VsockService::misbehave(VsockFault fault, std::uint32_t port, int after, int times) {
  call([&] { server_->faults.add(fault, port, after, times); });
}
void VsockService::send_raw(std::uint32_t port, const std::string& bytes) {
  call([&] { server_->send_raw(port, bytes); });
}

int VsockService::connections() {
  int number = 0;
  call([&] { number = static_cast<int>(server_->connections()); });
  return number;
}

std::map<std::string, std::uint64_t> VsockService::counts() {
  VsockCounts counts;
  call([&] { counts = server_->counts; });
  return {{"connections", counts.connections},
          {"packets", counts.packets},
          {"pings", counts.pings},
          {"rejected", counts.rejected}};
}

}  // namespace vmtpy::emulator
