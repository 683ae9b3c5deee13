#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "firmware/sev/platform.h"
#include "schedule/mutex.h"

namespace teeio::kvm {

/// Linux's ccp driver, as KVM and the TSM driver use it: commands to the secure processor,
/// pages that are the firmware's for a while, and RMPUPDATE.
/// Source: Linux drivers/crypto/ccp/sev-dev.c, arch/x86/virt/svm/sev.c.
///
/// Lifetime: one a machine. Locking: a leaf lock over whose MMIO is where. Each command has a
/// buffer of its own, so sev_cmd_mutex is the firmware model's lock.
class PspHost {
 public:
  PspHost(sev::Platform& psp, hw::PhysicalMemory& memory, object::Trace& trace)
      : psp_(psp), memory_(memory), trace_(trace) {}

  [[nodiscard]] sev::Platform& psp() { return psp_; }
  [[nodiscard]] sev::Rmp& rmp() { return psp_.rmp(); }
  [[nodiscard]] hw::PhysicalMemory& memory() { return memory_; }
  [[nodiscard]] object::Trace& trace() { return trace_; }

  /// __sev_snp_init_locked(): SNP_INIT_EX, with SEV-TIO if `tio` and the firmware has it.
  Result<void> snp_init(bool tio);

  /// What the firmware answered; as it was when the firmware was not asked.
  using Answer = std::optional<sev::Status>;
  /// sev_do_cmd(). `answer` is the firmware's also when the call fails.
  /// Errors: ENOMEM; EIO for any status but SUCCESS.
  Result<void> command(std::uint16_t number, ByteView buffer, Answer& answer);
  /// The same for what must not fail: again while the firmware says RESOURCE_LIMIT.
  Result<void> insist(std::uint16_t number, ByteView buffer, Answer& answer);

  // What /dev/sev asks for. Errors of all: ENOMEM; EFAULT when RMPUPDATE refuses or the firmware
  // keeps a page; EIO for any status but SUCCESS.
  /// SEV_PLATFORM_STATUS: struct sev_user_data_status.
  Result<Bytes> platform_status(Answer& answer);
  /// SEV_GET_ID: `room` bytes at most; gives how many there are (none, in `id`, with INVALID_LEN).
  Result<std::uint32_t> get_id(std::uint32_t room, Bytes& id, Answer& answer);
  /// SNP_PLATFORM_STATUS: struct sev_user_data_snp_status.
  Result<Bytes> snp_status(Answer& answer);
  /// SNP_VLEK_LOAD of a wrapped hashstick.
  Result<void> load_vlek(ByteView hashstick, Answer& answer);
  [[nodiscard]] bool snp_initialised() { return psp_.snp(); }

  /// snp_alloc_firmware_page(): a zeroed page in state Firmware. Errors: ENOMEM; EFAULT
  /// when RMPUPDATE refuses.
  Result<Hpa> alloc_firmware_page();
  /// snp_free_firmware_page(): SNP_PAGE_RECLAIM, shared, free. A page that the firmware keeps
  /// is leaked (snp_leak_pages()), and said to be.
  void free_firmware_page(Hpa page);
  /// snp_reclaim_pages() for one page: it is the host's again, but not free.
  /// Errors: EIO when the firmware or RMPUPDATE refuses; then it is leaked and said to be.
  Result<void> reclaim_page(Hpa page);

  /// Whose MMIO a range is while a TDI is bound, so that a trace tells when its pages come
  /// to be a guest's, and when no longer.
  void add_mmio(Hpa base, std::uint64_t size, Bdf function, std::uint32_t vm) TEEIO_EXCLUDES(lock_);
  void remove_mmio(Hpa base) TEEIO_EXCLUDES(lock_);

  /// rmp_make_private() and rmp_make_shared() for 4 KiB. Errors: EFAULT, as rmpupdate().
  Result<void> make_private(Hpa page, Gpa gpa, sev::Asid asid, bool immutable);
  Result<void> make_shared(Hpa page);
  /// snp_rmptable_psmash(): the 2 MiB entry around a page becomes 512 of 4 KiB; nothing to do
  /// for one that is none. Errors: EFAULT when PSMASH refuses.
  Result<void> split(Hpa page);

 private:
  static constexpr unsigned kMaxTries = 10'000;
  sev::Platform& psp_;
  hw::PhysicalMemory& memory_;
  object::Trace& trace_;
  struct Mmio {
    std::uint64_t size;
    Bdf function;
    std::uint32_t vm;
  };
  Result<void> command_in_place(std::uint16_t number, std::span<std::byte> buffer, Answer& answer);
  void tell(object::Fact fact, std::string_view name, Hpa page, Gpa gpa) TEEIO_EXCLUDES(lock_);
  schedule::Mutex lock_{schedule::Rank::kLeaf};
  std::map<Hpa, Mmio> mmio_ TEEIO_GUARDED_BY(lock_);  ///< by base
};

}  // namespace teeio::kvm
