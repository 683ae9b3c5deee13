#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "object/trace.h"
#include "schedule/raw_lock.h"

namespace teeio::report {

/// Why calls were refused that would have been granted, had an earlier one not
/// been made or been made later: which event that was. And which mappings of a
/// program are dead, through which event.
///
/// It reads events only: what it says of a cause follows from the refusal's
/// sentence and from the states that were reached before.
/// Locking: its own, so that take() may come from any task; no scheduling point.
class Explainer final : public object::TraceSink {
 public:
  void on_event(const object::Event& event) override;
  void on_outcome(const object::Event& event) override;

  /// A refused call of the program.
  struct Refusal {
    std::uint64_t seq = 0;
    std::string why;
    std::string cause;  ///< a sentence; empty when there is none to name
  };
  /// The last refused call of thread `tid`, if `why` is its sentence; given once.
  [[nodiscard]] std::optional<Refusal> take(std::int32_t tid, std::string_view why);

  /// A BAR whose mappings are SIGBUS now.
  struct Revoked {
    Bdf function;
    std::uint64_t bar = 0;
    std::uint64_t seq = 0;
    std::string by;  ///< the call inside of which it happened: "bind"
  };
  [[nodiscard]] std::vector<Revoked> revoked();

 private:
  struct OpenCall {
    std::uint64_t parent = 0;
    std::string_view name;
    std::optional<Bdf> function;
    /// The first call inside that was refused and did not succeed later, as a sentence: what
    /// is refused behind it is what the undoing found.
    std::string refused_inside;
    std::string_view refused_name;  ///< its name
  };
  /// The latest event of each kind; 0: never, or undone since.
  struct Function {
    std::uint64_t connected = 0, disconnected = 0;
    std::uint64_t opened = 0;
    std::uint32_t opened_vm = 0;  ///< the VM that it was associated with then
    std::uint64_t vdevice = 0;
    std::uint64_t bound = 0, unbound = 0;
    std::uint32_t bound_vm = 0;
    std::map<std::uint64_t, Revoked> revoked;  ///< by BAR
  };
  struct DeadVm {
    std::uint64_t seq = 0;
    std::string_view why;
  };

  void on_state(const object::Event& event) TEEIO_REQUIRES(lock_);
  [[nodiscard]] bool is_in_release(const object::Event& event) const TEEIO_REQUIRES(lock_);
  [[nodiscard]] std::string cause_of(const object::Event& event, const OpenCall& call) const
      TEEIO_REQUIRES(lock_);
  [[nodiscard]] std::optional<Bdf> subject_of(const object::Event& event,
                                              const OpenCall& call) const TEEIO_REQUIRES(lock_);
  [[nodiscard]] std::string cause_in(Bdf bdf, const Function& f, std::string_view why) const
      TEEIO_REQUIRES(lock_);

  schedule::RawLock lock_;
  std::map<std::uint64_t, OpenCall> calls_ TEEIO_GUARDED_BY(lock_);  ///< in progress, by seq
  std::map<Bdf, Function> functions_ TEEIO_GUARDED_BY(lock_);
  std::map<std::uint32_t, DeadVm> dead_vms_ TEEIO_GUARDED_BY(lock_);
  std::optional<Bdf> last_opened_ TEEIO_GUARDED_BY(lock_);
  std::map<std::int32_t, Refusal> refusals_ TEEIO_GUARDED_BY(lock_);  ///< by thread
};

}  // namespace teeio::report
