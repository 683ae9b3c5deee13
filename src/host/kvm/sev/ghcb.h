#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "base/types.h"
#include "hw/cpu.h"
#include "hw/physical_memory.h"

namespace teeio::kvm {

/// The page in which an SNP guest shows its host what it asks.
/// Source: AMD GHCB specification (56421) 2.03, 2.3 and table 5; Linux
/// arch/x86/include/asm/svm.h, struct ghcb.
class Ghcb {
 public:
  static constexpr std::size_t kSharedBuffer = 0x800;  ///< to 0xff0
  static constexpr std::size_t kSharedBufferEnd = 0xff0;

  /// Fields by their place; each is of 8 bytes.
  enum class Field : std::uint16_t {
    kRax = 0x1f8,
    kRcx = 0x308,
    kRdx = 0x310,
    kRbx = 0x318,
    kExitCode = 0x390,
    kExitInfo1 = 0x398,
    kExitInfo2 = 0x3a0,
    kScratch = 0x3a8,
  };

  /// Reads the page once: the guest may change it meanwhile. `at`: where it lies in memory.
  /// Errors: EFAULT.
  static Result<Ghcb> read(hw::PhysicalMemory& memory, const hw::GuestMapping& at);

  /// What the guest marked as valid; nullopt: it did not.
  [[nodiscard]] std::optional<std::uint64_t> get(Field field) const;
  [[nodiscard]] std::uint32_t usage() const;
  /// Bytes of the shared buffer. Precondition: inside of it.
  [[nodiscard]] ByteView shared(std::size_t offset, std::size_t size_bytes) const {
    return ByteView(page_).subspan(offset, size_bytes);
  }
  void set(Field field, std::uint64_t value);
  [[nodiscard]] std::span<std::byte> shared_writable(std::size_t offset, std::size_t size_bytes) {
    return std::span(page_).subspan(offset, size_bytes);
  }
  /// Writes back what set() and shared_writable() changed, and no field as valid
  /// (sev_es_sync_from_ghcb()). Errors: EFAULT.
  Result<void> write(hw::PhysicalMemory& memory, const hw::GuestMapping& at);

 private:
  std::array<std::byte, kPageSize> page_{};
};

}  // namespace teeio::kvm
