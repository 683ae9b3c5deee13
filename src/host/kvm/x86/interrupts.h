#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "base/result.h"
#include "host/kvm/x86/irqchip.h"
#include "host/kvm/x86/lapic.h"
#include "host/kvm/x86/pit.h"
#include "schedule/monitor.h"
#include "schedule/raw_lock.h"

namespace teeio::kvm::x86 {

inline constexpr std::uint32_t kMaxIrqRoutes = 4096;  // KVM_MAX_IRQ_ROUTES

enum class IrqchipMode : std::uint8_t { kNone, kKernel, kSplit };
enum class Chip : std::uint8_t { kPicMaster = 0, kPicSlave = 1, kIoapic = 2 };

/// A message-signalled interrupt.
struct Msi {
  std::uint32_t address_lo = 0, address_hi = 0, data = 0;
};

/// One entry of KVM_SET_GSI_ROUTING.
struct Route {
  std::uint32_t gsi = 0;
  bool msi = false;
  Chip chip = Chip::kIoapic;  ///< not for an MSI
  std::uint32_t pin = 0;      ///< of that chip
  Msi message;
};

/// Who holds a line up: kvm_irq_source.
enum class IrqSource : std::uint8_t { kUser = 0, kResample = 1 };

/// The interrupt controllers and routes of one VM, and the way to its local APICs.
///
/// Locking: one of its own over all of them, innermost, and no scheduling point: no order of
/// interrupts is explored. Linux: irq_lock and irq_srcu, the locks of the PIC and the I/O
/// APIC, and atomics of the local APICs.
class Interrupts final : private LapicBus {
 public:
  Interrupts() = default;
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  /// Precondition: no local APIC is attached.
  ~Interrupts();
  /// KVM_CREATE_IRQCHIP: with the default routes. Errors: EEXIST.
  Result<void> create_kernel();
  /// KVM_CAP_SPLIT_IRQCHIP. Errors: EEXIST; EINVAL too many pins.
  Result<void> create_split(std::uint64_t pins);
  [[nodiscard]] IrqchipMode mode();
  /// Formats of ids: KVM_X2APIC_API_USE_32BIT_IDS.
  void set_wide_ids();
  /// KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK: 0xff is no broadcast for an x2APIC.
  void disable_broadcast_quirk();

  /// KVM_CREATE_PIT2. Errors: EEXIST; ENOENT without the in-kernel PIC.
  Result<void> create_pit();
  /// Errors: ENXIO without it.
  Result<PitState> pit();
  Result<void> set_pit(const PitState& state);
  /// KVM_REINJECT_CONTROL: looks for a PIT. No tick is lost that could come again later.
  Result<void> control_pit_reinjection();

  // KVM_GET_IRQCHIP and KVM_SET_IRQCHIP. Errors: ENXIO without an in-kernel irqchip.
  Result<PicState> pic(unsigned chip);
  Result<void> set_pic(unsigned chip, const PicState& state);
  Result<IoapicState> ioapic();
  Result<void> set_ioapic(const IoapicState& state);

  /// KVM_SET_GSI_ROUTING. Errors: EINVAL without an irqchip, for a chip or pin that is not
  /// there, two routes of one line to one place.
  Result<void> set_routes(std::vector<Route> routes);

  /// kvm_set_irq(): what KVM_IRQ_LINE_STATUS says. Errors: ENXIO without an irqchip.
  Result<std::int32_t> set_line(std::uint32_t gsi, bool level, IrqSource source);
  /// kvm_send_userspace_msi(): how many took it, -1 none is addressed. Errors: EINVAL.
  Result<std::int32_t> send_msi(const Msi& message);

  /// Whether the guest's end of an interrupt of this line is told, by set_msr(), and lowers it
  /// on the part of IrqSource::kResample (kvm_register_irq_ack_notifier()). Not any more: that
  /// part of it goes down.
  void set_resampled(std::uint32_t gsi, bool resampled);
  /// What a local APIC's register was set to does to other chips.
  struct MsrWrite {
    bool known = false;                       ///< there is such a register
    std::vector<std::uint32_t> acknowledged;  ///< resampled lines whose interrupt has ended
    /// With a split irqchip: the vector that has ended, whose EOI is broadcast.
    std::optional<std::uint8_t> split_eoi;
  };
  /// KVM_SET_MSRS of an x2APIC's register.
  MsrWrite set_msr(Lapic& lapic, std::uint32_t index, std::uint64_t value);

  /// With a split irqchip: the vectors whose EOI by this local APIC is the VMM's I/O APIC's to
  /// know, as the routes are (vcpu_scan_ioapic()). None with another.
  using Vectors = std::bitset<256>;
  Vectors level_vectors(const Lapic& lapic);
  /// KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST: a guest that suppresses broadcasts is believed.
  void believe_suppressed_eois();

  /// A vCPU's local APIC comes and goes.
  void attach(Lapic& lapic);
  void detach(Lapic& lapic);
  /// Runs `use` on a local APIC with the lock held.
  template <class Use>
  auto with_lapic(Lapic& lapic, Use use) {
    const schedule::RawLockGuard guard(lock_);
    writes();
    return use(lapic, wide_ids_);
  }

 private:
  /// Under lock_, which those below do not know: the I/O APIC calls it inside of raise().
  int deliver(const LapicIrq& irq) override TEEIO_NO_THREAD_SAFETY_ANALYSIS;
  void acknowledged(unsigned pin) override TEEIO_NO_THREAD_SAFETY_ANALYSIS;
  int deliver_from(const Lapic* source, LapicIrq irq) TEEIO_REQUIRES(lock_);
  [[nodiscard]] bool mapped(const LapicIrq& irq, const Lapic* source) const TEEIO_REQUIRES(lock_);
  std::int32_t set_line_of(std::uint32_t gsi, bool level, IrqSource source) TEEIO_REQUIRES(lock_);
  int raise(const Route& route, bool level) TEEIO_REQUIRES(lock_);
  int deliver_msi(const Msi& message) TEEIO_REQUIRES(lock_);
  [[nodiscard]] LapicIrq irq_of(const Msi& message) const TEEIO_REQUIRES(lock_);
  Result<void> check_routes(std::span<const Route> routes) const TEEIO_REQUIRES(lock_);

  /// Explored, what the present move does to what lock_ guards: moves that only read commute.
  void reads() const { turn_.touch(0, schedule::Touch::How::kRead); }
  void writes() const { turn_.touch(0, schedule::Touch::How::kWrite); }

  const schedule::Turn turn_{"irqchip"};
  schedule::RawLock lock_;
  IrqchipMode mode_ TEEIO_GUARDED_BY(lock_) = IrqchipMode::kNone;
  bool wide_ids_ TEEIO_GUARDED_BY(lock_) = false;
  bool broadcast_quirk_ TEEIO_GUARDED_BY(lock_) = true;
  std::uint64_t split_pins_ TEEIO_GUARDED_BY(lock_) = 0;
  bool believes_suppressed_eois_ TEEIO_GUARDED_BY(lock_) = false;
  Pic pic_ TEEIO_GUARDED_BY(lock_);
  Ioapic ioapic_ TEEIO_GUARDED_BY(lock_);
  std::optional<Pit> pit_ TEEIO_GUARDED_BY(lock_);
  std::vector<Route> routes_ TEEIO_GUARDED_BY(lock_);
  /// For each pin of the two chips, a bit for each source that holds it up.
  std::array<std::uint8_t, kPicPins + kIoapicPins> held_ TEEIO_GUARDED_BY(lock_){};
  std::vector<Lapic*> lapics_ TEEIO_GUARDED_BY(lock_);
  IrqSource source_ TEEIO_GUARDED_BY(lock_) = IrqSource::kUser;
  std::set<std::uint32_t> resampled_ TEEIO_GUARDED_BY(lock_);
  std::vector<std::uint32_t> acknowledged_ TEEIO_GUARDED_BY(lock_);
};

}  // namespace teeio::kvm::x86
