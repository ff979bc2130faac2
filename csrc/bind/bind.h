// The only header that includes pybind11. Each noun has a small file in a folder of bind, and the
// two module files are tables of contents. They hold class tables only and no logic. The GIL is
// released around whatever can block, and C++ never calls back into Python.
#pragma once

#include <pybind11/chrono.h>
#include <pybind11/native_enum.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <cstdio>
#include <string>

#include "base/clock.h"

namespace py = pybind11;

namespace vmtpy::bind {

using ReleaseGil = py::call_guard<py::gil_scoped_release>;

// Deletes an object whose end waits for threads, without the GIL. The object may end on a native
// thread that has no GIL.
template <typename T>
struct DeleteUnlocked {
  void operator()(T* object) const {
    if (PyGILState_Check() == 0) {
      delete object;
      return;
    }
    py::gil_scoped_release release;
    delete object;
  }
};

// Payloads are bytes in Python and std::string in C++.
inline py::bytes to_bytes(const std::string& data) {
  return py::bytes(data);
}

// Durations are passed as float seconds, and times as float seconds of CLOCK_MONOTONIC
// (time.monotonic()).
inline double to_seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}
inline double to_seconds(Time time) {
  return to_seconds(time.time_since_epoch());
}
// Checks a duration from Python. NaN, infinity and what no clock can hold are a ValueError that
// names the argument. Sums of such durations and of a time fit into 64 bits of nanoseconds.
inline constexpr double MOST_SECONDS = 1e9;
inline Duration from_seconds(const char* name, double seconds, double least = 0.0,
                             double most = MOST_SECONDS) {
  if (seconds >= least && seconds <= most) {  // false for NaN
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  }
  char text[200];
  std::snprintf(text, sizeof text, "%s is %g s: it must be %.12g to %.12g seconds", name, seconds,
                least, most);
  throw py::value_error(text);
}

void bind_errors(py::module_& module);
void bind_clock(py::module_& module);
void bind_backdoor(py::module_& module);  // Backdoor, PortBackdoor, probe
void bind_dialer(py::module_& module);    // Dialer, VsockDialer
void bind_transports(py::module_& module);
void bind_rpci(py::module_& module);  // channels, Rpci, Tclo
void bind_plan(py::module_& module);
void bind_session(py::module_& module);  // System, FreezeOptions, FreezeSession
void bind_record(py::module_& module);   // Outcome, FilesystemRun, RunRecord
void bind_marker(py::module_& module);   // thaw_from_markers
void bind_agent(py::module_& module);
void bind_thread_role(py::module_& module);  // Role, confine_process, take_role

void bind_device(py::module_& module);    // Device, EmulatedBackdoor
void bind_recorder(py::module_& module);  // RecordingBackdoor
void bind_trap(py::module_& module);
void bind_vsock(py::module_& module);    // VsockService
void bind_packets(py::module_& module);  // UnixDialer, Packet, PacketDecoder
void bind_faults(py::module_& module);   // FaultySystem, SimulatedDisk, ManualClock

}  // namespace vmtpy::bind
