// GET_SUPPORTED_EVENT_TYPES, SUBSCRIBE_EVENT_TYPES, and what SEND_EVENT tells.
#include <algorithm>
#include <array>
#include <utility>

#include "spdm/responder_state.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_events.h"
#include "wire/spdm_session.h"

namespace teeio::spdm::responder {
namespace {

using wire::SpdmErrorCode;
using wire::SpdmEventType;

/// DMTF's group, whose events need no vendor.
constexpr std::uint8_t kDmtfRegistry = 0;
constexpr std::uint16_t kGroupVersion = 1;
/// What waits for a requester that does not ask; behind it events are lost.
constexpr std::size_t kMaxWaiting = 16;
constexpr std::array kSupported{SpdmEventType::kEventLost, SpdmEventType::kMeasurementChanged,
                                SpdmEventType::kCertificateChanged};

constexpr unsigned bit_of(SpdmEventType type) { return 1U << std::to_underlying(type); }

constexpr std::uint16_t all_supported() {
  unsigned all = 0;
  for (const SpdmEventType type : kSupported) all |= bit_of(type);
  return static_cast<std::uint16_t>(all);
}

/// The types that a group asks for, as bits; nullopt: it makes no sense here.
std::optional<unsigned> wanted_types(const wire::SpdmEventGroup& group) {
  if (group.registry != kDmtfRegistry || !group.vendor_id.empty() ||
      group.group_version != kGroupVersion)
    return std::nullopt;
  const bool all = (group.attributes & wire::kSpdmAllEventTypes) != 0;
  // Either all, or those in the list.
  if (all != group.types.empty()) return std::nullopt;
  if (all) return all_supported();
  unsigned wanted = 0;
  Reader types(group.types);
  while (!types.rest().empty()) {
    const SpdmEventType type{types.le<std::uint16_t>()};
    types.skip(2);
    if (std::ranges::find(kSupported, type) == kSupported.end()) return std::nullopt;
    wanted |= bit_of(type);
  }
  return wanted;
}

std::vector<Measurement> measured_now(const State& state) {
  return state.config.measurements != nullptr ? state.config.measurements->measurements()
                                              : std::vector<Measurement>{};
}

void subscribe(State& state, Session& session, std::uint16_t types) {
  session.events.subscribed = types;
  session.events.waiting.clear();
  session.events.sent = 0;
  session.events.last_lost.reset();
  session.events.measured = (types & bit_of(SpdmEventType::kMeasurementChanged)) != 0
                                ? measured_now(state)
                                : std::vector<Measurement>{};
}

void raise(Session& session, SpdmEventType type, Bytes detail) {
  Events& events = session.events;
  if (!session.established || (events.subscribed & bit_of(type)) == 0) return;
  const std::uint32_t instance = events.next_instance++;
  if (events.waiting.size() >= kMaxWaiting)
    events.last_lost = instance;
  else
    events.waiting.push_back({instance, std::to_underlying(type), std::move(detail)});
}

bool same_value(const Measurement& one, const Measurement& other) {
  return one.type == other.type && one.raw == other.raw && one.value == other.value;
}

/// Each index whose block is not in `in` as it is here. Its bit: byte index / 8, from the lowest
/// on; a reading of DSP0274 1.3 that no public implementation confirms.
void mark_changes(const std::vector<Measurement>& here, const std::vector<Measurement>& in,
                  Bytes& bits) {
  constexpr unsigned kBits = 8;
  for (const Measurement& block : here) {
    const auto other = std::ranges::find(in, block.index, &Measurement::index);
    if (other == in.end() || !same_value(block, *other))
      bits.at(block.index / kBits) |= std::byte{1} << (block.index % kBits);
  }
}

void look_at_measurements(const State& state, Session& session) {
  Events& events = session.events;
  if ((events.subscribed & bit_of(SpdmEventType::kMeasurementChanged)) == 0) return;
  std::vector<Measurement> now = measured_now(state);
  Bytes bits(*wire::spdm_event_detail_size(std::to_underlying(SpdmEventType::kMeasurementChanged)));
  mark_changes(now, events.measured, bits);
  mark_changes(events.measured, now, bits);
  if (std::ranges::all_of(bits, [](std::byte byte) { return byte == std::byte{0}; })) return;
  events.measured = std::move(now);
  raise(session, SpdmEventType::kMeasurementChanged, std::move(bits));
}

void append_event(Writer& out, const Events::Event& event) {
  wire::SpdmEvent one;
  one.instance = event.instance;
  one.registry = kDmtfRegistry;
  one.type = event.type;
  one.detail = event.detail;
  one.append_to(out);
}

}  // namespace

Reply get_supported_event_types(Call& call) {
  const auto request = wire::SpdmGetSupportedEventTypes::decode(call.request);
  if (!request) return refuse(request.error(), wire::SpdmCode::kGetSupportedEventTypes);
  Writer types;
  for (const SpdmEventType type : kSupported) types.le(std::to_underlying(type)).zeros(2);
  const Bytes list = types.take();
  wire::SpdmEventGroup group;
  group.registry = kDmtfRegistry;
  group.group_version = kGroupVersion;
  group.types = list;
  Writer groups;
  group.append_to(groups);
  const Bytes all = groups.take();
  wire::SpdmSupportedEventTypes answer;
  answer.version = call.state.version();
  answer.group_count = 1;
  answer.groups = all;
  return answer.encode();
}

Reply subscribe_event_types(Call& call) {
  const auto request = wire::SpdmSubscribeEventTypes::decode(call.request);
  if (!request) return refuse(request.error(), wire::SpdmCode::kSubscribeEventTypes);
  ByteView rest = request->groups;
  unsigned types = 0;
  for (unsigned i = 0; i < request->group_count; ++i) {
    const auto group = wire::SpdmEventGroup::take(rest);
    const auto wanted = group ? wanted_types(*group) : std::nullopt;
    if (!wanted) return refuse(SpdmErrorCode::kInvalidRequest);
    types |= *wanted;
  }
  if (!rest.empty()) return refuse(SpdmErrorCode::kInvalidRequest);
  subscribe(call.state, *call.session, static_cast<std::uint16_t>(types));
  wire::SpdmSubscribeEventTypesAck answer;
  answer.version = call.state.version();
  return answer.encode();
}

std::expected<bool, Refusal> wants_all_events(const State& state, std::uint8_t policy) {
  if (state.version() < wire::kSpdmVersion13 || (policy & wire::kSpdmPolicyAllEvents) == 0)
    return false;
  if (!state.can(wire::kSpdmCapEvent, 0)) return refuse(SpdmErrorCode::kInvalidRequest);
  return true;
}

void subscribe_to_all_events(State& state, Session& session) {
  subscribe(state, session, all_supported());
}

void note_certificates_changed(State& state, std::uint8_t slots) {
  for (const auto& session : state.sessions)
    raise(*session, SpdmEventType::kCertificateChanged, {std::byte{slots}});
}

bool has_events(State& state, Session& session) {
  if (!state.can(wire::kSpdmCapEvent, 0)) return false;
  look_at_measurements(state, session);
  return !session.events.waiting.empty();
}

Bytes send_event_request(const State& state, Session& session) {
  Events& events = session.events;
  if (events.last_lost && (events.subscribed & bit_of(SpdmEventType::kEventLost)) != 0) {
    Bytes detail = Writer().le(events.last_acked).le(*events.last_lost).take();
    events.waiting.push_back(
        {events.next_instance++, std::to_underlying(SpdmEventType::kEventLost), std::move(detail)});
  }
  events.last_lost.reset();
  Writer list;
  for (const Events::Event& event : events.waiting) append_event(list, event);
  const Bytes all = list.take();
  events.sent = events.waiting.size();
  wire::SpdmSendEvent request;
  request.version = state.version();
  request.count = static_cast<std::uint32_t>(events.waiting.size());
  request.events = all;
  return request.encode();
}

void events_acknowledged(Session& session) {
  Events& events = session.events;
  const std::size_t acked = std::exchange(events.sent, 0);
  if (acked == 0) return;
  events.last_acked = events.waiting.at(acked - 1).instance;
  events.waiting.erase(events.waiting.begin(),
                       events.waiting.begin() + static_cast<std::ptrdiff_t>(acked));
}

}  // namespace teeio::spdm::responder
