// Threads of the emulated host that serve sockets. They block signals, which are for the program
// that contains the host, and their owner joins them.
#pragma once

#include <functional>
#include <thread>

namespace vmtpy::emulator {

std::thread start_server_thread(std::function<void()> body);

}  // namespace vmtpy::emulator
