#include "device/physical_part.h"

#include "device/tee_function.h"
#include "schedule/fault_point.h"

namespace teeio::device {

PhysicalPart::PhysicalPart(object::Trace& trace, TeeFunction& pf, hw::ConfigSpace& config,
                           const Options& options)
    : pf_(pf),
      doe_vector_(options.doe_vector),
      sriov_(config, options.sriov),
      doe_(config, *this, doe_vector_),
      dsm_(trace, pf.bdf(), config, options.ide_streams, options.spdm, options.ide) {
  add_ari(config, options.sriov.vfs == 0 ? 0 : 1);
  add_serial_number(config, options.serial);
  dsm_.add(pf.tdi());
}

void PhysicalPart::add_vf(TeeFunction& vf) {
  vfs_.push_back(&vf);
  dsm_.add(vf.tdi());
}

/// What `--inject device:…` makes of the answer. It is lost or comes late on its way: the
/// device did what it was asked for.
Bytes PhysicalPart::handle(ByteView object) {
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

bool PhysicalPart::is_late() {
  return !gone_ &&
         fault_at(schedule::FaultPlace::kDevice, dsm_.last_message(), schedule::Fault::kLate);
}

void PhysicalPart::mailbox_interrupt() {
  pf_.touch(CardPart::kFunction, schedule::Touch::How::kWrite);
  pf_.fire(doe_vector_);
}

std::optional<std::uint32_t> PhysicalPart::read_special(std::uint16_t offset, unsigned size_bytes) {
  if (!doe_.contains(offset)) return std::nullopt;
  return doe_.read(offset, size_bytes);
}

/// A word of an object goes no further than the mailbox; GO and abort do.
bool PhysicalPart::write_special(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) {
  if (!doe_.contains(offset) || doe_.is_control(offset)) return false;
  doe_.write(offset, size_bytes, value);
  return true;
}

void PhysicalPart::written(std::uint16_t offset, unsigned size_bytes, std::uint32_t value,
                           const SriovCapability::Registers& before) {
  using How = schedule::Touch::How;
  if (doe_.contains(offset)) {
    pf_.touch(CardPart::kDsm, How::kWrite);
    doe_.write(offset, size_bytes, value);
  }
  if (dsm_.is_about(offset)) {
    pf_.touch(CardPart::kDsm, How::kWrite);
    dsm_.config_written(offset);
  }
  if (!sriov_.contains(offset)) return;
  pf_.touch(CardPart::kSriov, How::kWrite);
  for (TeeFunction* vf : vfs_) {
    vf->touch(CardPart::kFunction, How::kWrite);
    if (sriov_.programmed() != before) vf->tdi().violate("sriov-changed");
    vf->refresh_enabled();
  }
}

void PhysicalPart::reset(hw::ResetKind kind) {
  using How = schedule::Touch::How;
  doe_.reset();
  for (TeeFunction* vf : vfs_) {
    vf->touch(CardPart::kFunction, How::kWrite);
    vf->reset_locked(kind);
  }
  if (kind != hw::ResetKind::kHot) return;
  pf_.touch(CardPart::kDsm, How::kWrite);
  dsm_.reset();
}

}  // namespace teeio::device
