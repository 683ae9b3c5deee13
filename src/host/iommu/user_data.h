#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/result.h"

namespace teeio::iommu {

/// What a program gives to its IOMMU's driver along with a call: structures that only
/// the two of them know (Linux: struct iommu_user_data, struct iommu_user_data_array).
/// It is read when the driver asks and not before.
///
/// Lifetime: of one call.
class UserData {
 public:
  virtual ~UserData() = default;
  UserData(const UserData&) = delete;
  UserData& operator=(const UserData&) = delete;

  [[nodiscard]] std::uint32_t type() const { return type_; }
  /// Of one structure, in bytes.
  [[nodiscard]] std::uint32_t length() const { return length_; }
  /// How many structures follow each other.
  [[nodiscard]] std::uint32_t count() const { return count_; }

  /// Structure number `index`, from `offset` on. Errors: EFAULT.
  virtual Result<void> read(std::uint32_t index, std::uint32_t offset,
                            std::span<std::byte> out) = 0;
  /// Puts bytes at the start of the first. Errors: EFAULT.
  virtual Result<void> write(ByteView in) = 0;

 protected:
  UserData(std::uint32_t type, std::uint32_t length, std::uint32_t count)
      : type_(type), length_(length), count_(count) {}

 private:
  const std::uint32_t type_;
  const std::uint32_t length_;
  const std::uint32_t count_;
};

/// iommu_copy_struct_from_user(), iommu_copy_struct_from_user_array(): the structure of
/// `type` into `out`, whose fields beyond the program's become zero. `minimum`: what the
/// type's first ABI had. Errors: EINVAL another type, a shorter or a longer structure, no
/// such index; EFAULT.
Result<void> copy_struct(UserData& data, std::uint32_t index, std::uint32_t type,
                         std::uint32_t minimum, std::span<std::byte> out);
/// One structure of iommu_copy_struct_from_full_user_array(), of any length. Errors: EINVAL
/// another type, no such index; E2BIG fields that nobody knows; EFAULT.
Result<void> copy_any_struct(UserData& data, std::uint32_t index, std::uint32_t type,
                             std::span<std::byte> out);

/// iommu_copy_struct_to_user(). Errors: EINVAL another type or a shorter structure; EFAULT.
Result<void> copy_struct_back(UserData& data, std::uint32_t type, std::uint32_t minimum,
                              ByteView in);

}  // namespace teeio::iommu
