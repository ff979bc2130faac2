// The table of contents of vmtpy._core, which is what an agent needs. Each line is a file in the
// folders beside it.
#include "bind/bind.h"

PYBIND11_MODULE(_core, module) {
  using namespace vmtpy::bind;
  bind_errors(module);
  bind_clock(module);
  bind_backdoor(module);
  bind_dialer(module);
  bind_transports(module);
  bind_rpci(module);
  bind_plan(module);
  bind_record(module);
  bind_session(module);
  bind_marker(module);
  bind_agent(module);
  bind_thread_role(module);
}
