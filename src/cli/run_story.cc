#include "cli/run_story.h"

#include <fmt/format.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include <algorithm>

#include "abi/kvm.h"
#include "entry/kvm_capabilities.h"

namespace teeio::cli {
namespace {

/// A loop that is refused with other arguments each time says no more than its end.
constexpr std::size_t kMaxRefusals = 20;
constexpr std::uint32_t kTcGets = 0x5401;  // isatty(3) asks every file

/// What programs ask to find out, not because they need it, and exits of KVM_RUN
/// that have an errno: KVM_EXIT_MEMORY_FAULT and KVM_EXIT_INTR.
bool is_the_normal_course(const std::string& call, const Error& error) {
  const bool exits = error.code == Errno::kFault || error.code == Errno::kIntr;
  if (exits && call.find(", KVM_RUN, ") != std::string::npos) return true;
  const bool opens_sysfs = call.find("(\"/sys/") != std::string::npos;
  return (opens_sysfs && error.code == Errno::kNoEnt) ||
         (error.code == Errno::kNoTty && call.find(fmt::format("{:#x}", kTcGets)) != call.npos);
}

}  // namespace

void RunStory::refused(pid_t tid, const std::string& call, const Error& error) {
  const auto refusal = explainer_.take(tid, error.why);
  if (is_the_normal_course(call, error)) return;
  Refused entry{.text = fmt::format("{} = {}: {}", call, errno_name(error.code), error.why),
                .cause = refusal ? refusal->cause : std::string{},
                .seq = refusal ? refusal->seq : 0};
  const schedule::RawLockGuard guard(lock_);
  const auto same = std::ranges::find_if(refused_, [&](const Refused& other) {
    return other.text == entry.text && other.cause == entry.cause;
  });
  if (same != refused_.end()) {
    ++same->times;
    return;
  }
  refused_.push_back(std::move(entry));
  if (refused_.size() <= kMaxRefusals) return;
  forgotten_ += refused_.front().times;
  refused_.pop_front();
}

void RunStory::answered(std::uint32_t command, std::uint64_t argument, std::int64_t value) {
  const schedule::RawLockGuard guard(lock_);
  missing_capability_.reset();
  if (command == KVM_CHECK_EXTENSION && value == 0) missing_capability_ = argument;
}

/// A device's node names its function by the tree; a file of a group's does not.
std::optional<Bdf> RunStory::function_of(const std::string& file) {
  constexpr std::string_view kDevices = "/dev/vfio/devices/";
  if (!file.starts_with(kDevices)) return std::nullopt;
  const std::string end = "/vfio-dev/" + file.substr(kDevices.size());
  for (const entry::SystemCalls::Node& node : machine_.tree()) {
    if (!node.path.ends_with(end)) continue;
    const std::string above = node.path.substr(0, node.path.size() - end.size());
    if (const auto bdf = Bdf::parse(above.substr(above.rfind('/') + 1))) return bdf;
  }
  return std::nullopt;
}

bool RunStory::shows(const run::FaultWatch::Place& place, const report::Explainer::Revoked& bar) {
  constexpr unsigned kRegionShift = 40;  // Linux: VFIO_PCI_OFFSET_SHIFT, vfio_pci_core.h
  return bar.bar == place.offset >> kRegionShift &&
         bar.function == function_of(place.file).value_or(bar.function);
}

void RunStory::ended(pid_t pid, const std::string& name, int wait_status,
                     const std::optional<run::FaultWatch::LastFault>& fault) {
  Ended entry{.pid = pid, .name = name, .wait_status = wait_status, .revoked = {}};
  if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGBUS)
    entry.revoked = explainer_.revoked();
  const bool is_known = fault && fault->place;
  if (is_known)
    std::erase_if(entry.revoked, [&](const report::Explainer::Revoked& bar) {
      return !shows(*fault->place, bar);
    });
  entry.is_known = is_known && entry.revoked.size() == 1;
  const schedule::RawLockGuard guard(lock_);
  ended_.push_back(std::move(entry));
}

std::string RunStory::refusals_text() const {
  const schedule::RawLockGuard guard(lock_);
  if (refused_.empty()) return {};
  std::size_t count = forgotten_;
  for (const Refused& entry : refused_) count += entry.times;
  std::string out = fmt::format("teeio: {} call{} refused", count, count == 1 ? " was" : "s were");
  out += forgotten_ == 0 ? ":\n" : fmt::format("; the last {}:\n", count - forgotten_);
  for (const Refused& entry : refused_) {
    out += entry.seq == 0 ? "  " : fmt::format("  [{}] ", entry.seq);
    out += entry.text;
    if (entry.times > 1) out += fmt::format(" ×{}", entry.times);
    out += '\n';
    if (!entry.cause.empty()) out += fmt::format("      {}\n", entry.cause);
  }
  return out;
}

std::string RunStory::processes_text(Processes which) const {
  const schedule::RawLockGuard guard(lock_);
  std::string out;
  for (const Ended& entry : ended_) {
    for (const auto& revoked : entry.revoked)
      out += fmt::format("[pid {}] --- SIGBUS: {}BAR{} of {}, revoked by {}, event {} ---\n",
                         entry.pid, entry.is_known ? "" : "perhaps ", revoked.bar,
                         revoked.function.str(), revoked.by, revoked.seq);
    if (WIFSIGNALED(entry.wait_status))
      out += fmt::format("[pid {}] +++ {} was killed by SIG{} +++\n", entry.pid, entry.name,
                         ::sigabbrev_np(WTERMSIG(entry.wait_status)));
    else if (which == Processes::kAll)
      out += fmt::format("[pid {}] +++ {} exited with {} +++\n", entry.pid, entry.name,
                         WEXITSTATUS(entry.wait_status));
  }
  return out;
}

std::string RunStory::probe_text() const {
  const schedule::RawLockGuard guard(lock_);
  if (!missing_capability_) return {};
  const std::string_view name = entry::kvm_capability_name(*missing_capability_);
  return fmt::format(
      "teeio: the program's last question was for {}, which this /dev/kvm does not have "
      "(`teeio abi` lists what it has)\n",
      name.empty() ? fmt::format("KVM capability {}", *missing_capability_) : std::string(name));
}

bool RunStory::has_news() const {
  const schedule::RawLockGuard guard(lock_);
  return missing_capability_ || std::ranges::any_of(ended_, [](const Ended& entry) {
           return WIFSIGNALED(entry.wait_status);
         });
}

}  // namespace teeio::cli
