#pragma once

#include <functional>

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

/// A host, or who sits on the link, that does not carry what it is given: explorations have
/// one (explore/scenario/meddling.h).
class Meddler {
 public:
  /// The exchange that was asked for, with whatever object.
  using Carry = std::function<Result<Bytes>(ByteView object)>;
  virtual ~Meddler() = default;
  /// In place of one exchange. Errors: as doe_exchange().
  virtual Result<Bytes> exchange(ByteView object, const Carry& carry) = 0;
};
/// nullptr: objects are carried as they are. Not while tasks run.
void set_meddler(Meddler* meddler);

}  // namespace teeio::tsm
