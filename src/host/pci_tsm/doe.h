#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "hw/pci_function.h"

namespace teeio::tsm {

/// Carries one whole DOE data object to the function's mailbox and brings the
/// answer back, dword by dword through config space. The object is not looked
/// at, beyond its length. Source: PCIe Base Spec 6.30.2; Linux drivers/pci/doe.c.
///
/// Errors: ENXIO without a mailbox; EBUSY when it stays busy; EIO when the
/// mailbox reports an error, gives no answer or an endless one (then the
/// exchange has been aborted).
/// Locking: one exchange a mailbox at a time: the DSM's lock.
Result<Bytes> doe_exchange(hw::PciFunction& function, ByteView object);

/// One protocol that a mailbox speaks, as discovery names it.
struct DoeFeature {
  std::uint16_t vendor = 0;
  std::uint8_t type = 0;
  bool operator==(const DoeFeature&) const = default;
};
inline constexpr std::uint16_t kPciSig = 1;  ///< PCI_VENDOR_ID_PCI_SIG
inline constexpr DoeFeature kDoeDiscovery{kPciSig, 0};
inline constexpr DoeFeature kDoeCma{kPciSig, 1};  ///< PCI_DOE_FEATURE_CMA: SPDM

/// Resets the mailbox and asks it what it speaks, one protocol after the other, in real
/// exchanges. Source: Linux drivers/pci/doe.c, pci_doe_create_mb(), pci_doe_cache_features().
/// Errors: ENXIO without a mailbox; EIO when the abort does not end, an exchange fails, or an
/// answer is of another protocol or size; EBUSY when one is named at the same index twice, as
/// xa_insert() has it after 256.
Result<std::vector<DoeFeature>> doe_discover(hw::PciFunction& function);

/// Whether a write there does something to the function's mailbox: control, or either data
/// register.
[[nodiscard]] bool is_doe_register(hw::PciFunction& function, std::uint16_t at);

/// A host, or who sits on the link, that does not carry what it is given: explorations have
/// one (explore/scenario/meddling.h).
class Meddler {
 public:
  /// The exchange that was asked for, with whatever object; as long as the function is there.
  using Carry = std::function<Result<Bytes>(ByteView object)>;
  virtual ~Meddler() = default;
  /// In place of one exchange. Errors: as doe_exchange().
  virtual Result<Bytes> exchange(ByteView object, const Carry& carry) = 0;
};
/// nullptr: objects are carried as they are. Not while tasks run.
void set_meddler(Meddler* meddler);

}  // namespace teeio::tsm
