#pragma once

#include "base/check.h"
#include "host/kvm/event_fds.h"
#include "host/mm/plain_caller.h"
#include "host/mm/plain_files.h"

namespace teeio::kvm::test {

/// A program with two VMs and an eventfd that either of them may have for an interrupt line.
struct OneEventFd {
  static constexpr std::uint32_t kLine = 5;

  OneEventFd() {
    TEEIO_CHECK(of_first.create_kernel() && of_second.create_kernel(), "an irqchip is made");
  }

  mm::PlainProcess process{1};
  mm::PlainCaller caller{process};
  x86::Interrupts of_first, of_second;
  TakenEventFds taken;
  IrqFds first{of_first, taken}, second{of_second, taken};
  const object::Ref<mm::PlainEventFd> event = object::make_ref<mm::PlainEventFd>();
  const IrqFdRequest request{.fd = *caller.install(object::Ref<object::File>(event), 0),
                             .gsi = kLine};
};

}  // namespace teeio::kvm::test
