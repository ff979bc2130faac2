// Answers by the request's first word, and keeps guestinfo within a host's sizes. It serves every
// way by which a request may come.
#include "emulator/rpci_answers.h"

#include <array>
#include <utility>

namespace vmtpy::emulator {

namespace {

constexpr std::string_view KEY_PREFIX = "guestinfo.";
constexpr std::size_t MAX_VALUE = 64UL * 1024;
constexpr std::size_t MAX_ALL_VALUES = 1024UL * 1024;  // the default of one virtual machine

// Requests that a host notes and answers with an empty success.
constexpr std::array<std::string_view, 10> ACCEPTED = {
    "SetGuestDiskInfo ",      "SetGuestInfo ",         "log ",
    "tools.capability.",      "tools.os.statechange.", "tools.set.version ",
    "tools.set.versiontype ", "update.tools.health ",  "vmbackup.eventSet ",
    "vmx.capability.",
};

}  // namespace

std::string RpciAnswers::answer(std::string_view request, Transport transport) {
  MutexLock guard(mutex_);
  if (auto reply = canned(request)) return *reply;
  constexpr std::string_view GET = "info-get ";
  constexpr std::string_view SET = "info-set ";
  if (request.starts_with(GET)) return info_get(request.substr(GET.size()));
  if (request.starts_with(SET)) {
    if (secure_ && transport != Transport::PRIVILEGED_VSOCK) return "0 Permission denied";
    return info_set(request.substr(SET.size()));
  }
  constexpr std::string_view OPTION = "vmx.set_option ";
  if (request.starts_with(OPTION)) return set_option(request.substr(OPTION.size()));
  for (std::string_view prefix : ACCEPTED) {
    if (request.starts_with(prefix)) return "1 ";
  }
  return "0 Unknown command";
}

std::string RpciAnswers::info_get(std::string_view key) const {
  key = key.substr(0, key.find(' '));
  if (!key.starts_with(KEY_PREFIX)) return "0 No value found";
  auto found = values_.find(key.substr(KEY_PREFIX.size()));
  return found == values_.end() ? "0 No value found" : "1 " + found->second;
}

std::string RpciAnswers::info_set(std::string_view arguments) {
  std::size_t blank = arguments.find(' ');
  if (blank == std::string_view::npos || blank + 1 == arguments.size()) {
    return "0 Two arguments expected";
  }
  std::string_view key = arguments.substr(0, blank);
  std::string_view value = arguments.substr(blank + 1);
  if (!key.starts_with(KEY_PREFIX)) return "0 Invalid key";
  key.remove_prefix(KEY_PREFIX.size());
  std::size_t all = 0;
  for (const auto& [other, text] : values_) {
    if (other != key) all += other.size() + text.size();
  }
  if (value.size() > MAX_VALUE || all + key.size() + value.size() > MAX_ALL_VALUES) {
    return "0 Value too large";
  }
  values_.insert_or_assign(std::string(key), std::string(value));
  return "1 ";
}

// The arguments are "NAME OLD NEW". A host then tells the guest its new value by Set_Option, which
// is left to scripts.
std::string RpciAnswers::set_option(std::string_view arguments) {
  while (arguments.ends_with('\0')) arguments.remove_suffix(1);
  bool on = arguments == "synctime 0 1";
  if (!on && arguments != "synctime 1 0") return "0 Unknown option";
  keeps_time_ = on;
  return "1 ";
}

bool RpciAnswers::keeps_time() const {
  MutexLock guard(mutex_);
  return keeps_time_;
}

void RpciAnswers::set_guestinfo(std::string key, std::string value) {
  MutexLock guard(mutex_);
  values_.insert_or_assign(std::move(key), std::move(value));
}

std::optional<std::string> RpciAnswers::guestinfo(const std::string& key) const {
  MutexLock guard(mutex_);
  auto found = values_.find(key);
  return found == values_.end() ? std::nullopt : std::optional(found->second);
}

void RpciAnswers::answer_with(std::string prefix, std::string reply, int times, bool whole) {
  MutexLock guard(mutex_);
  canned_.push_back({std::move(prefix), std::move(reply), times, whole});
}

std::optional<std::string> RpciAnswers::canned(std::string_view request) {
  for (auto it = canned_.begin(); it != canned_.end(); ++it) {
    if (it->whole ? request != it->prefix : !request.starts_with(it->prefix)) continue;
    std::string reply = it->reply;
    if (it->times != 0 && --it->times == 0) canned_.erase(it);
    return reply;
  }
  return std::nullopt;
}

}  // namespace vmtpy::emulator
