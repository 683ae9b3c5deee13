#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "base/types.h"
#include "schedule/touch.h"

namespace teeio::hw {

/// Whose a page of RAM is: a memory encryption key (TDX: HKID), a world (RMM), or a guest
/// (SEV: ASID); 0 is shared memory. Every access names its own, be it a CPU's, a device's or a
/// firmware's, and only the page's owner sees its bytes. Whose the page is the firmware says,
/// by give_page(), from its own books (PAMT, granule states, RMP).
enum class KeyId : std::uint16_t { kShared = 0 };
/// What becomes of a page's bytes with another owner: zeros, where hardware leaves cipher text,
/// or the plain text, where a firmware encrypts it in place.
enum class Content : std::uint8_t { kLost, kKept };

/// What answers on the bus where there is no RAM: a BAR.
/// Locking: called without any lock of PhysicalMemory.
class MmioTarget {
 public:
  virtual ~MmioTarget() = default;
  /// `offset` and size (1–4096 bytes) lie inside the range that was claimed.
  /// Reads of nothing give all ones, as on PCI; writes to nothing vanish.
  virtual void mmio_read(std::uint64_t offset, std::span<std::byte> out) = 0;
  virtual void mmio_write(std::uint64_t offset, ByteView in) = 0;
  /// Another card's DMA, of any size inside the range, made while that card's lock is
  /// held: takes leaf locks only. False: not answered, as by all but plain memory.
  [[nodiscard]] virtual bool peer_read(std::uint64_t, std::span<std::byte>) { return false; }
  [[nodiscard]] virtual bool peer_write(std::uint64_t, ByteView) { return false; }
};

/// A program's pinned pages seen from the bus.
class WindowTarget {
 public:
  virtual ~WindowTarget() = default;
  virtual Result<void> read(std::uint64_t offset, std::span<std::byte> out) = 0;
  virtual Result<void> write(std::uint64_t offset, ByteView in) = 0;
  [[nodiscard]] virtual std::span<std::byte> direct() = 0;
};

/// The host's memory bus: RAM frames, windows onto program memory, MMIO ranges.
///
/// RAM lies at [kRamBase, kRamBase + size); windows are given addresses above
/// kWindowBase, aligned to their size rounded up to a power of two; MMIO is
/// claimed where the machine file puts the bridges' windows (below 2^46).
/// Frames are made on first allocation, so an idle machine is small.
///
/// Lifetime: outlives every device, IOMMU and firmware of its machine.
/// Locking: any task. No lock is held while a target is called, and an access
/// is no scheduling point. unmap_window() and release_mmio() wait for accesses
/// that run (a mutex of rank kPhysicalMemory), so no target calls them.
class PhysicalMemory {
 public:
  static constexpr Hpa kRamBase{0x1'0000'0000};
  static constexpr Hpa kWindowBase{0x100'0000'0000};

  explicit PhysicalMemory(std::uint64_t ram_bytes);
  ~PhysicalMemory();
  PhysicalMemory(const PhysicalMemory&) = delete;
  PhysicalMemory& operator=(const PhysicalMemory&) = delete;

  /// A zeroed, shared 4 KiB frame, lowest address first. Errors: ENOMEM.
  Result<Hpa> alloc_page();
  /// Precondition: a frame from alloc_page(), not freed yet. Its key becomes
  /// shared again and its bytes are forgotten.
  void free_page(Hpa page);
  [[nodiscard]] std::uint64_t pages_in_use() const;

  /// A frame is `owner`'s from here on. Its bytes stay where it was before. MMIO is nobody's:
  /// what is asked with a key its trusted target answers; nothing is done.
  /// Precondition: a frame or MMIO.
  void give_page(Hpa page, KeyId owner, Content content = Content::kLost);
  /// kShared for what is no RAM frame.
  [[nodiscard]] KeyId key_of(Hpa page) const;

  /// Puts `size` bytes (page aligned) of `target` on the bus; gives the address.
  /// The caller keeps `target` alive until unmap_window(). Errors: ENOMEM when
  /// `size` is above 2^46 or there is no room.
  Result<Hpa> map_window(WindowTarget& target, std::uint64_t size);
  /// Returns when the last access to the window is over.
  void unmap_window(Hpa base);

  /// Lets `target` answer [base, base + size), and `trusted` what is asked with a
  /// key: the CPU's private accesses, which are T=1 on the link. Without `trusted`
  /// nothing answers those. Errors: EBUSY on an overlap with another range, RAM
  /// or the windows.
  Result<void> claim_mmio(Hpa base, std::uint64_t size, MmioTarget& target,
                          MmioTarget* trusted = nullptr);
  void release_mmio(Hpa base);
  [[nodiscard]] bool is_mmio(Hpa address) const;

  /// One access of the CPU or of a device, of any size and alignment; split at
  /// page ends. Errors: EFAULT when nothing answers or `key` does not fit the
  /// page (then nothing of that page is transferred). MMIO that answers no
  /// trusted access reads as ones with a key, and writes vanish.
  Result<void> read(Hpa address, std::span<std::byte> out, KeyId key = KeyId::kShared);
  Result<void> write(Hpa address, ByteView in, KeyId key = KeyId::kShared);

  /// A card's shared access to another card's memory, of up to the range's end.
  /// Errors: EFAULT when no plain memory of a card answers all of it.
  Result<void> peer_read(Hpa address, std::span<std::byte> out);
  Result<void> peer_write(Hpa address, ByteView in);

  /// The bytes from `address` to the end of the frame or direct window behind it;
  /// empty when there is none. No key is checked: that is the caller's. Stable
  /// until the page or window is given back.
  [[nodiscard]] std::span<std::byte> direct(Hpa address);

  /// 8-byte little-endian table entries, as page-table walkers use them.
  /// Errors: EFAULT.
  Result<std::uint64_t> read_u64(Hpa address, KeyId key = KeyId::kShared);
  Result<void> write_u64(Hpa address, std::uint64_t value, KeyId key = KeyId::kShared);
  /// Explored, the present move touches what IOMMUs walk: the tables without a key, or those
  /// with any. Translations read them, write_u64() updates them; who changes or scans tables by
  /// other accesses says so. No scheduling point.
  enum class Tables : std::uint8_t { kShared, kTrusted };
  void touch_tables(Tables tables, schedule::Touch::How how) const;
  /// Puts `desired` in place of `expected` in one step, as a walker sets the A and D bits of
  /// an entry; else false, with what is there in `expected`. Only one that is RAM or a direct
  /// window is one step towards the program too. Precondition: aligned. Errors: EFAULT, also
  /// of MMIO.
  Result<bool> compare_exchange_u64(Hpa address, std::uint64_t& expected, std::uint64_t desired,
                                    KeyId key = KeyId::kShared);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace teeio::hw
