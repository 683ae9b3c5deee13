#include "rules/world.h"

namespace teeio::rules {

using object::Event;
using object::Fact;

bool stopped_unheard(const FunctionWorld& f, const Event& event) {
  return event.fact == Fact::kTdiStopFailed && f.tdi_state == kTdiUnlocked;
}

Mark Mark::of(const Event& event) {
  return {.seq = event.seq,
          .from = event.from,
          .to = event.to,
          .fact = event.fact,
          .name = event.name,
          .function = event.function,
          .vm = event.vm,
          .a = event.a,
          .b = event.b,
          .c = event.c};
}

Evidence Mark::evidence() const {
  Event event;
  event.seq = seq;
  event.from = from;
  event.to = to;
  event.fact = fact;
  event.name = name;
  event.function = function;
  event.vm = vm;
  event.a = a;
  event.b = b;
  event.c = c;
  return Evidence::of(event);
}

const FunctionWorld& World::function(Bdf bdf) const {
  static const FunctionWorld kUnknown;
  const auto at = functions_.find(bdf);
  return at == functions_.end() ? kUnknown : at->second;
}

const FunctionWorld& World::function(const Event& event) const {
  return function(event.function.value_or(Bdf{}));
}

void World::apply(const Event& event) {
  apply_objects(event);
  if (!event.function) return;
  FunctionWorld& f = functions_[*event.function];
  apply_device(f, event);
  apply_firmware(f, event);
  apply_host(f, event);
}

void World::apply_device(FunctionWorld& f, const Event& event) {
  if (event.fact == Fact::kTdiState) {
    f.tdi_state = event.b;
    f.tdi_changed = Mark::of(event);
    if (event.b != kTdiLocked) return;
    f.locked = true;
    f.given_up = false;
    f.locked_at = Mark::of(event);
    f.guest_start = {};
  } else if (event.fact == Fact::kTdiLockNonce) {
    f.lock_nonce = event.a;
  }
}

void World::apply_firmware(FunctionWorld& f, const Event& event) {
  // The other facts are somebody else's.
  if (event.fact == Fact::kMmioMapped) {
    f.private_pages.insert_or_assign({event.vm, event.a}, Mark::of(event));
  } else if (event.fact == Fact::kMmioBlocked) {
    f.last_blocked = Mark::of(event);
  } else if (event.fact == Fact::kMmioUnmapped) {
    f.private_pages.erase({event.vm, event.a});
  } else if (event.fact == Fact::kMetadataCreated) {
    f.metadata_vm = event.vm;
    f.metadata = Mark::of(event);
    f.stream_blocked = false;
  } else if (event.fact == Fact::kMetadataRemoved) {
    f.metadata_vm = 0;
    f.locked = false;
  } else if (event.fact == Fact::kTdiStopped || stopped_unheard(f, event)) {
    f.locked = false;
  } else if (event.fact == Fact::kTdiStopFailed) {
    f.given_up = true;
  } else if (event.fact == Fact::kStreamBlocked) {
    f.stream_blocked = true;
  } else if (event.fact == Fact::kTrustedDmaOn) {
    f.trusted_dma = true;
    f.trusted_dma_at = Mark::of(event);
  } else if (event.fact == Fact::kTrustedDmaOff) {
    f.trusted_dma = false;
  } else if (event.fact == Fact::kGuestStart) {
    f.guest_start = Mark::of(event);
  }
}

void World::apply_host(FunctionWorld& f, const Event& event) {
  if (event.fact == Fact::kBound) {
    f.bound_vm = event.vm;
    f.bound = Mark::of(event);
  } else if (event.fact == Fact::kUnbound) {
    f.bound_vm = 0;
  } else if (event.fact == Fact::kHostMapped) {
    f.host_maps.insert_or_assign(event.a, Mark::of(event));
  } else if (event.fact == Fact::kHostMapRevoked) {
    f.host_maps.erase(event.a);
  }
}

void World::apply_objects(const Event& event) {
  if (event.fact == Fact::kVdeviceCreated) {
    vdevices_[event.a] = {.idevice = event.b, .viommu = event.c, .created = Mark::of(event)};
  } else if (event.fact == Fact::kVdeviceDestroyed) {
    vdevices_.erase(event.a);
  } else if (event.fact == Fact::kViommuCreated) {
    viommus_[event.a] = {.vm = event.vm, .created = Mark::of(event)};
  } else if (event.fact == Fact::kViommuDestroyed) {
    viommus_.erase(event.a);
  } else if (event.fact == Fact::kVmDead) {
    dead_vms_[event.vm] = Mark::of(event);
  } else if (event.fact == Fact::kVmDestroyed) {
    dead_vms_.erase(event.vm);
  }
}

}  // namespace teeio::rules
