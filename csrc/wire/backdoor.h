// The trap to the host: registers in, registers out. The real ones are PortBackdoor and those of
// wire/hypercall.h, made by wire/backdoor_way.h; emulator/emulated_backdoor.h answers in the
// process. Everything above speaks to this interface only.
#pragma once

#include <cstdint>

namespace vmtpy::wire {

// The registers of one trap. Only the low 32 bits of results mean anything (mask them), except that
// rsi of high_out and rdi of high_in are full 64-bit addresses of this process.
struct Registers {
  std::uint64_t rax = 0;
  std::uint64_t rbx = 0;
  std::uint64_t rcx = 0;
  std::uint64_t rdx = 0;
  std::uint64_t rsi = 0;
  std::uint64_t rdi = 0;
  std::uint64_t rbp = 0;
};

struct Meter;

class Backdoor {
 public:
  virtual ~Backdoor() = default;
  virtual void low(Registers& registers) = 0;  // in eax, dx
  virtual void high_out(
      Registers& registers) = 0;                   // cld; rep outsb: rcx bytes from rsi to the host
  virtual void high_in(Registers& registers) = 0;  // cld; rep insb: rcx bytes from the host to rdi
  // Raises this thread's I/O privilege, or lowers it again; false where that is not to be had. Only
  // old hosts ask for it, and only for some requests.
  virtual bool set_privilege(bool /*raised*/) { return false; }
  // May payloads go by high_out and high_in? Not where the host cannot read our memory.
  virtual bool high_bandwidth() const { return true; }
  virtual Meter* meter() { return nullptr; }     // wire/meter.h
  virtual bool present() const { return true; }  // false: it only stands in for one
};

// Where there is no backdoor: every command is unknown.
class AbsentBackdoor final : public Backdoor {
 public:
  void low(Registers& registers) override;
  void high_out(Registers& registers) override { low(registers); }
  void high_in(Registers& registers) override { low(registers); }
  bool present() const override { return false; }
};

// The real ports. Off VMware each call is a SIGSEGV: probe first (wire/probe.h).
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

// The ports of a host that answers only those with I/O privilege, as QEMU's vmport does. The thread
// has it for the time of each trap. Where it is refused, the host is taken to know no command.
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
