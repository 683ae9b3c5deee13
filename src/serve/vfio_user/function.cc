#include "serve/vfio_user/function.h"

#include "base/check.h"
#include "hw/iommu.h"

namespace teeio::vfio_user {

Function::Function(hw::PciFunction& function)
    : function_(function), irqs_(function), regions_(function, irqs_) {
  function.attach(*this);
}

void Function::take(ClientMemory& memory) {
  const schedule::Lock lock(lock_);
  TEEIO_CHECK(memory_ == nullptr, "a function has two clients");
  memory_ = &memory;
}

void Function::give_back() {
  irqs_.drop_all();
  const schedule::Lock lock(lock_);
  memory_ = nullptr;
}

void Function::reset() {
  function_.reset(function_.physical_function() == nullptr ? hw::ResetKind::kHot
                                                           : hw::ResetKind::kFunctionLevel);
  regions_.forget_bars();
  irqs_.rearm();
}

/// A function moves data while its own client's task writes its registers, and never else:
/// so what is found here stays until the transfer is over.
Result<ClientMemory*> Function::memory(hw::TBit t) {
  if (t == hw::TBit::kTrusted)
    return fail(Errno::kIo, "the client's root port has no IDE for trusted requests");
  const schedule::Lock lock(lock_);
  if (memory_ == nullptr) return fail(Errno::kFault, "no client has the function");
  return memory_;
}

Result<void> Function::dma_read(hw::Requester /*from*/, hw::TBit t, Iova address,
                                std::span<std::byte> out) {
  if (out.empty()) return {};  // a flush: no write is posted here
  TEEIO_ASSIGN(ClientMemory* const from, memory(t));
  return from->read(raw(address), out);
}

Result<void> Function::dma_write(hw::Requester /*from*/, hw::TBit t, Iova address, ByteView in) {
  if (address >= hw::kInterruptRangeStart && address <= hw::kInterruptRangeLast) {
    if (in.size() != sizeof(std::uint32_t))
      return fail(Errno::kFault, "an interrupt message has 4 bytes");
    irqs_.message(raw(address), Reader(in).le<std::uint32_t>());
    return {};
  }
  TEEIO_ASSIGN(ClientMemory* const to, memory(t));
  return to->write(raw(address), in);
}

}  // namespace teeio::vfio_user
