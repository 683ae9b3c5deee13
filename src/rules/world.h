#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "base/types.h"
#include "object/event.h"
#include "rules/violation.h"

namespace teeio::rules {

/// An event as rules remember it: no allocation, so that remembering one for
/// each mapped page costs next to nothing. `name` is a literal.
struct Mark {
  std::uint64_t seq = 0;  ///< 0: never happened
  object::Lane from{}, to{};
  object::Fact fact{};
  std::string_view name;
  std::optional<Bdf> function;
  std::uint32_t vm = 0;
  std::uint64_t a = 0, b = 0, c = 0;

  static Mark of(const object::Event& event);
  [[nodiscard]] Evidence evidence() const;
  [[nodiscard]] bool happened() const { return seq != 0; }
};

/// Values of Fact::kTdiState, as GET_DEVICE_INTERFACE_STATE has them.
inline constexpr std::uint64_t kTdiUnlocked = 0;
inline constexpr std::uint64_t kTdiLocked = 1;
inline constexpr std::uint64_t kTdiRun = 2;
inline constexpr std::uint64_t kTdiError = 3;

/// What is true of one function after the events so far.
struct FunctionWorld {
  std::uint64_t tdi_state = kTdiUnlocked;
  Mark tdi_changed;  ///< the last change of its state

  std::uint32_t bound_vm = 0;  ///< 0: not bound
  Mark bound;

  std::uint32_t metadata_vm = 0;  ///< the VM for which the firmware has metadata
  Mark metadata;

  /// Locked since its last STOP, whatever became of the device in between: what
  /// the firmware still has to stop.
  bool locked = false;
  Mark locked_at;
  bool stream_blocked = false;  ///< the emergency exit that stands in for STOP
  bool given_up = false;        ///< by its firmware, since that lock, and without a STOP

  bool trusted_dma = false;
  Mark trusted_dma_at;

  /// Private MMIO in secure tables, by (VM, GPA).
  std::map<std::pair<std::uint32_t, std::uint64_t>, Mark> private_pages;
  Mark last_blocked;  ///< the last page of it that was blocked

  std::map<std::uint64_t, Mark> host_maps;  ///< BARs that a program's mmap reaches

  std::uint64_t lock_nonce = 0;
  Mark guest_start;  ///< the guest's own request since the last lock
};

/// Whether a firmware takes a STOP that failed as done, and is right: its answer alone was lost,
/// or the TDI was unlocked otherwise.
[[nodiscard]] bool stopped_unheard(const FunctionWorld& f, const object::Event& event);

struct VdeviceWorld {
  std::uint64_t idevice = 0, viommu = 0;
  Mark created;
};

struct ViommuWorld {
  std::uint32_t vm = 0;
  Mark created;
};

/// Everything that rules share: what is true after the events so far. Rules only
/// read it; Sanitizer applies each event after they have judged it.
class World {
 public:
  void apply(const object::Event& event);

  /// The function's state; that of a function nobody heard of is the default.
  [[nodiscard]] const FunctionWorld& function(Bdf bdf) const;
  [[nodiscard]] const FunctionWorld& function(const object::Event& event) const;
  [[nodiscard]] const std::map<Bdf, FunctionWorld>& functions() const { return functions_; }
  [[nodiscard]] const std::map<std::uint64_t, VdeviceWorld>& vdevices() const { return vdevices_; }
  [[nodiscard]] const std::map<std::uint64_t, ViommuWorld>& viommus() const { return viommus_; }
  [[nodiscard]] bool vm_dead(std::uint32_t vm) const { return dead_vms_.contains(vm); }

 private:
  void apply_device(FunctionWorld& f, const object::Event& event);
  void apply_firmware(FunctionWorld& f, const object::Event& event);
  void apply_host(FunctionWorld& f, const object::Event& event);
  void apply_objects(const object::Event& event);

  std::map<Bdf, FunctionWorld> functions_;
  std::map<std::uint64_t, VdeviceWorld> vdevices_;
  std::map<std::uint64_t, ViommuWorld> viommus_;
  std::map<std::uint32_t, Mark> dead_vms_;
};

}  // namespace teeio::rules
