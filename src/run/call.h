#pragma once

#include <linux/seccomp.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "entry/system_calls.h"
#include "host/mm/caller.h"
#include "object/trace.h"
#include "run/accounts.h"
#include "run/device_files.h"
#include "run/event_fds.h"
#include "run/fault_watch.h"
#include "run/injector.h"
#include "run/listener.h"
#include "run/log.h"
#include "run/paths.h"
#include "run/private_tree.h"
#include "run/process_limit.h"
#include "run/program_memory.h"
#include "run/tasks.h"
#include "run/witness.h"

namespace teeio::run {

/// What every call needs; lives as long as the supervisor.
struct Context {
  entry::SystemCalls& machine;
  Listener& listener;
  DeviceFiles& files;
  Tasks& tasks;
  PrivateTree& tree;
  Paths& paths;
  EventFds& event_fds;
  Log& log;
  Witness* witness;    ///< may be null
  Injector* injector;  ///< may be null
  ProcessLimit& processes;
  Accounts& accounts;
  std::shared_ptr<FaultWatch> fault_watch;
  /// Whether calls are described: somebody may want the words.
  [[nodiscard]] bool describes() const { return log.traces_calls() || witness != nullptr; }
  /// From picking a free number until it is in use. Calls into Tasks, whose
  /// lock is a leaf, and is itself taken under locks of the machine.
  schedule::Mutex numbers{schedule::Rank::kWaitQueue};
  /// Some thread has become another user than the one who runs teeio.
  schedule::Atomic<bool> other_users{false};
};

/// The answer to a trapped call.
struct Reply {
  enum class Kind : std::uint8_t {
    kContinue,
    kValue,
    kError,
    kSent,  ///< the answer is out already: `value`, for the log
  } kind = Kind::kContinue;
  std::int64_t value = 0;
  Error error{};
  bool known = false;  ///< of kContinue: the kernel will give `value`

  static Reply go_on() { return {}; }
  /// The kernel answers, and it is known what.
  static Reply go_on(std::int64_t value) { return {Kind::kContinue, value, {}, true}; }
  static Reply of(std::int64_t value) { return {Kind::kValue, value, {}, false}; }
  static Reply sent(std::int64_t value) { return {Kind::kSent, value, {}, false}; }
  static Reply of(const Error& error) { return {Kind::kError, 0, error, false}; }
  template <class T>
  static Reply of(const Result<T>& result) {
    return result ? of(static_cast<std::int64_t>(*result)) : of(result.error());
  }
  static Reply of(const Result<void>& result) {
    return result ? of(std::int64_t{0}) : of(result.error());
  }
};

/// One trapped call, and its thread as the machine sees it.
/// Lifetime: until its answer is sent.
class Call final : public mm::Caller {
 public:
  Call(Context& context, const seccomp_notif& notification);

  [[nodiscard]] std::int32_t pid() const override { return context_.tasks.process_of(tid()); }
  [[nodiscard]] std::int32_t tid() const override {
    return static_cast<std::int32_t>(notification_.pid);
  }
  [[nodiscard]] std::uint64_t mm_id() const override { return context_.tasks.mm_id(tid()); }
  ProgramMemory& memory() override { return memory_; }
  Result<object::Ref<object::File>> file(std::int32_t fd) override;
  Result<std::int32_t> install(object::Ref<object::File> file, std::uint32_t flags) override;

  [[nodiscard]] Context& context() { return context_; }
  [[nodiscard]] std::uint64_t id() const { return notification_.id; }
  [[nodiscard]] std::uint64_t arg(unsigned index) const { return notification_.data.args[index]; }
  [[nodiscard]] int int_arg(unsigned index) const { return static_cast<int>(arg(index)); }
  [[nodiscard]] std::uint32_t word_arg(unsigned index) const {
    return static_cast<std::uint32_t>(arg(index));
  }

  /// A duplicate, in this process, of what is none of ours. Errors: EPERM.
  Result<Fd> steal_foreign(int fd);
  /// The file behind number `fd` if it is ours, else nullptr.
  [[nodiscard]] DeviceFileRef ours(int fd);
  /// Must precede each call into the machine: from here on its events are this
  /// call's. `fd` is the number that the program used, -1 for none.
  void enter_machine(int fd);
  [[nodiscard]] bool entered_machine() const { return entered_machine_; }
  /// What `--inject` has for this call instead of its being carried out, if anything; the
  /// last step before it would be. `name` as a SPEC has it. May have killed the caller.
  [[nodiscard]] std::optional<Error> injected(std::string_view name);
  /// The same for a call that is named after its system call.
  [[nodiscard]] std::optional<Error> injected(std::string_view call, const DeviceFile& file);
  /// The machine is done with it: kills the caller, if that is to happen before it gets its
  /// answer, and lets others go on.
  void end();
  /// install() with a name for messages.
  Result<std::int32_t> install_named(object::Ref<object::File> file, std::string name,
                                     std::uint32_t flags);
  enum class Numbers : bool { kOurs, kLowest };
  /// Gives the program `opened` and closes it here. `flags`: O_CLOEXEC.
  Result<std::int32_t> give(Fd opened, std::uint32_t flags, Numbers numbers, int from);

  /// For `-v` and the witness: "ioctl(768</dev/iommu>, …)". Empty: no line.
  void describe(std::string text) { description_ = std::move(text); }
  [[nodiscard]] const std::string& description() const { return description_; }
  /// For `-v` only, where nothing was described.
  void describe_plainly(std::string text) { plain_ = std::move(text); }
  [[nodiscard]] const std::string& line() const {
    return description_.empty() ? plain_ : description_;
  }

 private:
  bool looks_for_signal(mm::SignalMask blocked) override;

  Context& context_;
  const seccomp_notif notification_;
  ProgramMemory memory_;
  std::uint64_t next_signal_check_ns_ = 0;
  bool entered_machine_ = false;
  bool dies_after_ = false;
  std::optional<object::OriginScope> origin_;
  std::string description_;
  std::string plain_;
};

}  // namespace teeio::run
