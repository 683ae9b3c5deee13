#include "host/kvm/sev/sev_vm.h"
#include "host/kvm/vm.h"
#include "host/pci_tsm/sev/sev_driver.h"
#include "wire/tdisp.h"

namespace teeio::tsm {
namespace {

using sev::DataObject;
using sev::TioCommand;

}  // namespace

sev::TioOperands SevDriver::about(const Bound& bound) {
  sev::TioOperands in;
  in.tdi = bound.context;
  in.guest = bound.gctx;
  in.guest_device_id = bound.guest_device_id;
  in.asid = bound.asid;
  return in;
}

/// tdi_bind(): TDI_CREATE, TDI_BIND without the run flag, TDI_STATUS.
Result<void> SevDriver::bind(hw::PciFunction& function, const Tdi& tdi, kvm::Vm& vm) {
  const Hpa gctx = vm.firmware_handle();
  if (raw(gctx) == 0) return fail(Errno::kNoSys, "the VM is no active SNP guest");
  Card* const card = cards_.with_device_of(function);
  if (card == nullptr) return fail(Errno::kNxio, "the function is of no connected card");
  TEEIO_ASSIGN(const sev::Sla context, card->dsm->alloc_tdi_context());
  Bound made{.card = card,
             .context = context,
             .gctx = gctx,
             .asid = static_cast<const kvm::SevVm&>(vm.ops()).asid(),
             .guest_device_id = static_cast<std::uint16_t>(tdi.tdi_id)};
  sev::TioOperands create = about(made);
  create.function_id = wire::TdispFunctionId::of(function.bdf()).raw;
  if (auto created = card->dsm->command(TioCommand::kTdiCreate, create); !created) {
    card->dsm->free_tdi_context(context);
    return created;
  }
  if (auto done = bind_steps(made); !done) {
    release(made);
    return done;
  }
  for (const hw::Bar& bar : function.bars())
    if (bar.kind != hw::Bar::Kind::kNone)
      psp_.add_mmio(bar.base, bar.size, function.bdf(), vm.number());
  bound_.add(function.bdf(), std::move(made));
  return {};
}

Result<void> SevDriver::bind_steps(Bound& bound) {
  TEEIO_TRY(bound.card->dsm->command(TioCommand::kTdiBind, about(bound)));
  bound.report = bound.card->dsm->output(DataObject::Id::kReport);
  TEEIO_ASSIGN(const std::uint32_t state, tdi_state(bound));
  if (state != static_cast<std::uint32_t>(wire::TdiState::kConfigLocked))
    return fail(Errno::kIo, "the TDI is not locked after its bind");
  return {};
}

/// TDI_STATUS: the device's own word.
Result<std::uint32_t> SevDriver::tdi_state(const Bound& bound) {
  TEEIO_TRY(bound.card->dsm->command(TioCommand::kTdiStatus, about(bound)));
  const Bytes data = bound.card->dsm->data(8);
  Reader in(data);
  in.skip(4);
  return in.le<std::uint8_t>();
}

/// tdi_unbind(). Nobody maps the MMIO of a TDI that is stopped anew; what is mapped goes after
/// the fence was looked at.
void SevDriver::unbind(hw::PciFunction& function, const Tdi&, kvm::Vm& vm,
                       TeardownHandlers& handlers) {
  handlers.hold_mmio();
  release(bound_.of(function.bdf()));
  (void)bound_.take(function.bdf());
  handlers.disable_mmio();
  // What a dead VM, or an owner that is gone, has left mapped: legal at any time.
  for (const hw::Bar& bar : function.bars())
    if (bar.kind != hw::Bar::Kind::kNone) vm.mmu().reclaim_mmio(bar.base, bar.size);
  share_mmio(function);
  handlers.recover_mmio();
}

/// A TDI that a failed bind has left locked is unbound, too: AMD's driver leaves the device so.
void SevDriver::release(Bound& bound) {
  TioDsm& dsm = *bound.card->dsm;
  if (bound.needs_unbind) {
    sev::TioOperands unbind = about(bound);
    if (!dsm.command(TioCommand::kTdiUnbind, unbind) &&
        dsm.status() != sev::Status::kInvalidTdiState) {
      unbind.flags = sev::kForce;
      (void)dsm.insist(TioCommand::kTdiUnbind, unbind);
    }
  }
  (void)tdi_state(bound);  // for the log
  (void)dsm.insist(TioCommand::kTdiReclaim, about(bound));
  dsm.free_tdi_context(bound.context);
  // DMA in bits 1:0, MMIO in 3:2: two verdicts, either of which is a fence.
  constexpr std::uint64_t kFenced = 0xf;
  if (!dsm.command(TioCommand::kAsidFenceStatus, about(bound))) return;
  const Bytes status = dsm.data(8);
  const bool fenced = (Reader(status).le<std::uint64_t>() & kFenced) != 0;
  if (fenced && bound.unfence) (void)dsm.insist(TioCommand::kAsidFenceClear, about(bound));
}

void SevDriver::share_mmio(hw::PciFunction& function) {
  for (const hw::Bar& bar : function.bars()) {
    if (bar.kind == hw::Bar::Kind::kNone) continue;
    for (std::uint64_t offset = 0; offset < bar.size; offset += kPageSize)
      if (psp_.rmp().entry(bar.base + offset).assigned) (void)psp_.make_shared(bar.base + offset);
    psp_.remove_mmio(bar.base);
  }
}

}  // namespace teeio::tsm
