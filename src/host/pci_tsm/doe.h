#pragma once

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

}  // namespace teeio::tsm
