#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string_view>

#include "base/types.h"
#include "hw/dma.h"
#include "hw/physical_memory.h"
#include "schedule/monitor.h"
#include "schedule/raw_lock.h"

namespace teeio::sev {

/// An address space of guests: 0 is the host's and the firmware's.
using Asid = std::uint32_t;

enum class RmpSize : std::uint8_t { k4K = 0, k2M = 1 };
inline constexpr std::uint64_t kRmp2M = 0x20'0000;  ///< bytes
[[nodiscard]] constexpr std::uint64_t bytes_of_size(RmpSize size) {
  return size == RmpSize::k2M ? kRmp2M : kPageSize;
}

/// One entry of the reverse map table. Source: AMD64 APM volume 2, 15.36.3.
struct RmpEntry {
  bool assigned = false;
  bool validated = false;  ///< by PVALIDATE, or by the firmware at launch
  bool immutable = false;  ///< RMPUPDATE is refused: the firmware's, until it lets go
  bool vmsa = false;
  RmpSize size = RmpSize::k4K;
  Asid asid = 0;
  Gpa gpa{0};
  bool operator==(const RmpEntry&) const = default;
};

/// What an entry says of a page. Source: SEV-SNP firmware ABI (56860), 5.2, "Page
/// states". Context is told from Firmware by the firmware alone.
enum class PageState : std::uint8_t {
  kHypervisor,    ///< not assigned
  kReclaim,       ///< assigned to nobody, mutable: on its way back to the host
  kFirmware,      ///< assigned to nobody, immutable
  kContext,       ///< a context page: nobody but the firmware reads it
  kPreGuest,      ///< assigned to a guest, immutable, not validated
  kGuestInvalid,  ///< assigned to a guest, not validated
  kGuestValid,
};

/// Results of RMPUPDATE and PSMASH, in EAX. Source: APM volume 3; Linux asm/sev.h.
enum class RmpStatus : std::uint8_t {
  kSuccess = 0,
  kFailInput = 1,
  kFailPermission = 2,
  kFailInUse = 3,
  kFailOverlap = 4,
};

/// The host's wish for an entry: struct rmp_state of Linux arch/x86/virt/svm/sev.c.
struct RmpUpdate {
  bool assigned = false;
  bool immutable = false;
  RmpSize size = RmpSize::k4K;
  Asid asid = 0;
  Gpa gpa{0};
};

/// Results of PVALIDATE and RMPADJUST, in EAX. Source: APM volume 3.
enum class GuestStatus : std::uint8_t { kSuccess = 0, kFailInput = 1, kFailSizeMismatch = 6 };

/// Why an access is no match for an entry: a #NPF or #PF with the RMP bit for a CPU, an
/// I/O page fault for a device.
enum class RmpFault : std::uint8_t {
  kAssigned,      ///< the host or a T=0 request meets a page that is not the host's
  kNotAssigned,   ///< a private access meets a page that is not the guest's
  kWrongGpa,      ///< it is the guest's, at another guest address
  kNotValidated,  ///< the guest has not validated it
  kImmutable,     ///< the firmware works on it
  kVmsa,          ///< a vCPU's save area, which nobody writes
  kSizeMismatch,  ///< the entry is of 2 MiB, and the nested table's, or PVALIDATE's, of 4 KiB
};
[[nodiscard]] std::string_view rmp_fault_text(RmpFault fault);  ///< literal

enum class RmpAccess : std::uint8_t { kRead, kWrite };

/// The reverse map table: whose each page is, for RAM and for MMIO, and the checks that
/// CPUs, the IOMMU and the firmware make of it. A page that no entry names is the host's.
///
/// Beside the entries it keeps the encryption key of RAM in step (PhysicalMemory): a
/// guest's pages have the key of its ASID, context pages kFirmwareKey. A page of plain text
/// that is given to a guest with the immutable bit keeps its bytes, so that the firmware can
/// encrypt them in place at launch; without, they are lost, as plain text that is
/// decrypted, and as what another guest's key encrypted. What goes back to the host is zeros where
/// hardware leaves cipher text.
///
/// Lifetime: one a machine. Locking: any task, with locks below rank kFirmware, or in a section.
class Rmp {
 public:
  /// Pages of the firmware's own that nobody else reads. ASIDs are below.
  static constexpr hw::KeyId kFirmwareKey{0xffff};
  static constexpr Asid kMaxAsid = 0x1ff;  ///< of guests: 1 to here

  explicit Rmp(hw::PhysicalMemory& memory) : memory_(memory) {}
  /// Entries are parts of the state of `monitor`: explored, each instruction and check outside
  /// of its sections is one of its own. Before any use.
  void record(schedule::Monitor& monitor) { monitor_ = &monitor; }

  // The host's instructions.
  /// RMPUPDATE. The entry is not validated afterwards, and no VMSA.
  /// FAIL_INPUT: no RAM frame or MMIO, misaligned, an ASID without assignment or beyond
  /// kMaxAsid, an address without an ASID. FAIL_OVERLAP: a 4 KiB page inside of an assigned
  /// 2 MiB entry, or a 2 MiB one over assigned 4 KiB pages. FAIL_PERMISSION: immutable.
  RmpStatus update(Hpa page, const RmpUpdate& wanted);
  /// PSMASH: an assigned 2 MiB entry becomes 512 of 4 KiB. FAIL_INPUT: it is none.
  RmpStatus psmash(Hpa page);

  // The guest's instructions, for the page that its nested table gives for `gpa`.
  struct Validated {
    GuestStatus status = GuestStatus::kSuccess;
    bool changed = false;  ///< CF is clear
  };
  /// PVALIDATE. A fault (#NPF): the entry is not that of the guest's page at `gpa`, or is of
  /// 2 MiB and the guest wants one of 4. FAIL_SIZEMISMATCH: the reverse.
  std::expected<Validated, RmpFault> pvalidate(Asid asid, Gpa gpa, Hpa page, RmpSize size,
                                               bool validate);
  /// RMPADJUST, as far as the VMSA bit goes; by VMPL 0. A fault as of an access.
  std::expected<GuestStatus, RmpFault> rmpadjust(Asid asid, Gpa gpa, Hpa page, RmpSize size,
                                                 bool vmsa);

  // Checks of accesses; nullopt: it passes.
  /// A guest's access through a private mapping (C=1) of `gpa`, whose entry in the nested table
  /// is of 4 KiB.
  [[nodiscard]] std::optional<RmpFault> check_guest(Asid asid, Gpa gpa, Hpa page,
                                                    RmpAccess access) const;
  /// The host's CPUs, and what a guest reaches as shared (C=0): reads pass everywhere,
  /// since they see cipher text.
  [[nodiscard]] std::optional<RmpFault> check_host(Hpa page, RmpAccess access) const;
  /// A device's request. T=0 reaches pages that are not assigned; T=1 those of the guest
  /// `asid` at the `gpa` that the nested table translated.
  [[nodiscard]] std::optional<RmpFault> check_device(hw::TBit t, Asid asid, Gpa gpa,
                                                     Hpa page) const;

  // What only the firmware does.
  /// The memory controller forgets the key of `asid`, whose next guest has another: what pages
  /// with entries of it hold is lost.
  void lose_key(Asid asid);
  /// A page in state Firmware becomes a Context page, and back. Precondition: it is so, in an
  /// entry of 4 KiB.
  void make_context(Hpa page);
  void leave_context(Hpa page);
  /// The end of launch for a page: Pre-Guest → Guest-Valid. Precondition: it is Pre-Guest.
  void hand_to_guest(Hpa page, bool vmsa);
  /// Firmware → Reclaim, whose contents are lost; Pre-Guest → Guest-Invalid. Precondition: it is
  /// one of them.
  void reclaim(Hpa page);
  /// Firmware → Reclaim, with the answer that is in it. Precondition: it is Firmware, in an
  /// entry of 4 KiB.
  void let_go(Hpa page);
  /// Sets the bit as PVALIDATE does, for a page of a TDI's MMIO. Precondition: a guest's.
  void set_validated(Hpa page, bool validated);

  [[nodiscard]] RmpEntry entry(Hpa page) const;  ///< of the page, or of the 2 MiB around it
  [[nodiscard]] PageState state(Hpa page) const;
  /// Whether there is an entry for the page at all.
  [[nodiscard]] bool covers(Hpa page) const;
  [[nodiscard]] bool has_pages(Asid asid) const;  ///< whether an entry names it
  /// Assigned entries: for a machine's census.
  [[nodiscard]] std::size_t assigned() const;

 private:
  struct Slot {
    RmpEntry entry;
    bool context = false;
  };
  using Slots = std::map<std::uint64_t, Slot>;  ///< assigned ones, by address
  [[nodiscard]] const Slot* find(Hpa page) const;
  [[nodiscard]] Slot* find(Hpa page);
  [[nodiscard]] std::optional<RmpFault> check_owner(Asid asid, Gpa gpa, Hpa page,
                                                    RmpAccess access) const;
  [[nodiscard]] Slot& assigned_slot(Hpa page);
  [[nodiscard]] RmpStatus refusal(Hpa page, const RmpUpdate& wanted) const;
  [[nodiscard]] bool overlaps(Hpa page, const RmpUpdate& wanted) const;
  void erase(Hpa page);

  void touch(Hpa page, schedule::Touch::How how) const;
  void touch_region(Hpa page, schedule::Touch::How how) const;
  void touch_keys(Asid asid, schedule::Touch::How how) const;
  void touch_entry(Asid asid) const;

  hw::PhysicalMemory& memory_;
  schedule::Monitor* monitor_ = nullptr;
  // no Turn: touch() tells the monitor
  mutable schedule::RawLock lock_;
  Slots slots_;
};

}  // namespace teeio::sev
