// Binds Agent, its options, events and status, and SignalEvents. It serves vmtpy.agent, which turns
// these into values of Python.
#include "agent/agent.h"

#include <poll.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <vector>

#include "bind/bind.h"
#include "bind/text.h"
#include "linux/memory_lock.h"
#include "linux/signal_events.h"

namespace vmtpy::bind {

namespace {

// Waits for the next event. Python's own signal handlers run meanwhile.
std::optional<agent::AgentEvent> next_event(agent::Agent& agent, std::optional<double> timeout) {
  const Time deadline =
      timeout ? SteadyClock().now() + from_seconds("timeout", *timeout) : Time::max();
  for (;;) {
    if (std::optional<agent::AgentEvent> event = agent.events().take()) return event;
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
  py::class_<agent::QuiesceRequest>(module, "QuiesceRequest")
      .def_readonly("manifest", &agent::QuiesceRequest::manifest)
      .def_readonly("freeze", &agent::QuiesceRequest::freeze)
      .def_readonly("scripts", &agent::QuiesceRequest::scripts)
      .def_property_readonly(
          "timeout",
          [](const agent::QuiesceRequest& request) { return to_seconds(request.timeout); })
      .def_property_readonly(
          "volumes", [](const agent::QuiesceRequest& request) { return to_text(request.volumes); })
      .def_property_readonly("script_argument", [](const agent::QuiesceRequest& request) {
        return to_text(request.script_argument);
      });
  py::class_<agent::AgentEvent> event(module, "AgentEvent");
  py::native_enum<agent::AgentEvent::Kind>(event, "Kind", "enum.Enum")
      .value("START", agent::AgentEvent::Kind::START)
      .value("ENDED", agent::AgentEvent::Kind::ENDED)
      .value("LOG", agent::AgentEvent::Kind::LOG)
      .value("COMMAND", agent::AgentEvent::Kind::COMMAND)
      .value("ANSWERED", agent::AgentEvent::Kind::ANSWERED)
      .value("ANNOUNCED", agent::AgentEvent::Kind::ANNOUNCED)
      .value("RELOAD", agent::AgentEvent::Kind::RELOAD)
      .value("STOPPED", agent::AgentEvent::Kind::STOPPED)
      .finalize();
  event.def_readonly("kind", &agent::AgentEvent::kind)
      .def_readonly("request", &agent::AgentEvent::request)
      .def_readonly("record", &agent::AgentEvent::record)
      .def_property_readonly("text",
                             [](const agent::AgentEvent& event) { return to_text(event.text); })
      .def_property_readonly(
          "arguments", [](const agent::AgentEvent& event) { return to_text(event.arguments); })
      .def_readonly("id", &agent::AgentEvent::id)
      .def_readonly("warning", &agent::AgentEvent::warning);
}

void bind_agent_options(py::module_& module) {
  py::class_<wire::ToolsState>(module, "ToolsState")
      .def(py::init([](const py::bytes& os_name, const py::bytes& os_short_name,
                       const py::bytes& product, const py::bytes& version,
                       const py::bytes& host_name) {
             return wire::ToolsState{os_name, os_short_name, product, version, host_name};
           }),
           py::kw_only(), py::arg("os_name") = py::bytes(), py::arg("os_short_name") = py::bytes(),
           py::arg("product") = py::bytes(), py::arg("version") = py::bytes(),
           py::arg("host_name") = py::bytes());
  module.def(
      "answer_vix",
      [](const py::bytes& request, const wire::ToolsState& state) {
        return py::bytes(wire::answer_vix(std::string(request), state));
      },
      py::arg("request"), py::arg("state"));
  py::class_<agent::AgentOptions>(module, "AgentOptions")
      .def(py::init([](double poll_min, double poll_max, double poll_busy,
                       std::vector<std::string> announce, std::vector<std::string> withdraw,
                       FsText notify_socket, double watchdog, double patience, double patience_busy,
                       double prepare_patience, wire::ToolsState tools) {
             agent::AgentOptions options;
             options.host.poll_min = from_seconds("poll_min", poll_min);
             options.host.poll_max = from_seconds("poll_max", poll_max);
             options.host.poll_busy = from_seconds("poll_busy", poll_busy);
             options.host.announce = std::move(announce);
             options.host.withdraw = std::move(withdraw);
             options.tools = std::move(tools);
             options.service_manager.socket = std::move(notify_socket.value);
             options.service_manager.watchdog = from_seconds("watchdog", watchdog);
             options.host.patience = from_seconds("patience", patience);
             options.backup.prepare_patience = from_seconds("prepare_patience", prepare_patience);
             options.host.patience_busy =
                 std::min(options.host.patience, from_seconds("patience_busy", patience_busy));
             return options;
           }),
           py::kw_only(), py::arg("poll_min"), py::arg("poll_max"), py::arg("poll_busy"),
           py::arg("announce"), py::arg("withdraw"), py::arg("notify_socket") = FsText(),
           py::arg("watchdog") = 0.0, py::arg("patience") = 5.0, py::arg("patience_busy") = 1.0,
           py::arg("prepare_patience") = 180.0, py::arg("tools") = wire::ToolsState());
}

void bind_status(py::module_& module) {
  py::class_<agent::LoopStatus>(module, "LoopStatus")
      .def_property_readonly("connected",
                             [](const agent::LoopStatus& status) { return status.host.connected; })
      .def_property_readonly("announced",
                             [](const agent::LoopStatus& status) { return status.host.announced; })
      .def_property_readonly(
          "trouble", [](const agent::LoopStatus& status) { return to_text(status.host.trouble); })
      .def_property_readonly(
          "transport",
          [](const agent::LoopStatus& status) { return to_text(status.host.transport); })
      .def_property_readonly(
          "transport_reason",
          [](const agent::LoopStatus& status) { return to_text(status.host.transport_reason); })
      .def_readonly("backup", &agent::LoopStatus::backup)
      .def_property_readonly(
          "frozen", [](const agent::LoopStatus& status) { return agent::may_be_frozen(status); })
      .def_property_readonly(
          "last_poll",
          [](const agent::LoopStatus& status) { return to_seconds(status.host.last_poll); })
      .def_property_readonly(
          "busy_since",
          [](const agent::LoopStatus& status) { return to_seconds(status.busy_since); })
      .def_property_readonly(
          "stuck_since",
          [](const agent::LoopStatus& status) { return to_seconds(status.stuck_since); })
      .def_property_readonly("polls",
                             [](const agent::LoopStatus& status) { return status.host.polls; })
      .def_property_readonly("commands",
                             [](const agent::LoopStatus& status) { return status.host.commands; })
      .def_property_readonly("resets",
                             [](const agent::LoopStatus& status) { return status.host.resets; })
      .def_property_readonly("losses",
                             [](const agent::LoopStatus& status) { return status.host.losses; });
}

void bind_backup(py::module_& module) {
  py::native_enum<agent::BackupCode>(module, "BackupCode", "enum.Enum")
      .value("SCRIPT", agent::BackupCode::SCRIPT)
      .value("SYNC", agent::BackupCode::SYNC)
      .value("UNEXPECTED", agent::BackupCode::UNEXPECTED)
      .finalize();
  py::native_enum<agent::BackupState>(module, "BackupState", "enum.Enum")
      .value("IDLE", agent::BackupState::IDLE)
      .value("PREPARING", agent::BackupState::PREPARING)
      .value("CANCELLED", agent::BackupState::CANCELLED)
      .value("FREEZING", agent::BackupState::FREEZING)
      .value("FROZEN", agent::BackupState::FROZEN)
      .value("UNFROZEN", agent::BackupState::UNFROZEN)
      .value("THAWING", agent::BackupState::THAWING)
      .value("ABORTING", agent::BackupState::ABORTING)
      .value("FINISHING", agent::BackupState::FINISHING)
      .finalize();
  py::native_enum<agent::BackupEvent>(module, "BackupEvent", "enum.Enum")
      .value("START", agent::BackupEvent::START)
      .value("SNAPSHOT_DONE", agent::BackupEvent::SNAPSHOT_DONE)
      .value("ABORT", agent::BackupEvent::ABORT)
      .value("ARMED", agent::BackupEvent::ARMED)
      .value("SKIPPED", agent::BackupEvent::SKIPPED)
      .value("REFUSED", agent::BackupEvent::REFUSED)
      .value("FINISHED", agent::BackupEvent::FINISHED)
      .value("FROZE", agent::BackupEvent::FROZE)
      .value("ENDED", agent::BackupEvent::ENDED)
      .value("STOP", agent::BackupEvent::STOP)
      .value("HOST_GONE", agent::BackupEvent::HOST_GONE)
      .value("LATE", agent::BackupEvent::LATE)
      .finalize();
  // Each row is a command's name and whether bytes follow it.
  module.def("host_commands", [] {
    std::vector<std::pair<std::string, bool>> rows;
    for (const agent::HostCommand& row : agent::host_commands()) {
      rows.emplace_back(row.name, row.body == agent::HostCommand::Body::BINARY);
    }
    return rows;
  });
  module.def(
      "parse_start_with_options",
      [](const py::bytes& body) {
        agent::QuiesceRequest request;
        const std::string error = agent::parse_start_with_options(std::string(body), request);
        return std::pair(request, py::bytes(error));
      },
      py::arg("body"));
  module.def(
      "backup_edge",
      [](agent::BackupState from, agent::BackupEvent event) -> std::optional<agent::BackupState> {
        const agent::Backup::Edge* edge = agent::Backup::edge(from, event);
        if (edge == nullptr) return std::nullopt;
        return edge->to;
      },
      py::arg("state"), py::arg("event"));
}

void bind_conversation(py::module_& module) {
  py::native_enum<agent::ConversationState>(module, "ConversationState", "enum.Enum")
      .value("NEW", agent::ConversationState::NEW)
      .value("LOST", agent::ConversationState::LOST)
      .value("UNANNOUNCED", agent::ConversationState::UNANNOUNCED)
      .value("ANNOUNCED", agent::ConversationState::ANNOUNCED)
      .value("KNOWN", agent::ConversationState::KNOWN)
      .value("CLOSED", agent::ConversationState::CLOSED)
      .finalize();
  py::native_enum<agent::ConversationEvent>(module, "ConversationEvent", "enum.Enum")
      .value("HEARD", agent::ConversationEvent::HEARD)
      .value("FAILED", agent::ConversationEvent::FAILED)
      .value("FORGOTTEN", agent::ConversationEvent::FORGOTTEN)
      .value("TOLD", agent::ConversationEvent::TOLD)
      .value("CLOSE", agent::ConversationEvent::CLOSE)
      .finalize();
  module.def(
      "conversation_edge",
      [](agent::ConversationState from,
         agent::ConversationEvent event) -> std::optional<agent::ConversationState> {
        const agent::HostConversation::Edge* edge = agent::HostConversation::edge(from, event);
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
  bind_conversation(module);
  bind_status(module);
  py::class_<agent::Agent, std::unique_ptr<agent::Agent, DeleteUnlocked<agent::Agent>>>(module,
                                                                                        "Agent")
      .def(py::init<wire::Backdoor&, Clock&, agent::AgentOptions>(), py::arg("backdoor"),
           py::arg("clock"), py::arg("options"), py::keep_alive<1, 2>(), py::keep_alive<1, 3>())
      .def(py::init<std::shared_ptr<wire::Transports>, Clock&, agent::AgentOptions>(),
           py::arg("transports"), py::arg("clock"), py::arg("options"), py::keep_alive<1, 2>(),
           py::keep_alive<1, 3>())
      .def("start", &agent::Agent::start)
      .def("request_stop", &agent::Agent::request_stop)
      .def("next_event", next_event, py::arg("timeout") = py::none())
      .def("arm", &agent::Agent::arm, py::arg("session").none(false))
      .def(
          "skip",
          [](agent::Agent& agent, double timeout) { agent.skip(from_seconds("timeout", timeout)); },
          py::arg("timeout"))
      .def("refuse", &agent::Agent::refuse, py::arg("code"), py::arg("text"))
      .def(
          "finish",
          [](agent::Agent& agent, std::string path, const py::bytes& manifest) {
            agent.finish(std::move(path), std::string(manifest));
          },
          py::arg("path") = "", py::arg("manifest") = py::bytes())
      .def(
          "answer",
          [](agent::Agent& agent, std::uint64_t id, const py::bytes& text) {
            agent.answer(id, std::string(text));
          },
          py::arg("id"), py::arg("text"))
      .def("settle", &agent::Agent::settle, py::arg("id"))
      .def("configure", &agent::Agent::configure, py::arg("options"))
      .def("status", &agent::Agent::status)
      .def_property_readonly("event_fd",
                             [](agent::Agent& agent) { return agent.events().event_fd(); })
      .def_property_readonly("quiet", [](agent::Agent& agent) { return agent.events().held(); })
      .def_property_readonly("stop_fd", &agent::Agent::stop_fd)
      .def_property_readonly("reload_fd", &agent::Agent::reload_fd)
      .def_property_readonly("backup_state", &agent::Agent::backup_state)
      .def("preparing", &agent::Agent::preparing)
      // Turns the loop once by hand, instead of start(). Returns the seconds until the next turn,
      // or None at the end.
      .def(
          "step",
          [](agent::Agent& agent) -> std::optional<double> {
            const Time next = agent.step();
            if (next == Time::max()) return std::nullopt;
            return to_seconds(next);
          },
          ReleaseGil());
  py::class_<linux::SignalEvents>(module, "SignalEvents")
      .def(py::init<int, std::vector<int>>(), py::arg("event_fd"), py::arg("signals"));
  module.def("lock_memory", &linux::lock_memory);
}

}  // namespace vmtpy::bind
