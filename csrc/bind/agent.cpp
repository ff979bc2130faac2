// Agent, its options, events and status, SignalEvents.
#include "core/agent.h"

#include <poll.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <vector>

#include "bind/bind.h"
#include "bind/text.h"
#include "core/memory_lock.h"
#include "core/signal_events.h"

namespace vmtpy::bind {

namespace {

// Waits for the next event; Python's own signal handlers run meanwhile.
std::optional<AgentEvent> next_event(Agent& agent, std::optional<double> timeout) {
  const Time deadline =
      timeout ? SteadyClock().now() + from_seconds("timeout", *timeout) : Time::max();
  for (;;) {
    if (std::optional<AgentEvent> event = agent.events().take()) return event;
    int milliseconds = -1;
    if (timeout) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - SteadyClock().now());
      if (left.count() <= 0) return std::nullopt;
      milliseconds = static_cast<int>(std::min<std::int64_t>(left.count(), 1'000'000));
    }
    pollfd watched{agent.events().event_fd(), POLLIN, 0};
    int ready = 0;
    {
      py::gil_scoped_release released;
      ready = ::poll(&watched, 1, milliseconds);
    }
    if (ready < 0 && PyErr_CheckSignals() != 0) throw py::error_already_set();
  }
}

void bind_events(py::module_& module) {
  py::class_<QuiesceRequest>(module, "QuiesceRequest")
      .def_readonly("manifest", &QuiesceRequest::manifest)
      .def_readonly("freeze", &QuiesceRequest::freeze)
      .def_readonly("scripts", &QuiesceRequest::scripts)
      .def_property_readonly(
          "limit", [](const QuiesceRequest& request) { return to_seconds(request.limit); })
      .def_property_readonly("volumes",
                             [](const QuiesceRequest& request) { return to_text(request.volumes); })
      .def_property_readonly("script_argument", [](const QuiesceRequest& request) {
        return to_text(request.script_argument);
      });
  py::class_<AgentEvent> event(module, "AgentEvent");
  py::enum_<AgentEvent::Kind>(event, "Kind")
      .value("START", AgentEvent::Kind::START)
      .value("ENDED", AgentEvent::Kind::ENDED)
      .value("LOG", AgentEvent::Kind::LOG)
      .value("COMMAND", AgentEvent::Kind::COMMAND)
      .value("ANSWERED", AgentEvent::Kind::ANSWERED)
      .value("ANNOUNCED", AgentEvent::Kind::ANNOUNCED)
      .value("RELOAD", AgentEvent::Kind::RELOAD)
      .value("STOPPED", AgentEvent::Kind::STOPPED);
  event.def_readonly("kind", &AgentEvent::kind)
      .def_readonly("request", &AgentEvent::request)
      .def_readonly("record", &AgentEvent::record)
      .def_property_readonly("text", [](const AgentEvent& event) { return to_text(event.text); })
      .def_property_readonly("arguments",
                             [](const AgentEvent& event) { return to_text(event.arguments); })
      .def_readonly("id", &AgentEvent::id)
      .def_readonly("warning", &AgentEvent::warning);
}

void bind_agent_options(py::module_& module) {
  py::class_<ToolsState>(module, "ToolsState")
      .def(py::init([](const py::bytes& os_name, const py::bytes& os_short_name,
                       const py::bytes& product, const py::bytes& version,
                       const py::bytes& host_name) {
             return ToolsState{os_name, os_short_name, product, version, host_name};
           }),
           py::kw_only(), py::arg("os_name") = py::bytes(), py::arg("os_short_name") = py::bytes(),
           py::arg("product") = py::bytes(), py::arg("version") = py::bytes(),
           py::arg("host_name") = py::bytes());
  module.def(
      "answer_vix",
      [](const py::bytes& request, const ToolsState& state) {
        return py::bytes(answer_vix(std::string(request), state));
      },
      py::arg("request"), py::arg("state"));
  py::class_<AgentOptions>(module, "AgentOptions")
      .def(py::init([](double poll_min, double poll_max, double poll_busy,
                       std::vector<std::string> announce, std::vector<std::string> withdraw,
                       std::string notify_socket, double watchdog, double patience,
                       double patience_busy, double prepare_patience, ToolsState tools) {
             AgentOptions options;
             options.poll_min = from_seconds("poll_min", poll_min);
             options.poll_max = from_seconds("poll_max", poll_max);
             options.poll_busy = from_seconds("poll_busy", poll_busy);
             options.announce = std::move(announce);
             options.withdraw = std::move(withdraw);
             options.tools = std::move(tools);
             options.notify.socket = std::move(notify_socket);
             options.notify.watchdog = from_seconds("watchdog", watchdog);
             options.patience = from_seconds("patience", patience);
             options.backup.prepare_patience = from_seconds("prepare_patience", prepare_patience);
             options.patience_busy =
                 std::min(options.patience, from_seconds("patience_busy", patience_busy));
             return options;
           }),
           py::kw_only(), py::arg("poll_min"), py::arg("poll_max"), py::arg("poll_busy"),
           py::arg("announce"), py::arg("withdraw"), py::arg("notify_socket") = "",
           py::arg("watchdog") = 0.0, py::arg("patience") = 5.0, py::arg("patience_busy") = 1.0,
           py::arg("prepare_patience") = 180.0, py::arg("tools") = ToolsState());
}

void bind_status(py::module_& module) {
  py::class_<AgentStatus>(module, "AgentStatus")
      .def_readonly("connected", &AgentStatus::connected)
      .def_readonly("announced", &AgentStatus::announced)
      .def_property_readonly("trouble",
                             [](const AgentStatus& status) { return to_text(status.trouble); })
      .def_property_readonly("transport",
                             [](const AgentStatus& status) { return to_text(status.transport); })
      .def_property_readonly(
          "transport_reason",
          [](const AgentStatus& status) { return to_text(status.transport_reason); })
      .def_readonly("backup", &AgentStatus::backup)
      .def_property_readonly("frozen",
                             [](const AgentStatus& status) { return may_be_frozen(status.backup); })
      .def_property_readonly("last_poll",
                             [](const AgentStatus& status) { return to_seconds(status.last_poll); })
      .def_property_readonly(
          "busy_since", [](const AgentStatus& status) { return to_seconds(status.busy_since); })
      .def_property_readonly(
          "stuck_since", [](const AgentStatus& status) { return to_seconds(status.stuck_since); })
      .def_readonly("polls", &AgentStatus::polls)
      .def_readonly("commands", &AgentStatus::commands)
      .def_readonly("resets", &AgentStatus::resets)
      .def_readonly("losses", &AgentStatus::losses);
}

void bind_backup(py::module_& module) {
  py::enum_<BackupCode>(module, "BackupCode")
      .value("SCRIPT", BackupCode::SCRIPT)
      .value("SYNC", BackupCode::SYNC)
      .value("UNEXPECTED", BackupCode::UNEXPECTED);
  py::enum_<BackupState>(module, "BackupState")
      .value("IDLE", BackupState::IDLE)
      .value("PREPARING", BackupState::PREPARING)
      .value("CANCELLED", BackupState::CANCELLED)
      .value("FREEZING", BackupState::FREEZING)
      .value("FROZEN", BackupState::FROZEN)
      .value("UNFROZEN", BackupState::UNFROZEN)
      .value("THAWING", BackupState::THAWING)
      .value("ABORTING", BackupState::ABORTING)
      .value("FINISHING", BackupState::FINISHING);
  py::enum_<BackupEvent>(module, "BackupEvent")
      .value("START", BackupEvent::START)
      .value("SNAPSHOT_DONE", BackupEvent::SNAPSHOT_DONE)
      .value("ABORT", BackupEvent::ABORT)
      .value("ARMED", BackupEvent::ARMED)
      .value("SKIPPED", BackupEvent::SKIPPED)
      .value("REFUSED", BackupEvent::REFUSED)
      .value("FINISHED", BackupEvent::FINISHED)
      .value("FROZE", BackupEvent::FROZE)
      .value("ENDED", BackupEvent::ENDED)
      .value("STOP", BackupEvent::STOP)
      .value("HOST_GONE", BackupEvent::HOST_GONE)
      .value("LATE", BackupEvent::LATE);
  // Name, and whether bytes follow it.
  module.def("host_commands", [] {
    std::vector<std::pair<std::string, bool>> rows;
    for (const HostCommand& row : host_commands()) {
      rows.emplace_back(row.name, row.body == HostCommand::Body::BINARY);
    }
    return rows;
  });
  module.def(
      "parse_start_with_options",
      [](const py::bytes& body) {
        QuiesceRequest request;
        const std::string error = parse_start_with_options(std::string(body), request);
        return std::pair(request, py::bytes(error));
      },
      py::arg("body"));
  module.def(
      "backup_edge",
      [](BackupState from, BackupEvent event) -> std::optional<BackupState> {
        const Backup::Edge* edge = Backup::edge(from, event);
        if (edge == nullptr) return std::nullopt;
        return edge->to;
      },
      py::arg("state"), py::arg("event"));
}

}  // namespace

void bind_agent(py::module_& module) {
  bind_events(module);
  bind_agent_options(module);
  bind_backup(module);
  bind_status(module);
  py::class_<Agent, std::unique_ptr<Agent, DeleteUnlocked<Agent>>>(module, "Agent")
      .def(py::init<Backdoor&, Clock&, AgentOptions>(), py::arg("backdoor"), py::arg("clock"),
           py::arg("options"), py::keep_alive<1, 2>(), py::keep_alive<1, 3>())
      .def(py::init<std::shared_ptr<Transports>, Clock&, AgentOptions>(), py::arg("transports"),
           py::arg("clock"), py::arg("options"), py::keep_alive<1, 2>(), py::keep_alive<1, 3>())
      .def("start", &Agent::start)
      .def("request_stop", &Agent::request_stop)
      .def("next_event", next_event, py::arg("timeout") = py::none())
      .def("arm", &Agent::arm, py::arg("session").none(false))
      .def(
          "skip", [](Agent& agent, double limit) { agent.skip(from_seconds("limit", limit)); },
          py::arg("limit"))
      .def("refuse", &Agent::refuse, py::arg("code"), py::arg("text"))
      .def(
          "finish",
          [](Agent& agent, std::string path, const py::bytes& manifest) {
            agent.finish(std::move(path), std::string(manifest));
          },
          py::arg("path") = "", py::arg("manifest") = py::bytes())
      .def(
          "answer",
          [](Agent& agent, std::uint64_t id, const py::bytes& text) {
            agent.answer(id, std::string(text));
          },
          py::arg("id"), py::arg("text"))
      .def("settle", &Agent::settle, py::arg("id"))
      .def("configure", &Agent::configure, py::arg("options"))
      .def("status", &Agent::status)
      .def_property_readonly("event_fd", [](Agent& agent) { return agent.events().event_fd(); })
      .def_property_readonly("quiet", [](Agent& agent) { return agent.events().held(); })
      .def_property_readonly("stop_fd", &Agent::stop_fd)
      .def_property_readonly("reload_fd", &Agent::reload_fd)
      .def_property_readonly("backup_state", &Agent::backup_state)
      .def("preparing", &Agent::preparing)
      // One turn of the loop by hand, instead of start(). Seconds until the next, None at the end.
      .def(
          "step",
          [](Agent& agent) -> std::optional<double> {
            const Time next = agent.step();
            if (next == Time::max()) return std::nullopt;
            return to_seconds(next);
          },
          ReleaseGil());
  py::class_<SignalEvents>(module, "SignalEvents")
      .def(py::init<int, std::vector<int>>(), py::arg("event_fd"), py::arg("signals"));
  module.def("lock_memory", &lock_memory);
}

}  // namespace vmtpy::bind
