#pragma once

#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "explore/scenario/stage.h"
#include "host/pci_tsm/doe.h"
#include "object/trace.h"

namespace teeio::explore {

/// What firmware and device refuse, from start() on.
/// Lifetime: made before the Stage that it listens to, and outlives it.
class Refusals final : public object::TraceSink {
 public:
  void start(object::Trace& trace) { trace.add_sink(*this); }
  /// "TDH.MMIO.UNMAP: TDX_DEVIF_TDISP_INVALID_STATE"; empty: nothing was refused.
  [[nodiscard]] const std::string& first() const { return first_; }
  /// Whether the firmware had that command.
  [[nodiscard]] bool saw(std::string_view name) const { return commands_.contains(name); }
  void on_event(const object::Event& event) override;
  void on_outcome(const object::Event& event) override;

 private:
  std::string first_;
  std::set<std::string, std::less<>> commands_;
};

/// A host that keeps the way to a device, and what was carried: for messages of its own.
class KeepingHost final : public tsm::Meddler {
 public:
  KeepingHost() { tsm::set_meddler(this); }
  /// From here on the firmware gets the last answer again, or `answer`.
  void replay() { replays_ = true; }
  void replay(Bytes answer) {
    last_ = std::move(answer);
    replays_ = true;
  }
  [[nodiscard]] const Bytes& last() const { return last_; }  ///< answer
  Result<Bytes> exchange(ByteView object, const Carry& carry) override;
  /// Precondition: something was carried since it was made.
  Result<Bytes> carry(ByteView object) { return carry_(object); }

 private:
  Carry carry_;
  Bytes last_;
  bool replays_ = false;
};

inline constexpr Gpa kRamGpa{0x10'0000};
/// A guest_memfd of `size` bytes at kRamGpa, private, which the guest has not touched yet.
int give_untouched_ram(Vmm& vmm, std::uint64_t size);
/// Two pages of private memory at kRamGpa, mapped. Precondition: the VM may run.
void give_ram(Vmm& vmm);

/// One thing that a hostile host does, on the vendors that have the notion.
struct Adversary {
  /// Who refuses what. `act` sets the scene, from Stage::play() on is hostile, and gives what
  /// stopped it; the guest's function is bound when it returns, to be unbound.
  struct Attack {
    machine::TsmKind tsm;
    std::string_view refusal;  ///< what it must be
    std::string (*act)(Stage& stage, Refusals& refusals);
    std::string_view then;  ///< what it leaves the host with
  };
  std::string_view name;
  std::string_view words;  ///< what the host does
  std::vector<Attack> attacks;
  std::string_view not_here;  ///< why a vendor has no row; empty: all have one
};
[[nodiscard]] std::span<const Adversary> adversaries();

// Of each vendor: attacks_tdx.cc, attacks_cca.cc, attacks_sev.cc.
namespace tdx_attack {
std::string swap_ram(Stage& stage, Refusals& refusals);
std::string give_ram_twice(Stage& stage, Refusals& refusals);
std::string replace_ram(Stage& stage, Refusals& refusals);
std::string swap_mmio(Stage& stage, Refusals& refusals);
std::string put_ram_for_mmio(Stage& stage, Refusals& refusals);
std::string replace_mmio(Stage& stage, Refusals& refusals);
std::string map_foreign_mmio(Stage& stage, Refusals& refusals);
std::string replay_report(Stage& stage, Refusals& refusals);
std::string lock_again(Stage& stage, Refusals& refusals);
std::string foreign_tdi(Stage& stage, Refusals& refusals);
std::string destroy_early(Stage& stage, Refusals& refusals);
// early_ends.cc, old_messages.cc
std::string bind_elsewhere(Stage& stage, Refusals& refusals);
std::string drop_tdi(Stage& stage, Refusals& refusals);
std::string delete_stream(Stage& stage, Refusals& refusals);
std::string destroy_running(Stage& stage, Refusals& refusals);
std::string free_key(Stage& stage, Refusals& refusals);
std::string replay_older(Stage& stage, Refusals& refusals);
std::string bind_again(Stage& stage, Refusals& refusals);
}  // namespace tdx_attack
namespace cca_attack {
std::string swap_ram(Stage& stage, Refusals& refusals);
std::string give_ram_twice(Stage& stage, Refusals& refusals);
std::string replace_ram(Stage& stage, Refusals& refusals);
std::string swap_mmio(Stage& stage, Refusals& refusals);
std::string put_ram_for_mmio(Stage& stage, Refusals& refusals);
std::string replace_mmio(Stage& stage, Refusals& refusals);
std::string map_foreign_mmio(Stage& stage, Refusals& refusals);
std::string replay_report(Stage& stage, Refusals& refusals);
std::string lock_again(Stage& stage, Refusals& refusals);
std::string foreign_tdi(Stage& stage, Refusals& refusals);
std::string destroy_early(Stage& stage, Refusals& refusals);
// early_ends.cc, old_messages.cc
std::string bind_elsewhere(Stage& stage, Refusals& refusals);
std::string drop_tdi(Stage& stage, Refusals& refusals);
std::string delete_stream(Stage& stage, Refusals& refusals);
std::string destroy_running(Stage& stage, Refusals& refusals);
std::string free_key(Stage& stage, Refusals& refusals);
std::string replay_older(Stage& stage, Refusals& refusals);
std::string bind_again(Stage& stage, Refusals& refusals);
}  // namespace cca_attack
namespace sev_attack {
/// A VMM whose guest's device runs, and has raised the fence of its guest (ASID).
Vmm& behind_fence(Stage& stage);
/// The first page of the guest's MMIO, which it validates. Precondition: it is mapped.
Hpa validated_mmio(Vmm& vmm);
std::string swap_ram(Stage& stage, Refusals& refusals);
std::string give_ram_twice(Stage& stage, Refusals& refusals);
std::string replace_ram(Stage& stage, Refusals& refusals);
std::string swap_mmio(Stage& stage, Refusals& refusals);
std::string put_ram_for_mmio(Stage& stage, Refusals& refusals);
std::string replace_mmio(Stage& stage, Refusals& refusals);
std::string map_foreign_mmio(Stage& stage, Refusals& refusals);
std::string replay_message(Stage& stage, Refusals& refusals);
std::string lock_again(Stage& stage, Refusals& refusals);
std::string foreign_tdi(Stage& stage, Refusals& refusals);
std::string destroy_early(Stage& stage, Refusals& refusals);
std::string raise_fence(Stage& stage, Refusals& refusals);
// early_ends.cc, old_messages.cc
std::string bind_elsewhere(Stage& stage, Refusals& refusals);
std::string drop_tdi(Stage& stage, Refusals& refusals);
std::string delete_stream(Stage& stage, Refusals& refusals);
std::string destroy_running(Stage& stage, Refusals& refusals);
std::string free_key(Stage& stage, Refusals& refusals);
std::string bind_again(Stage& stage, Refusals& refusals);
std::string clear_fence(Stage& stage, Refusals& refusals);
std::string skip_message(Stage& stage, Refusals& refusals);
std::string replay_message_of_before(Stage& stage, Refusals& refusals);
}  // namespace sev_attack

}  // namespace teeio::explore
