#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "object/trace.h"
#include "serve/secure_processor/processor.h"

namespace teeio::secure_processor {

/// Registers of BAR 0; docs/secure-processor.md says what each does. COMMAND is as Linux's
/// ccp driver knows it: drivers/crypto/ccp/psp-dev.h, PSP_CMDRESP_*.
enum class Register : std::uint32_t {
  kIdentity = 0x00,
  kVersion = 0x04,
  kMemoryLow = 0x08,
  kMemoryHigh = 0x0c,
  kMemoryBytes = 0x10,
  kCommand = 0x20,
  kBufferLow = 0x24,
  kBufferHigh = 0x28,
  kPageLow = 0x30,
  kPageHigh = 0x34,
  kGuestPageLow = 0x38,
  kGuestPageHigh = 0x3c,
  kAsid = 0x40,
  kRmpUpdate = 0x44,
  kPort = 0x50,
  kCall = 0x60,
  kCallEnd = 0x64,
};
inline constexpr std::uint32_t kIdentityValue = 0x50534554;  ///< "TESP"
inline constexpr std::uint32_t kVersionValue = 1;
inline constexpr std::uint32_t kResponse = 1U << 31U;  ///< COMMAND: the status is there
inline constexpr unsigned kCommandShift = 16;          ///< COMMAND: the number, 11 bits
inline constexpr std::uint32_t kCommandMask = 0x7ff;

/// RMP_UPDATE.
inline constexpr std::uint32_t kRmpAssigned = 1U << 0U;
inline constexpr std::uint32_t kRmpImmutable = 1U << 1U;
inline constexpr std::uint32_t kRmpLarge = 1U << 2U;

/// Config space of the root port that PORT names begins here.
inline constexpr std::uint64_t kPortWindow = 0x1000;
inline constexpr std::uint64_t kRegisterBytes = 0x2000;

/// Calls that a kernel's PCI/TSM core makes to its TSM: CALL's bits 23:16. Source: Linux
/// include/linux/pci-tsm.h, struct pci_tsm_ops, in that order from 1.
enum class CoreCall : std::uint8_t {
  kProbe = 1,
  kRemove,
  kConnect,
  kDisconnect,
  kBind,
  kUnbind,
  kGuestRequest,
};

/// What the host's accesses do to the secure processor. It trusts none of them.
///
/// Lifetime: the processor and the trace outlive it. Locking: one task.
class Mailbox {
 public:
  Mailbox(object::Trace& trace, Processor& processor) : trace_(trace), processor_(processor) {}

  /// BAR 0: aligned accesses of 4 bytes, and of 8 as two; others read as ones and do nothing.
  void register_read(std::uint64_t offset, std::span<std::byte> out);
  void register_write(std::uint64_t offset, ByteView in);
  void reset();

 private:
  [[nodiscard]] std::uint32_t get(std::uint64_t offset) const;
  void put(std::uint64_t offset, std::uint32_t value);
  void command(std::uint32_t value);
  void rmp_update(std::uint32_t value);
  void call(std::uint32_t value);
  void call_end(std::uint32_t value);

  object::Trace& trace_;
  Processor& processor_;
  std::uint64_t buffer_ = 0;
  std::uint32_t response_ = 0;
  std::uint64_t page_ = 0;
  std::uint64_t guest_page_ = 0;
  std::uint32_t asid_ = 0;
  std::uint32_t rmp_status_ = 0;
  std::uint32_t port_ = 0;
  std::optional<object::Trace::Call> call_;  ///< of the core, in progress
};

}  // namespace teeio::secure_processor
