// The trap to the host, as an interface: registers go in, registers come out. All layers above
// speak to this interface only. The real backdoors are PortBackdoor and those of wire/hypercall.h,
// made by wire/backdoor_way.h; emulator/emulated_backdoor.h answers inside the process.
#pragma once

#include <cstdint>

namespace vmtpy::wire {

// The registers of one trap. Only the low 32 bits of results have a meaning, so they are masked.
// The exceptions are rsi of high_out and rdi of high_in, which are 64-bit addresses of this
// process.
struct Registers {
  std::uint64_t rax = 0;
  std::uint64_t rbx = 0;
  std::uint64_t rcx = 0;
  std::uint64_t rdx = 0;
  std::uint64_t rsi = 0;
  std::uint64_t rdi = 0;
  std::uint64_t rbp = 0;
};

class Recorder;
struct Meter;

// Owned by whoever makes the agent, the Rpci object or the trial, and outlives the channels that
// use it. It may be used from any thread: one trap is one instruction and keeps no state.
class Backdoor {
 public:
  virtual ~Backdoor() = default;
  virtual void low(Registers& registers) = 0;  // in eax, dx
  // cld; rep outsb. The host takes rcx bytes from rsi.
  virtual void high_out(Registers& registers) = 0;
  // cld; rep insb. The host puts rcx bytes to rdi.
  virtual void high_in(Registers& registers) = 0;
  // Raises this thread's I/O privilege, or lowers it again. Returns false where the process cannot
  // have it. Only old hosts ask for it, and only for some requests.
  virtual bool set_privilege(bool /*raised*/) { return false; }
  // Says whether payloads may go by high_out and high_in. They may not where the host cannot read
  // the guest's memory.
  virtual bool high_bandwidth() const { return true; }
  virtual Meter* meter() { return nullptr; }        // wire/meter.h
  virtual Recorder* recorder() { return nullptr; }  // wire/recorder.h
  // Returns false where this object stands in for a missing backdoor.
  virtual bool present() const { return true; }
};

// Stands in where there is no backdoor: every command is unknown to it.
class AbsentBackdoor final : public Backdoor {
 public:
  void low(Registers& registers) override;
  void high_out(Registers& registers) override { low(registers); }
  void high_in(Registers& registers) override { low(registers); }
  bool present() const override { return false; }
};

// The real ports. Outside of VMware each call is a SIGSEGV, so wire/probe.h comes first.
class PortBackdoor final : public Backdoor {
 public:
  explicit PortBackdoor(bool high_bandwidth = true) : high_bandwidth_(high_bandwidth) {}
  void low(Registers& registers) override;
  void high_out(Registers& registers) override;
  void high_in(Registers& registers) override;
  bool set_privilege(bool raised) override;
  bool high_bandwidth() const override { return high_bandwidth_; }

 private:
  const bool high_bandwidth_;
};

// The ports of a host that answers only threads with I/O privilege, as QEMU's vmport does. The
// thread has the privilege for the time of each trap. Where the privilege is refused, every command
// is unknown.
class PrivilegedPortBackdoor final : public Backdoor {
 public:
  explicit PrivilegedPortBackdoor(bool high_bandwidth = true) : ports_(high_bandwidth) {}
  void low(Registers& registers) override;
  void high_out(Registers& registers) override;
  void high_in(Registers& registers) override;
  bool high_bandwidth() const override { return ports_.high_bandwidth(); }

 private:
  PortBackdoor ports_;
};

}  // namespace vmtpy::wire
