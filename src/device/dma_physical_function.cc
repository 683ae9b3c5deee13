#include "device/dma_physical_function.h"

#include "schedule/fault_point.h"

namespace teeio::device {

DmaPhysicalFunction::DmaPhysicalFunction(object::Trace& trace, schedule::RwMutex& card_lock,
                                         const Role& role, const Capabilities& capabilities)
    : DmaFunction(trace, card_lock, role),
      sriov_(config_, capabilities.sriov),
      doe_(config_, *this, kDoeVector),
      dsm_(trace, role.bdf, config_, capabilities.ide_streams, capabilities.spdm) {
  add_ari(config_, capabilities.sriov.vfs == 0 ? 0 : 1);
  add_serial_number(config_, capabilities.serial);
  dsm_.add(tdi());
}

void DmaPhysicalFunction::add_vf(DmaFunction& vf) {
  vfs_.push_back(&vf);
  dsm_.add(vf.tdi());
}

/// What `--inject device:…` makes of the answer. It is lost or comes late on its way: the
/// device did what it was asked for.
Bytes DmaPhysicalFunction::handle(ByteView object) {
  using schedule::Fault;
  constexpr std::size_t kHeader = 8;  // of a data object
  if (gone_) return {};
  Bytes answer = dsm_.answer(object);
  const auto injected = [name = dsm_.last_message()](Fault fault) {
    return fault_at(schedule::FaultPlace::kDevice, name, fault);
  };
  gone_ = injected(Fault::kGone);
  if (gone_ || injected(Fault::kDrop)) return {};
  if (injected(Fault::kGarble) && answer.size() > kHeader)
    answer[kHeader + (answer.size() - kHeader) / 2] ^= std::byte{1};
  return answer;
}

bool DmaPhysicalFunction::is_late() {
  return !gone_ &&
         fault_at(schedule::FaultPlace::kDevice, dsm_.last_message(), schedule::Fault::kLate);
}

std::optional<std::uint32_t> DmaPhysicalFunction::read_special(std::uint16_t offset,
                                                               unsigned size_bytes) {
  if (!doe_.contains(offset)) return std::nullopt;
  return doe_.read(offset, size_bytes);
}

/// A word of an object goes no further than the mailbox; GO and abort do.
bool DmaPhysicalFunction::write_special(std::uint16_t offset, unsigned size_bytes,
                                        std::uint32_t value) {
  if (!doe_.contains(offset) || doe_.is_control(offset)) return false;
  doe_.write(offset, size_bytes, value);
  return true;
}

void DmaPhysicalFunction::apply_write(std::uint16_t offset, unsigned size_bytes,
                                      std::uint32_t value) {
  const SriovCapability::Registers before = sriov_.programmed();
  DmaFunction::apply_write(offset, size_bytes, value);
  if (doe_.contains(offset)) doe_.write(offset, size_bytes, value);
  dsm_.config_written(offset);
  if (!sriov_.contains(offset)) return;
  for (DmaFunction* vf : vfs_) {
    if (sriov_.programmed() != before) vf->tdi().violate("sriov-changed");
    vf->refresh_enabled();
  }
}

void DmaPhysicalFunction::on_reset(hw::ResetKind kind) {
  DmaFunction::on_reset(kind);
  doe_.reset();
  for (DmaFunction* vf : vfs_) vf->reset_locked(kind);
  if (kind == hw::ResetKind::kHot) dsm_.reset();
}

}  // namespace teeio::device
