// Binds the ptrace host, its options, and the decoders that tests compare with objdump. It serves
// vmtpy.host; only x86-64 has it.
#include "emulator/ptrace/trap.h"

#include <fcntl.h>

#include <algorithm>
#include <tuple>

#include "bind/bind.h"
#include "emulator/machine.h"
#include "emulator/ptrace/code_sites.h"
#include "emulator/ptrace/decode.h"
#include "emulator/ptrace/instruction.h"

namespace vmtpy::bind {

namespace {

using emulator::BackdoorKind;
using emulator::CpuidMethod;
using emulator::Device;
using emulator::TrapHost;

std::unique_ptr<TrapHost> make_trap_host(std::shared_ptr<Device> device,
                                         std::vector<std::string> command,
                                         std::optional<CpuidMethod> cpuid, BackdoorKind backdoor,
                                         std::optional<std::string> vsock) {
  return std::make_unique<TrapHost>(
      std::move(device), std::move(command),
      emulator::TrapHostOptions{cpuid ? *cpuid : emulator::default_cpuid_method(), backdoor,
                                std::move(vsock)});
}

const char* decode(std::uint64_t rax, std::uint64_t rdx, const std::string& bytes) {
  user_regs_struct registers{};
  registers.rax = rax;
  registers.rdx = rdx;
  emulator::Code code{};
  std::copy_n(bytes.begin(), std::min(bytes.size(), code.size()), code.begin());
  static const char* const NAMES[] = {"other",  "in",      "rep outsb", "rep insb",
                                      "vmcall", "vmmcall", "cpuid"};
  return NAMES[static_cast<int>(emulator::decode(registers, code))];
}

std::optional<std::tuple<std::size_t, std::string, std::int64_t>> read_instruction(
    const std::string& code) {
  auto found =
      emulator::read_instruction({reinterpret_cast<const std::uint8_t*>(code.data()), code.size()});
  if (!found) return std::nullopt;
  static const char* const FLOWS[] = {"next", "branch", "jump", "indirect", "end"};
  return std::tuple(found->size, FLOWS[static_cast<int>(found->flow)], found->target);
}

std::vector<std::uint64_t> cpuid_sites(const std::string& path) {
  emulator::ProgramFile file{UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC))};
  std::vector<std::uint64_t> found;
  for (const auto& [offset, site] : emulator::find_code_sites(file)) {
    if (site.site == emulator::Site::CPUID) found.push_back(offset);
  }
  return found;
}

}  // namespace

void bind_trap(py::module_& module) {
  py::native_enum<CpuidMethod>(module, "CpuidMethod", "enum.Enum")
      .value("NONE", CpuidMethod::NONE)
      .value("FAULT", CpuidMethod::FAULT)
      .value("PATCH", CpuidMethod::PATCH)
      .finalize();
  module.def("decode", &decode, py::arg("rax"), py::arg("rdx"), py::arg("code"),
             "The kind of instruction that a program faulted on.");
  module.def("read_instruction", &read_instruction, py::arg("code"),
             "Size, flow and target of the first instruction; None if it is none.");
  module.def("cpuid_sites", &cpuid_sites, py::arg("path"),
             "Where in this program's file CPUID would be overwritten.");
  module.def("faulting_hypercalls", &emulator::faulting_hypercalls);

  py::native_enum<BackdoorKind>(module, "BackdoorKind", "enum.Enum")
      .value("NONE", BackdoorKind::NONE)
      .value("FULL", BackdoorKind::FULL)
      .value("HYPERCALL", BackdoorKind::HYPERCALL)
      .value("VMPORT", BackdoorKind::VMPORT)
      .finalize();

  py::class_<TrapHost>(module, "TrapHost")
      .def(py::init(&make_trap_host), py::keep_alive<1, 2>(), py::arg("device"), py::arg("command"),
           py::kw_only(), py::arg("cpuid") = py::none(), py::arg("backdoor") = BackdoorKind::FULL,
           py::arg("vsock") = py::none())
      .def("start", &TrapHost::start, ReleaseGil())
      .def(
          "wait",
          [](TrapHost& host, double deadline) {
            const Time until(from_seconds("deadline", deadline));
            py::gil_scoped_release release;
            return host.wait(until);
          },
          py::arg("deadline"))
      .def(
          "wait_program",
          [](TrapHost& host, double deadline) {
            const Time until(from_seconds("deadline", deadline));
            py::gil_scoped_release release;
            return host.wait_program(until);
          },
          py::arg("deadline"))
      .def("wait_status", &TrapHost::wait_status)
      .def("process", &TrapHost::process)
      .def("signal", &TrapHost::signal, py::arg("number"))
      .def(
          "stun",
          [](TrapHost& host, double deadline) {
            const Time until(from_seconds("deadline", deadline));
            py::gil_scoped_release release;
            return host.stun(until);
          },
          py::arg("deadline"))
      .def("resume", &TrapHost::resume)
      .def("cpuid_answered", &TrapHost::cpuid_answered);
}

}  // namespace vmtpy::bind
