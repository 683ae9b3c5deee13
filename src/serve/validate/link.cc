#include "serve/validate/link.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <utility>

namespace teeio::serve::validate {
namespace {

Reply from_loss(Client::Loss loss) {
  Reply reply;
  reply.kind = Reply::Kind::kLost;
  switch (loss) {
    case Client::Loss::kTimeout:
      reply.why = "nothing in time";
      break;
    case Client::Loss::kClosed:
      reply.why = "the end of the connection";
      break;
    case Client::Loss::kNonsense:
      reply.why = "no message of this transport";
      break;
  }
  return reply;
}

Reply from_error(std::uint8_t code, std::uint8_t data) {
  Reply reply;
  reply.kind = Reply::Kind::kError;
  reply.code = code;
  reply.data = data;
  return reply;
}

Reply answer(ByteView bytes) {
  Reply reply;
  reply.kind = Reply::Kind::kAnswer;
  reply.bytes.assign(bytes.begin(), bytes.end());
  return reply;
}

Reply spdm_reply(ByteView message) {
  Reply reply = answer(message);
  const auto error = wire::SpdmError::decode(message);
  if (!error) return reply;
  reply.kind = Reply::Kind::kError;
  reply.code = error->code;
  reply.data = error->data;
  return reply;
}

Reply dropped() {
  Reply reply;
  reply.kind = Reply::Kind::kDropped;
  return reply;
}

}  // namespace

spdm::Transport spdm_transport(PlatformTransport transport) {
  switch (transport) {
    case PlatformTransport::kNone:
      return spdm::Transport::kNone;
    case PlatformTransport::kMctp:
      return spdm::Transport::kMctp;
    case PlatformTransport::kPciDoe:
      return spdm::Transport::kPciDoe;
    case PlatformTransport::kTcp:
      return spdm::Transport::kTcp;
  }
  std::unreachable();
}

std::string Reply::str() const {
  switch (kind) {
    case Kind::kAnswer:
      return fmt::format("an answer of {} bytes", bytes.size());
    case Kind::kError:
      return fmt::format("ERROR {} ({:#04x})", wire::spdm_error_name(code), data);
    case Kind::kDropped:
      return "no answer";
    case Kind::kLost:
      return std::string(why);
    case Kind::kRefused:
      return fmt::format("an answer that is wrong: {}", why);
  }
  std::unreachable();
}

void Heard::received(std::uint32_t /*session*/, ByteView spdm) {
  if (const auto header = wire::SpdmHeader::decode(spdm))
    last_[header->code] = Bytes(spdm.begin(), spdm.end());
}

void Heard::sent(std::uint32_t session, ByteView spdm) { received(session, spdm); }

bool Heard::has_sent(wire::SpdmCode code) const { return last(code) != nullptr; }

const Bytes* Heard::last(wire::SpdmCode code) const {
  const auto at = last_.find(std::to_underlying(code));
  return at == last_.end() ? nullptr : &at->second;
}

Link::Link(Client client, spdm::RequesterConfig config, LinkOwner& owner)
    : client_(std::move(client)),
      transport_(spdm_transport(client_.transport())),
      owner_(&owner),
      heard_(std::make_unique<Heard>(owner.watch)),
      requester_([&] {
        config.observer = heard_.get();
        return std::move(config);
      }()) {}

Reply Link::packet(ByteView bytes) {
  Watch* const watch = owner_->watch;
  if (watch != nullptr) watch->packet(client_.transport(), PacketSender::kRequester, bytes);
  const auto came = client_.exchange(PlatformCommand::kNormal, bytes);
  if (watch != nullptr)
    watch->packet(client_.transport(), PacketSender::kResponder, came ? *came : Bytes());
  if (!came) owner_->lost = true;
  if (!came) return from_loss(came.error());
  return came->empty() ? dropped() : answer(*came);
}

Reply Link::message(const spdm::MessageView& message) {
  Reply reply = packet(spdm::wrap(transport_, message));
  if (!reply.answered()) return reply;
  const auto inside = spdm::unwrap(transport_, reply.bytes);
  if (!inside) {
    reply.kind = Reply::Kind::kRefused;
    reply.why = inside.error().why;
    return reply;
  }
  return inside->secured ? answer(inside->bytes) : spdm_reply(inside->bytes);
}

/// A device that is not ready is asked again after what it asks for, and each time later.
bool Link::wait(std::uint64_t& waited_us) {
  const std::uint64_t asked_us = requester_.wait_us();
  if (asked_us == 0) {
    waited_us = 0;
    return true;
  }
  const std::uint64_t wait_us = std::max(asked_us, waited_us);
  const std::uint64_t limit_us = std::max(kLeastWaitUs, std::uint64_t{client_.timeout_ms()} * 1000);
  if (waited_us + wait_us > limit_us) return false;
  waited_us += wait_us;
  // The suite has no other thread and nothing else to do.
  (void)::poll(nullptr, 0, static_cast<int>(wait_us / 1000 + 1));
  return true;
}

Reply Link::run() {
  std::uint64_t waited_us = 0;  // for the request that is next
  for (unsigned i = 0; i < kMaxExchanges; ++i) {
    const spdm::Message* const request = requester_.request();
    if (request == nullptr) {
      const auto failure = requester_.failure();
      if (!failure) return answer({});
      Reply reply;
      reply.kind = Reply::Kind::kRefused;
      reply.why = failure->why;
      reply.too_large = failure->code == Errno::kTooBig;
      return reply;
    }
    if (!wait(waited_us)) {
      Reply reply;
      reply.kind = Reply::Kind::kRefused;
      reply.why = "Busy or ResponseNotReady, a longer wait than the time limit of an exchange";
      return reply;
    }
    Reply reply = take(packet(spdm::wrap(transport_, spdm::view(*request))));
    if (!reply.answered()) return reply;
  }
  Reply reply;
  reply.why = "no end of the exchange";
  return reply;
}

Reply Link::take(const Reply& came) {
  if (!came.answered()) return came;
  const auto inside = spdm::unwrap(transport_, came.bytes);
  const auto taken = inside ? requester_.take(*inside) : std::unexpected(inside.error());
  if (taken) return came;
  if (const auto error = requester_.last_error(); error && taken.error().code == Errno::kIo)
    return from_error(error->code, error->data);
  Reply reply;
  reply.kind = Reply::Kind::kRefused;
  reply.why = taken.error().why;
  reply.too_large = taken.error().code == Errno::kTooBig;
  return reply;
}

Reply Link::raw(Bytes request, std::uint32_t session) {
  requester_.send_raw(session, std::move(request));
  Reply reply = run();
  return reply.answered() ? spdm_reply(requester_.raw_answer()) : reply;
}

Reply Link::send_instead(const spdm::MessageView& other) {
  (void)requester_.request();  // what the answer is for
  Reply reply = take(packet(spdm::wrap(transport_, other)));
  if (reply.answered() && requester_.wait_us() != 0) reply = run();
  return reply.answered() ? spdm_reply(requester_.raw_answer()) : reply;
}

spdm::Message Link::next_request() {
  const spdm::Message* const request = requester_.request();
  return request != nullptr ? *request : spdm::Message{};
}

}  // namespace teeio::serve::validate
