#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/types.h"
#include "firmware/sev/rmp.h"
#include "object/trace.h"
#include "schedule/monitor.h"
#include "schedule/raw_lock.h"

namespace teeio::sev {

/// An entry of the secure device table, as far as the model goes: what a T=1 request of a
/// function may do. Source: AMDESE/linux-kvm drivers/virt/coco/sev-guest/tio.c, struct sdte.
struct SecureDte {
  static constexpr std::size_t kSize = 64;  ///< bytes
  bool valid = false;
  bool read = false;
  bool write = false;
  Asid asid = 0;  ///< the firmware's, not the guest's word
  std::uint8_t vmpl = 0;
  std::uint16_t guest_device_id = 0;  ///< the firmware's
  bool vtom_enabled = false;
  Gpa vtom{0};  ///< guest addresses from here on are shared memory; 2 MiB granules
  bool operator==(const SecureDte&) const = default;

  /// What a guest may write: v, ir, iw, vmpl, vtom_en, vtom.
  /// Errors: EINVAL for another size, or any other bit.
  static Result<SecureDte> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;  ///< of the bits that decode() takes
};

/// Whether requests of an address space pass a root complex. Source: A's sev-dev-tio.c,
/// TIO_FENCE_DMA_STATUS_*.
enum class Fence : std::uint8_t {
  kOpen = 0,
  kError = 1,    ///< a fault under a TDI that runs
  kDefault = 3,  ///< no TDI of the guest has run behind it
};

/// What stands between functions and guests' memory in hardware, beside the RMP: the secure
/// device table, which the firmware writes and the IOMMU reads, and a fence for each root
/// complex (here: IOMMU) and ASID.
///
/// A fault of a trusted request that the host has caused fences the ASID: its DMA stops,
/// MMIO reads give ones, writes vanish, for all its functions behind that root complex. Only
/// the firmware lifts it (TIO_ASID_FENCE_CLEAR). Source: AMD 58271, 2.11, as quoted by
/// Xu Yilun, 2025-06-04.
///
/// Lifetime: one a machine. Locking: any task. Explored, each look and each change belongs to
/// the present move, which is the IOMMU's or a command's; but a CPU's access is none: for it
/// mmio_passes() is a scheduling point.
class IoGuard {
 public:
  explicit IoGuard(object::Trace& trace) : trace_(trace) {}

  // Hardware's questions.
  /// The valid entry of a requester; nullopt: none, and T=1 requests abort.
  [[nodiscard]] std::optional<SecureDte> entry(std::uint16_t rid) const;
  [[nodiscard]] Fence fence(std::uint32_t root, Asid asid) const;
  [[nodiscard]] bool passes(std::uint32_t root, Asid asid) const {
    return fence(root, asid) == Fence::kOpen;
  }
  /// The IOMMU found no or a wrong page for a trusted request, or a CPU for a private access
  /// to a function's MMIO: raises the fence if it was open. `why` is a literal.
  void violation(std::uint32_t root, std::uint16_t rid, Asid asid, std::string_view why);
  /// Whether a CPU's private access passes to the MMIO of a function: its guest is not fenced
  /// by an error. Who has no guest answers for itself.
  [[nodiscard]] bool mmio_passes(std::uint32_t root, std::uint16_t rid) const;
  /// Grows with every change of an entry or a fence.
  [[nodiscard]] std::uint64_t generation() const;

  // The firmware's.
  void write(std::uint16_t rid, const SecureDte& entry);  ///< an invalid one is forgotten
  void assign(std::uint16_t rid, Asid asid);              ///< whose function it is; 0: nobody's
  void open(std::uint32_t root, Asid asid);
  /// The ASID's guest is gone: fences are as by default.
  void forget(Asid asid);
  /// Whose request raised the fence that is up; nullopt: there is none.
  [[nodiscard]] std::optional<std::uint16_t> offender(std::uint32_t root, Asid asid) const;
  [[nodiscard]] std::size_t entries() const;  ///< valid ones, for a machine's census

 private:
  struct State {
    Fence fence = Fence::kDefault;
    std::uint16_t offender = 0;
  };
  using Place = std::pair<std::uint32_t, Asid>;
  enum Part : std::uint8_t { kEntries = 1, kFences, kOwners, kAny };
  /// Fences by ASID: forget() is about those of all root complexes.
  void touch(Part table, std::uint64_t key, schedule::Touch::How how) const;
  void changed(Part table, std::uint64_t key);

  object::Trace& trace_;
  schedule::Turn turn_{"io guard"};
  mutable schedule::RawLock lock_;
  std::map<std::uint16_t, SecureDte> entries_;
  std::map<Place, State> fences_;
  std::map<std::uint16_t, Asid> owners_;
  std::uint64_t generation_ = 0;
};

}  // namespace teeio::sev
