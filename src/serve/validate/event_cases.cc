// Events (SPDM 1.3): which there are, subscriptions, and what comes then.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "serve/validate/bench.h"
#include "serve/validate/provisioning.h"
#include "serve/validate/raw_spdm.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_certificates.h"
#include "wire/spdm_events.h"

namespace teeio::serve::validate {
namespace {

using wire::SpdmCode;
using wire::SpdmErrorCode;
using wire::SpdmEventType;

constexpr std::uint8_t kDmtf = 0;

/// A session whose peer has EVENT_CAP, with a requester that answers encapsulated requests.
std::expected<Session, Verdict> eventful_session(Bench& bench) {
  if (bench.target().transport == PlatformTransport::kNone)
    return std::unexpected(skipped("transport none carries no sessions"));
  auto link = bench.negotiated_with_identity();
  if (!link) return std::unexpected(link.error());
  if (!has_flag(*link, wire::kSpdmCapEvent))
    return std::unexpected(skipped("EVENT_CAP is not set"));
  return bench.session(bench.with_signer(std::move(link)));
}

std::uint8_t event_version(Session& session) {
  return session.link().requester().negotiated()->version;
}

Bytes group_of(std::uint8_t registry, std::uint32_t attributes, std::uint16_t type) {
  wire::SpdmEventGroup group;
  group.registry = registry;
  group.attributes = attributes;
  const Bytes types = Writer().le(type).zeros(2).take();
  if (attributes == 0) group.types = types;
  Writer out;
  group.append_to(out);
  return out.take();
}

Reply subscribe_to(Session& session, std::uint8_t count, ByteView groups) {
  wire::SpdmSubscribeEventTypes request;
  request.version = event_version(session);
  request.group_count = count;
  request.groups = groups;
  return session.link().raw(request.encode(), session.id());
}

Reply subscribe_to_all(Session& session) {
  return subscribe_to(session, 1, group_of(kDmtf, wire::kSpdmAllEventTypes, 0));
}

/// Whether a group of DMTF's has the type.
std::expected<bool, Verdict> lists(const wire::SpdmSupportedEventTypes& told, SpdmEventType type) {
  bool found = false;
  ByteView rest = told.groups;
  for (unsigned i = 0; i < told.group_count; ++i) {
    const auto group = wire::SpdmEventGroup::take(rest);
    if (!group) return std::unexpected(failed(fmt::format("group {}: {}", i, group.error().why)));
    Reader types(group->types);
    while (group->registry == kDmtf && !types.rest().empty()) {
      found = found || types.le<std::uint16_t>() == std::to_underlying(type);
      types.skip(2);
    }
  }
  if (!rest.empty()) return std::unexpected(failed("groups come behind the last one"));
  return found;
}

Verdict supported(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, eventful_session(bench));
  const Bytes request = raw_spdm(event_version(session), SpdmCode::kGetSupportedEventTypes);
  const Reply reply = session.link().raw(request, session.id());
  TEEIO_CASE(reply.answered(), "{} came", reply.str());
  const auto told = wire::SpdmSupportedEventTypes::decode(reply.bytes);
  TEEIO_CASE(told.has_value(), "SUPPORTED_EVENT_TYPES: {}", told.error().why);
  TEEIO_CASE_ASSIGN(const bool listed, lists(*told, SpdmEventType::kEventLost));
  TEEIO_CASE(listed, "DMTF's EventLost is not listed");
  return passed();
}

Verdict outside(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, eventful_session(bench));
  for (const SpdmCode code : {SpdmCode::kGetSupportedEventTypes, SpdmCode::kSubscribeEventTypes}) {
    const Reply reply = session.link().raw(raw_spdm(event_version(session), code));
    TEEIO_CASE(reply.refused(), "{}: {} came", wire::spdm_name(std::to_underlying(code)),
               reply.str());
  }
  return passed();
}

Verdict subscribe(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, eventful_session(bench));
  const Bytes one = group_of(kDmtf, 0, std::to_underlying(SpdmEventType::kEventLost));
  const std::pair<const char*, Reply> replies[] = {{"all events", subscribe_to_all(session)},
                                                   {"EventLost", subscribe_to(session, 1, one)},
                                                   {"no events", subscribe_to(session, 0, {})}};
  for (const auto& [what, reply] : replies)
    TEEIO_CASE(reply.answered() && wire::SpdmSubscribeEventTypesAck::decode(reply.bytes),
               "{}: {} came", what, reply.str());
  return passed();
}

Verdict nonsense(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, eventful_session(bench));
  constexpr std::uint16_t kNoType = 0xfffe;
  const Bytes unknown = group_of(kDmtf, 0, kNoType);
  Bytes cut = group_of(kDmtf, 0, std::to_underlying(SpdmEventType::kEventLost));
  cut.pop_back();
  const Bytes whole = group_of(kDmtf, wire::kSpdmAllEventTypes, 0);
  const std::pair<const char*, Reply> replies[] = {
      {"a type that does not exist", subscribe_to(session, 1, unknown)},
      {"half a group", subscribe_to(session, 1, cut)},
      {"two groups of which there is one", subscribe_to(session, 2, whole)}};
  for (const auto& [what, reply] : replies)
    TEEIO_CASE(reply.refused(), "{}: {} came", what, reply.str());
  return passed();
}

/// Makes the device change something that there is an event for: slot 0 gets the chain that it
/// has.
std::optional<Verdict> change_something(Session& session) {
  Link& link = session.link();
  if (!has_flag(link, wire::kSpdmCapSetCert)) return skipped("SET_CERT_CAP is not set");
  wire::SpdmSetCertificate request;
  request.version = event_version(session);
  const Bytes chain = link.requester().peer_chain(0)->chain;
  request.chain = chain;
  const SlotNames names = names_of_slot_0(link);
  request.key_pair = names.key_pair;
  request.cert_model = names.cert_model;
  const Reply reply = link.raw(request.encode(), session.id());
  if (!reply.answered()) return skipped(fmt::format("SET_CERTIFICATE: {} came", reply.str()));
  return std::nullopt;
}

/// GET_ENCAPSULATED_REQUEST, and what it brings is answered; false: there was nothing.
bool ask_for_events(Session& session) {
  Link& link = session.link();
  link.requester().answer_encapsulated(session.id());
  (void)link.run();
  return !link.requester().last_events().empty();
}

Verdict sent(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, eventful_session(bench));
  if (!has_flag(session.link(), wire::kSpdmCapEncap)) return skipped("ENCAP_CAP is not set");
  const Reply subscribed = subscribe_to_all(session);
  TEEIO_CASE(subscribed.answered(), "SUBSCRIBE_EVENT_TYPES: {} came", subscribed.str());
  if (auto verdict = change_something(session)) return *verdict;
  if (!ask_for_events(session)) return skipped("there is no event of a chain that is set");
  const auto told = wire::SpdmSendEvent::decode(session.link().requester().last_events());
  TEEIO_CASE(told.has_value(), "SEND_EVENT: {}", told.error().why);
  ByteView rest = told->events;
  std::optional<std::uint32_t> last;
  while (!rest.empty()) {
    const auto event = wire::SpdmEvent::take(rest);
    TEEIO_CASE(event.has_value(), "SEND_EVENT: {}", event.error().why);
    TEEIO_CASE(!last || event->instance == *last + 1, "event {} comes behind event {}",
               event->instance, *last);
    last = event->instance;
    TEEIO_CASE(event->registry == kDmtf, "an event of registry {} comes, which is not subscribed",
               event->registry);
    TEEIO_CASE(wire::spdm_event_detail_size(event->type) == event->detail.size(),
               "an event of type {} has {} bytes of detail", event->type, event->detail.size());
  }
  return passed();
}

Verdict unsubscribed(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, eventful_session(bench));
  if (!has_flag(session.link(), wire::kSpdmCapEncap)) return skipped("ENCAP_CAP is not set");
  for (const Reply& reply : {subscribe_to_all(session), subscribe_to(session, 0, {})})
    TEEIO_CASE(reply.answered(), "SUBSCRIBE_EVENT_TYPES: {} came", reply.str());
  if (auto verdict = change_something(session)) return *verdict;
  TEEIO_CASE(!ask_for_events(session), "an event comes without a subscription");
  return passed();
}

constexpr Case kEventCases[] = {
    {"supported", "SUPPORTED_EVENT_TYPES is well formed and has DMTF's EventLost",
     "DSP0274 1.3, SUPPORTED_EVENT_TYPES", supported},
    {"clear", "Requests about events are refused outside of a session",
     "DSP0274 1.3, GET_SUPPORTED_EVENT_TYPES", outside},
    {"subscribe", "A requester can subscribe to all events, to one type, and to none",
     "DSP0274 1.3, SUBSCRIBE_EVENT_TYPES", subscribe},
    {"nonsense", "Types that do not exist and lists that are cut are refused",
     "DSP0274 1.3, SUBSCRIBE_EVENT_TYPES", nonsense},
    {"sent", "SEND_EVENT is well formed, has what is subscribed, and counts its events",
     "DSP0274 1.3, SEND_EVENT", sent},
    {"unsubscribed", "Without a subscription no event comes", "DSP0274 1.3, SEND_EVENT",
     unsubscribed},
};

}  // namespace

std::span<const Case> event_cases() { return kEventCases; }

}  // namespace teeio::serve::validate
