#include "serve/served_device.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "device/tdi.h"
#include "hw/capabilities.h"
#include "machine/tee_cards.h"
#include "serve/ide_setup.h"

namespace teeio::serve {
namespace {

/// A card without namespaces is made of nothing that could fail.
std::unique_ptr<device::TeeCard> make_card(object::Trace& trace, const machine::CardConfig& card) {
  auto made = machine::make_tee_card(trace, card, {.storage = false});
  TEEIO_CHECK(made.has_value(), "a card without storage could not be made");
  return std::move(*made);
}

}  // namespace

ServedDevice::ServedDevice(const machine::CardConfig& card, const SpeakerOptions& options,
                           KeyLog& key_log)
    : card_(card),
      options_(options),
      key_log_(key_log),
      model_(make_card(trace_, card)),
      slots_(card.serial, options.slots) {
  trace_.add_sink(*this);
  set_up();
}

ServedDevice::~ServedDevice() = default;

Speaker& ServedDevice::speaker(PlatformTransport transport) {
  if (speaker_ != nullptr && transport == transport_) return *speaker_;
  if (speaker_ != nullptr) speaker_->reset();
  transport_ = transport;
  speaker_ = std::make_unique<Speaker>(*model_, *model_->functions().front(), slots_, transport,
                                       options_, key_log_);
  return *speaker_;
}

Bytes ServedDevice::answer(PlatformTransport transport, ByteView packet) {
  return speaker(transport).answer(packet);
}

void ServedDevice::want_encapsulated(PlatformTransport transport, PlatformCommand command,
                                     ByteView payload) {
  speaker(transport).want_encapsulated(command, payload);
}

Bytes ServedDevice::answer_tdisp(ByteView message) const {
  const auto request = wire::decode_tdisp(message);
  const auto refuse = [&](wire::TdispError code) {
    const auto id = request ? request->function_id : wire::TdispFunctionId{};
    return wire::encode_tdisp({id, wire::TdispErrorResponse{std::to_underlying(code), 0, {}}});
  };
  if (!request) return refuse(wire::TdispError::kInvalidRequest);
  if (!std::holds_alternative<wire::TdispGetInterfaceState>(request->body))
    return refuse(wire::TdispError::kUnsupportedRequest);
  for (const TdiStatus& tdi : tdis())
    if (wire::TdispFunctionId::of(tdi.function).raw == request->function_id.raw)
      return wire::encode_tdisp({request->function_id, wire::TdispInterfaceState{tdi.state}});
  return refuse(wire::TdispError::kInvalidInterface);
}

std::vector<TdiStatus> ServedDevice::tdis() const {
  std::vector<TdiStatus> list;
  const auto functions = model_->functions();
  for (std::size_t i = 0; i < functions.size(); ++i)
    list.push_back({functions[i]->bdf(), model_->tdi(i).state()});
  return list;
}

hw::PciFunction* ServedDevice::function(Bdf bdf) const {
  for (hw::PciFunction* function : model_->functions())
    if (function->bdf() == bdf) return function;
  return nullptr;
}

std::optional<ServedDevice::Agreement> ServedDevice::agreement() const {
  const ByteView kept = speaker_ != nullptr ? speaker_->kept_agreement() : ByteView();
  if (kept.empty()) return std::nullopt;
  return Agreement{transport_, Bytes(kept.begin(), kept.end())};
}

bool ServedDevice::restore(const Agreement& agreement) {
  return speaker(agreement.transport).restore_agreement(agreement.message_a);
}

void ServedDevice::reset() {
  if (speaker_ != nullptr) speaker_->reset();
  model_->functions().front()->reset(hw::ResetKind::kHot);
  set_up();
}

void ServedDevice::set_up() {
  const auto functions = model_->functions();
  for (hw::PciFunction* function : functions)
    function->config_write(hw::kCommand, 2, hw::kCommandMemorySpace | hw::kCommandBusMaster);
  set_up_ide(*functions.front(), functions.back()->bdf().rid(), card_, options_.ide_streams);
}

void ServedDevice::on_event(const object::Event& event) {
  if (event.fact != object::Fact::kTdiState || !event.function) return;
  changes_.push_back({*event.function, wire::TdiState{static_cast<std::uint8_t>(event.a)},
                      wire::TdiState{static_cast<std::uint8_t>(event.b)}, event.detail});
}

}  // namespace teeio::serve
