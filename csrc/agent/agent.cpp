// One turn of the loop, the mailbox, and the status that others see. Relies on ppoll(2) to wait,
// and on the turn never waiting by itself.
#include "agent/agent.h"

#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "base/assertion.h"
#include "base/errors.h"
#include "freeze/unsettled.h"
#include "linux/thread_role.h"
#include "linux/threads.h"

namespace vmtpy::agent {

namespace {

// Blocks signals, which are the main thread's. Synchronous faults stay open, because the kernel
// kills a thread that blocks them.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  for (int fault : {SIGSEGV, SIGBUS, SIGILL, SIGFPE}) sigdelset(&all, fault);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

// Says in words how the agent is, for `systemctl status`.
std::string in_words(const LoopStatus& status) {
  if (may_be_frozen(status.backup)) return "FROZEN for a snapshot";
  if (status.backup != BackupState::IDLE) return "taking part in a snapshot";
  if (freeze::unsettled_since() != Time{})
    return "an earlier snapshot has left a filesystem frozen";
  if (status.stuck_since != Time{}) return "Python is stuck: backups are refused";
  if (status.host.connected) return "serving the host";
  if (status.host.trouble.empty()) return "waiting for the host";
  return "the host does not answer: " + status.host.trouble;
}

}  // namespace

Agent::Agent(wire::Backdoor& backdoor, Clock& clock, AgentOptions options)
    : Agent(std::make_shared<wire::Transports>(backdoor), clock, std::move(options)) {}

Agent::Agent(std::shared_ptr<wire::Transports> transports, Clock& clock, AgentOptions options)
    : clock_(clock),
      options_(std::move(options)),
      host_(std::move(transports), queue_, clock, options_.host,
            [this](const HostRequest& request) { return serve(request); }),
      backup_(host_, queue_, clock, options_.backup),
      commands_(host_, queue_, clock, options_.commands),
      hgfs_(static_cast<std::uint64_t>(clock.now().time_since_epoch().count())),
      process_(::getpid()),
      service_manager_(options_.service_manager) {}

// A fork has a copy of the object but not the thread, and the eventfds are also the parent's.
Agent::~Agent() {
  if (!thread_.joinable()) return;
  if (::getpid() != process_) {
    linux::abandon(std::move(thread_));
    return;
  }
  request_stop();
  thread_.join();
}

void Agent::start() {
  linux::prepare_to_throw();
#ifdef __GLIBC__
  // Gives back what the start has left over, because an agent lives for months. musl has no such
  // call.
  ::malloc_trim(0);
#endif
  process_ = ::getpid();
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    throw SystemError("pthread_create", "", error.code().value());
  }
}

void Agent::request_stop() {
  if (::getpid() == process_) stop_.raise();
}

void Agent::arm(std::shared_ptr<freeze::FreezeSession> session) {
  post([this, session = std::move(session)] { backup_.arm(session); });
}

void Agent::skip(Duration timeout) {
  post([this, timeout] { backup_.skip(timeout); });
}

void Agent::refuse(BackupCode code, std::string text) {
  post([this, code, text = std::move(text)] { backup_.refuse(code, text); });
}

void Agent::finish(std::string path, std::string manifest) {
  if (!path.empty()) wire::HgfsServer::check(path, manifest);
  post([this, path = std::move(path), manifest = std::move(manifest)] {
    // The host may fetch the manifest as soon as it is told of it.
    if (backup_.state() == BackupState::FINISHING && !path.empty()) hgfs_.serve(path, manifest);
    backup_.finish(path);
  });
}

void Agent::answer(std::uint64_t id, std::string text) {
  post([this, id, text = std::move(text)] { commands_.answer(id, text); });
}

void Agent::settle(std::uint64_t id) {
  post([this, id] { commands_.settle(id); });
}

void Agent::configure(AgentOptions options) {
  post([this, options = std::move(options)] {
    host_.configure(options.host);
    backup_.set_prepare_patience(options.backup.prepare_patience);
    options_.tools = options.tools;
  });
}

LoopStatus Agent::status() const {
  LoopStatus status;
  {
    MutexLock guard(status_mutex_);
    status = status_;
  }
  status.backup = backup_.state();  // the turn may still be under way
  if (!may_be_frozen(status.backup)) {
    status.busy_since = freeze::unsettled_since();
  } else if (status.busy_since == Time{}) {
    status.busy_since = clock_.now();
  }
  return status;
}

Time Agent::step() noexcept {
  try {
    return turn();
  } catch (const std::exception& error) {
    try {
      recover(error.what());
    } catch (const std::exception&) {  // the next turn tries again
    }
  }
  return due_ = clock_.now() + host_.poll_busy();
}

void Agent::recover(const char* what) {
  backup_.recover(std::string("the agent has failed: ") + what);
  queue_.log(std::string("a turn of the loop failed: ") + what, true);
}

Time Agent::turn() {
  if (life_ == Life::ENDED) return Time::max();
  const Time now = clock_.now();
  if (due_ != Time::max() && now - due_ >= options_.starved) host_.came_late();
  host_.set_busy(busy());
  read_mailbox();
  if (stop_.drain() && life_ == Life::RUNNING) {
    life_ = Life::STOPPING;
    stop_by_ = now + options_.stop_patience;
    service_manager_.stopping();
    backup_.stop();
  }
  Time next = backup_.step();
  if (life_ == Life::STOPPING && (!busy() || now >= stop_by_)) {
    // The end does not wait for what Python is still busy with, but nothing may stay frozen.
    if (backup_.session_fd() < 0) {
      end();
      return Time::max();
    }
  }
  look_for_reload();
  commands_.step();
  talk_to_host(now);
  next = std::min({next, publish(clock_.now()), commands_.due(), host_.due()});
  if (life_ == Life::STOPPING) {
    next = std::min(next, std::max(stop_by_, now + host_.poll_busy()));
  }
  due_ = std::max(next, clock_.now());  // a slow host may have held this turn
  return next;
}

void Agent::run() {
  pthread_setname_np(pthread_self(), "vmtpy-loop");
  block_signals();
  linux::take_role(linux::Role::LOOP);
  linux::prepare_to_throw();
  for (Time next = step(); life_ != Life::ENDED; next = step()) wait(next);
}

void Agent::wait(Time until) {
  pollfd watched[] = {
      {wake_.get(), POLLIN, 0},         {stop_.get(), POLLIN, 0},
      {reload_event_.get(), POLLIN, 0}, {backup_.session_fd(), POLLIN, 0},
      {host_.descriptor(), POLLIN, 0},  {host_.connecting_descriptor(), POLLOUT, 0}};
  timespec timeout{};
  if (until != Time::max()) {
    const auto left = std::max(Duration::zero(), Duration(until - clock_.now()));
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    timeout.tv_sec = seconds.count();
    timeout.tv_nsec = (left - seconds).count();
  }
  ::ppoll(watched, std::size(watched), until == Time::max() ? nullptr : &timeout, nullptr);
}

void Agent::post(std::function<void()> message) {
  {
    MutexLock guard(mutex_);
    mailbox_.push_back(std::move(message));
  }
  wake_.raise();
}

void Agent::read_mailbox() {
  wake_.drain();
  for (;;) {
    std::function<void()> message;
    {
      MutexLock guard(mutex_);
      if (mailbox_.empty()) return;
      message = std::move(mailbox_.front());
      mailbox_.pop_front();
    }
    message();  // if the message throws, the others are still there
  }
}

// Queues a RELOAD outside of backups. Otherwise Python would take a new configuration into a backup
// that began with the old one.
void Agent::look_for_reload() {
  reload_ = reload_event_.drain() || reload_;
  if (!reload_ || life_ != Life::RUNNING || busy()) return;
  reload_ = false;
  AgentEvent event;
  event.kind = AgentEvent::Kind::RELOAD;
  queue_.push(std::move(event));
}

void Agent::talk_to_host(Time now) {
  host_.begin_turn(now, may_be_frozen(backup_.state()));
  // Commands can be queued at the host, so after a command the next poll follows at once. The
  // number is bounded, so that a host with a flood of commands cannot keep the timers from running.
  constexpr int MOST_AT_ONCE = 16;
  for (int i = 0; i < MOST_AT_ONCE && host_.wants_poll(now) && host_.poll(now, busy()); ++i) {
  }
}

// Answers a command that is not about the conversation with the host.
std::optional<std::string> Agent::serve(const HostRequest& request) {
  switch (request.answerer) {
    case HostCommand::Answerer::BACKUP:
      return answer_backup(request);
    case HostCommand::Answerer::HGFS:
      return hgfs_.answer(request.arguments);
    case HostCommand::Answerer::VIX:
      return wire::answer_vix(request.arguments, options_.tools);
    case HostCommand::Answerer::SERVICE:
      return commands_.command(request.name, request.arguments, busy());
    case HostCommand::Answerer::NOBODY:
    case HostCommand::Answerer::CONVERSATION:
      break;
  }
  throw std::logic_error("the conversation with the host answers this command itself");
}

// Passes a command to the backup machine. A backup that begins withdraws the manifest of the last
// one.
std::optional<std::string> Agent::answer_backup(const HostRequest& request) {
  const bool idle = !busy();
  std::optional<std::string> reply = backup_.command(request.name, request.arguments);
  if (idle && busy()) hgfs_.withdraw();
  return reply;
}

// Ends a turn: it publishes the status, and tells the service manager.
Time Agent::publish(Time now) {
  LoopStatus seen;
  seen.host = host_.status();
  seen.backup = backup_.state();
  seen.stuck_since = backup_.stuck_since();
  if (!may_be_frozen(seen.backup)) {
    busy_since_ = {};
  } else if (busy_since_ == Time{}) {
    busy_since_ = now;
  }
  seen.busy_since = busy_since_;
  {
    MutexLock guard(status_mutex_);
    status_ = seen;
  }
  service_manager_.ready();
  service_manager_.status(in_words(seen));
  // The watchdog is not fed while Python is stuck. Nothing is frozen then, nor will be, and a new
  // start of the service helps.
  return seen.stuck_since == Time{} ? service_manager_.feed(now) : Time::max();
}

void Agent::end() {
  VMTPY_ASSERT(backup_.session_fd() < 0);  // nothing is frozen
  backup_.leave();
  host_.close();
  life_ = Life::ENDED;
  AgentEvent event;
  event.kind = AgentEvent::Kind::STOPPED;
  queue_.hold(false);
  queue_.push(std::move(event));
}

}  // namespace vmtpy::agent
