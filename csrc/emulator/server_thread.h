// Threads of the emulated host that serve sockets. They block all signals, which are for the
// program that the host lives in; their owner joins them.
#pragma once

#include <functional>
#include <thread>

namespace vmtpy::emulator {

std::thread start_server_thread(std::function<void()> body);

}  // namespace vmtpy::emulator
