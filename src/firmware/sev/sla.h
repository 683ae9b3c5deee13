#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/types.h"
#include "hw/physical_memory.h"

namespace teeio::sev {

/// A scatter list address: one page, or a page that lists pages. Source: AMDESE/linux-kvm
/// drivers/crypto/ccp/sev-dev-tio.{c,h}, struct sla_addr_t.
struct Sla {
  static constexpr std::uint64_t kScatter = 1U << 0U;
  static constexpr std::uint64_t kLarge = 1U << 1U;  ///< 2 MiB pages, which nobody uses
  static constexpr std::uint64_t kFrame = 0x000f'ffff'ffff'f000;
  static constexpr std::uint64_t kEnd = kFrame;  ///< ends a list: a frame of ones
  /// A list is one page of addresses, its end mark included.
  static constexpr std::size_t kMaxPages = kPageSize / sizeof(std::uint64_t) - 1;

  std::uint64_t value = 0;  ///< 0: none

  [[nodiscard]] bool null() const { return value == 0; }
  [[nodiscard]] bool scatter() const { return (value & kScatter) != 0; }
  [[nodiscard]] Hpa page() const { return Hpa{value & kFrame}; }
  [[nodiscard]] static Sla of(Hpa page, bool scatter = false) {
    return {raw(page) | (scatter ? kScatter : 0)};
  }
  /// The pages that it means, in order. Errors: EINVAL for none, 2 MiB pages, bits that are
  /// nothing, a list in a list, an empty list or one without an end; EFAULT when the list is
  /// not readable.
  [[nodiscard]] Result<std::vector<Hpa>> pages(hw::PhysicalMemory& memory) const;
  bool operator==(const Sla&) const = default;
};

/// Header of a buffer that a scatter list address means: struct sla_buffer_hdr.
struct BufferHeader {
  static constexpr std::size_t kSize = 64;  ///< bytes
  static constexpr std::uint32_t kPayloadGranule = 32;
  std::uint32_t capacity = 0;  ///< bytes of the whole buffer; the firmware asks by raising it
  std::uint32_t payload = 0;   ///< bytes behind the header, in kPayloadGranule
};

/// Data objects in buffers: struct spdm_dobj_hdr and what follows it.
struct DataObject {
  enum class Id : std::uint32_t {
    kRequest = 1,
    kResponse = 2,
    kCertificate = 4,
    kMeasurement = 5,
    kReport = 6,
  };
  /// Bytes before the object's data: 16 of requests and responses, 32 of the others.
  [[nodiscard]] static std::size_t header_size(Id id);

  Id id = Id::kRequest;
  /// Requests and responses: the DOE type. Others: what the data is (1; of measurements, 2
  /// with the transcript).
  std::uint8_t type = 0;
  std::uint16_t device_id = 0;  ///< not of requests and responses
  std::uint8_t segment = 0;
  Bytes data;

  [[nodiscard]] Bytes encode() const;
  /// Errors: EINVAL when `in` is short, or its length beyond `in` or within the header;
  /// EOPNOTSUPP for another id.
  static Result<DataObject> decode(ByteView in);
};

/// Memory behind a scatter list address.
class Buffer {
 public:
  static Result<Buffer> open(hw::PhysicalMemory& memory, Sla sla);

  [[nodiscard]] const std::vector<Hpa>& pages() const { return pages_; }
  [[nodiscard]] std::size_t size() const { return pages_.size() * kPageSize; }
  /// Errors of all: EFAULT when memory does not answer; EINVAL beyond the end.
  Result<Bytes> read(std::size_t offset, std::size_t size_bytes) const;
  Result<void> write(std::size_t offset, ByteView bytes) const;
  Result<BufferHeader> header() const;
  Result<void> put_header(const BufferHeader& header) const;
  /// The object behind the header. Errors also: DataObject::decode()'s.
  Result<DataObject> object() const;
  /// Writes header and object. Errors also: E2BIG when it does not fit into the pages.
  Result<void> put_object(const DataObject& object) const;
  /// Bytes of a buffer that holds `object`.
  [[nodiscard]] static std::size_t size_for(const DataObject& object);

 private:
  Buffer(hw::PhysicalMemory& memory, std::vector<Hpa> pages)
      : memory_(&memory), pages_(std::move(pages)) {}
  hw::PhysicalMemory* memory_;
  std::vector<Hpa> pages_;
};

}  // namespace teeio::sev
