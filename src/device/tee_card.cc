#include "device/tee_card.h"

#include <utility>

#include "device/tee_function.h"

namespace teeio::device {

TeeCard::TeeCard() = default;

/// VFs ask their PF: they go first.
TeeCard::~TeeCard() {
  while (!functions_.empty()) functions_.pop_back();
}

void TeeCard::add(std::unique_ptr<TeeFunction> function) {
  functions_.push_back(std::move(function));
  if (functions_.size() == 1) return;
  pf().physical().add_vf(*functions_.back());
  functions_.back()->refresh_enabled();
}

Bdf TeeCard::vf_bdf(Bdf pf, unsigned index) {
  return Bdf::from_rid(static_cast<std::uint16_t>(pf.rid() + 1U + index), pf.domain);
}

ReportOptions TeeCard::report_of(const std::vector<ReportOptions>& reports, std::size_t function) {
  return function < reports.size() ? reports[function] : ReportOptions{};
}

std::uint64_t TeeCard::aligned_window(std::uint64_t bytes) {
  return (bytes + kWindowAlignment - 1) / kWindowAlignment * kWindowAlignment;
}

std::vector<hw::PciFunction*> TeeCard::functions() const {
  std::vector<hw::PciFunction*> all;
  for (const auto& function : functions_) all.push_back(function.get());
  return all;
}

const Tdi& TeeCard::tdi(std::size_t index) const {
  const TeeFunction& function = *functions_.at(index);
  return function.tdi();
}

const MmioLayout& TeeCard::layout(std::size_t index) const {
  const TeeFunction& function = *functions_.at(index);
  return function.layout();
}

std::optional<Bytes> TeeCard::answer_message(wire::Protocol protocol, ByteView message,
                                             std::uint32_t session) {
  const schedule::Section section(lock_);
  return pf().physical().dsm().answer_message(protocol, message, session);
}

void TeeCard::session_ended(std::uint32_t session) {
  const schedule::Section section(lock_);
  pf().physical().dsm().session_ended(session);
}

Attester& TeeCard::attester() { return pf().physical().dsm().attester(); }
void TeeCard::speak_by(DoeSpeaker& speaker) { pf().physical().dsm().speak_by(speaker); }
DsmMessages& TeeCard::messages() { return pf().physical().dsm(); }

}  // namespace teeio::device
