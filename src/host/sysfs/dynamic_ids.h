#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "host/sysfs/pci_identity.h"

namespace teeio::sysfs {

/// Which functions a driver was told to take (Linux: struct pci_device_id of a dynid). Fields
/// are as wide as they are written: a vendor of 17 bits is kept, and is nobody's.
struct DynamicId {
  static constexpr std::uint32_t kAny = ~std::uint32_t{0};  ///< PCI_ANY_ID
  std::uint32_t vendor = 0, device = 0;
  std::uint32_t subvendor = kAny, subdevice = kAny;
  std::uint32_t class_code = 0, class_mask = 0;

  /// pci_match_one_id() of drivers/pci/pci.h.
  [[nodiscard]] bool matches(const DynamicId& function) const;
  /// A function as an id: its class counts, and no mask.
  [[nodiscard]] static DynamicId of(const PciIdentity& function);
};

/// What new_id and remove_id were given.
struct WrittenId {
  DynamicId id;
  std::uint64_t driver_data = 0;
  unsigned fields = 0;  ///< how many of the seven
};
/// As sscanf() of the kernel with "%x %x %x %x %x %x %lx": numbers in hexadecimal, "0x" before
/// them or not, of which the low bits count. nullopt: fewer than vendor and device.
/// Source: Linux drivers/pci/pci-driver.c, new_id_store(); lib/vsprintf.c, vsscanf().
[[nodiscard]] std::optional<WrittenId> parse_dynamic_id(std::string_view text);

/// A driver's dynamic ids, in the order of their arrival. Locking: the owner's.
class DynamicIds {
 public:
  /// do_pci_add_dynid(): false when `unique` and one that is there matches it.
  [[nodiscard]] bool add(const DynamicId& id, bool unique);
  /// remove_id_store(): the first that fits; false: none.
  [[nodiscard]] bool remove(const DynamicId& id);
  [[nodiscard]] bool match(const DynamicId& function) const;

 private:
  std::vector<DynamicId> ids_;
};

}  // namespace teeio::sysfs
