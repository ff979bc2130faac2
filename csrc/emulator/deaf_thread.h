// Threads of the emulated host that serve sockets: deaf to signals, which are for the program that
// the host lives in, and to be joined by their owner.
#pragma once

#include <functional>
#include <thread>

namespace vmtpy::emulator {

std::thread deaf_thread(std::function<void()> body);

}  // namespace vmtpy::emulator
