// Measures the clock rate, and reads memory and time from the kernel. It relies on wire/trial.h to
// try the hypercalls in a child.
#include "emulator/machine.h"

#include <sys/sysinfo.h>
#include <time.h>

#include <chrono>
#include <thread>

#ifdef __x86_64__
#include <x86intrin.h>
#endif

#include "wire/trial.h"

namespace vmtpy::emulator {

namespace {

std::uint64_t read_tsc() {
#ifdef __x86_64__
  return __rdtsc();
#else  // arm64's counter of the same kind
  std::uint64_t ticks;
  asm volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
#endif
}

std::uint64_t measure_tsc() {
  using Steady = std::chrono::steady_clock;
  Steady::time_point start = Steady::now();
  std::uint64_t ticks = read_tsc();
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ticks = read_tsc() - ticks;
  std::chrono::duration<double> took = Steady::now() - start;
  return static_cast<std::uint64_t>(static_cast<double>(ticks) / took.count());
}

}  // namespace

std::uint64_t tsc_hz() {
  static const std::uint64_t measured = measure_tsc();
  return measured;
}

namespace {

bool faults(wire::BackdoorWay way) {
  wire::Trial trial = wire::try_way(way, wire::Cpu{}, false).trial;
  return trial.tried && !trial.done;
}

}  // namespace

std::uint32_t faulting_hypercalls() {
  static const std::uint32_t found =
      (faults(wire::BackdoorWay::VMMCALL) ? wire::CPUID_VMMCALL : 0) |
      (faults(wire::BackdoorWay::VMCALL) ? wire::CPUID_VMCALL : 0);
  return found;
}

std::uint32_t memory_mib() {
  struct sysinfo info {};
  sysinfo(&info);
  return static_cast<std::uint32_t>(info.totalram * std::uint64_t{info.mem_unit} >> 20);
}

WallTime wall_time() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return {static_cast<std::uint64_t>(now.tv_sec), static_cast<std::uint32_t>(now.tv_nsec / 1000)};
}

}  // namespace vmtpy::emulator
