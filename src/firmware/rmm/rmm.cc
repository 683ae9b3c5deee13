#include "firmware/rmm/rmm.h"

#include <algorithm>
#include <array>

#include "wire/spdm_capabilities.h"

namespace teeio::rmm {
namespace {

/// CMA_SPDM_GET_CAPABILITIES_REQUEST_FLAGS has what the requester here has, and this.
spdm::ChannelSetup with_clear_handshakes(spdm::ChannelSetup channels) {
  std::uint32_t& flags = channels.settings.flags;
  if (flags == 0) flags = spdm::default_requester_flags();
  flags |= wire::kSpdmCapHandshakeInTheClear;
  return channels;
}

}  // namespace

Rmm::Rmm(hw::PhysicalMemory& memory, object::Trace& trace, std::vector<hw::RootPort*> ports,
         spdm::ChannelSetup channels, Settings settings)
    : memory_(memory),
      trace_(trace),
      ports_(std::move(ports)),
      channels_(with_clear_handshakes(std::move(channels))),
      settings_(std::move(settings)) {
  operations_.assign(settings_.operations, {});
  for (std::size_t i = 0; i < settings_.psmmus.size(); ++i)
    psmmus_[raw(settings_.psmmus[i])].hardware =
        i < settings_.smmus.size() ? settings_.smmus[i] : nullptr;
}

void Rmm::set(Hpa granule, GranuleState state) { granules_[raw(granule)] = state; }

GranuleState Rmm::state_of(Hpa granule) const {
  const auto found = granules_.find(raw(granule));
  return found == granules_.end() ? GranuleState::kNs : found->second;
}

/// find_granule() and GRANULE_STATE_NS: memory, and the host's.
bool Rmm::is_hosts(Hpa granule) const {
  if (state_of(page_of(granule)) != GranuleState::kNs || memory_.is_mmio(granule)) return false;
  std::array<std::byte, 1> any{};
  return memory_.read(page_of(granule), any).has_value();
}

object::EventFields Rmm::about(Hpa object) const {
  if (const auto pdev = pdevs_.find(raw(object)); pdev != pdevs_.end())
    return {.function = pdev->second.params.function()};
  const auto vdev = vdevs_.find(raw(object));
  if (vdev == vdevs_.end()) return {};
  return {.function = vdev->second.tdi, .vm = realms_.at(raw(vdev->second.rd)).vm};
}

void Rmm::fact(object::Fact fact, std::string_view name, const Vdev& vdev, std::uint64_t a) {
  trace_.fact(object::Lane::kFirmware, fact, name,
              {.function = vdev.tdi, .vm = std::as_const(realms_).at(raw(vdev.rd)).vm, .a = a});
}

bool Rmm::panic(std::string_view assertion, Bdf function) {
  if (!defective()) return false;
  touch(kPanicked, How::kWrite);
  panicked_ = true;
  trace_.fact(object::Lane::kFirmware, object::Fact::kRefLeaked, "the RMM stopped",
              {.detail = "the RMM stopped at its assertion, " + std::string(assertion) +
                         ", with all that it holds",
               .function = function,
               .a = granules_.size()});
  return true;
}

std::size_t Rmm::granules() {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  return granules_.size();
}

bool Rmm::panicked() {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  touch(kPanicked, How::kRead);
  return panicked_;
}

}  // namespace teeio::rmm
