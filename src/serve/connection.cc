#include "serve/connection.h"

#include <fmt/format.h>

#include <span>
#include <utility>

#include "wire/transport_framing.h"

namespace teeio::serve {
namespace {

ByteView bytes_of_text(std::string_view text) { return std::as_bytes(std::span(text)); }

/// Before four bytes are there, nobody knows. A message of nothing but its type has length 0, as
/// have the first bytes of each command of spdm-emu's; none of those reads as 1BFh or above.
bool is_raw(ByteView in) {
  if (in.size() < wire::TcpBindingMessage::kHeaderSize ||
      in[2] != std::byte{wire::TcpBindingMessage::kVersion})
    return false;
  return in[0] != std::byte{0} || in[1] != std::byte{0} ||
         in[3] >= std::byte{std::to_underlying(wire::TcpBindingType::kRoleInquiry)};
}

/// A DSP0287 message of nothing but its type.
Bytes bare(wire::TcpBindingType type) {
  return wire::TcpBindingMessage{wire::TcpBindingMessage::kVersion, std::to_underlying(type), {}}
      .encode();
}

void append(Bytes& to, const Bytes& more) { to.insert(to.end(), more.begin(), more.end()); }

}  // namespace

Connection::Step Connection::receive(ByteView bytes) {
  Step step;
  const bool first = in_.size() < wire::TcpBindingMessage::kHeaderSize && !transport_;
  in_.insert(in_.end(), bytes.begin(), bytes.end());
  if (first) raw_ = is_raw(in_);
  if (raw_) return receive_raw();
  std::size_t used = 0;
  while (step.next == Next::kGoOn) {
    const ByteView rest = ByteView(in_).subspan(used);
    const auto header = PlatformHeader::decode(rest);
    if (!header) break;
    if (const auto why = fault(*header)) {
      owner_.log(*why + "; closing the connection");
      step.next = Next::kClose;
      break;
    }
    if (rest.size() - PlatformHeader::kSize < header->size) break;
    transport_ = PlatformTransport{header->transport};
    step.next = handle(*header, rest.subspan(PlatformHeader::kSize, header->size), step.out);
    used += PlatformHeader::kSize + header->size;
  }
  in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(used));
  return step;
}

Connection::Step Connection::receive_raw() {
  Step step;
  if (only_ && *only_ != PlatformTransport::kTcp) {
    owner_.log(
        fmt::format("SPDM over TCP came, only {} is served; closing the connection", name(*only_)));
    step.next = Next::kClose;
    return step;
  }
  transport_ = PlatformTransport::kTcp;
  std::size_t used = 0;
  for (;;) {
    const ByteView rest = ByteView(in_).subspan(used);
    const std::size_t size = wire::TcpBindingMessage::size_of(rest);
    if (size == 0 || rest.size() < size) break;
    append(step.out, answer_raw(rest.first(size)));
    used += size;
    if (!declined_) continue;
    step.next = Next::kClose;
    break;
  }
  in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(used));
  return step;
}

Bytes Connection::answer_raw(ByteView packet) {
  using wire::TcpBindingType;
  const auto message = wire::TcpBindingMessage::decode(packet);
  if (!message) return bare(TcpBindingType::kErrorNotSupported);
  switch (TcpBindingType{message->type}) {
    case TcpBindingType::kOutOfSession:
    case TcpBindingType::kInSession:
      return owner_.answer(PlatformTransport::kTcp, packet);
    case TcpBindingType::kRoleInquiry:
      // A responder that has connected asks so whether this end will be the requester.
      // Source: spdm-emu spdm_responder_tcp.c, InitConnectionAndRoleInquiry(); the error is
      // libspdm's spdm_tcp_binding.h, SPDM_TCP_MESSAGE_TYPE_ERROR_CANNOT_OPERATE_AS_REQUESTER.
      return bare(TcpBindingType::kErrorNotRequester);
    case TcpBindingType::kErrorNotRequester:
      owner_.log("the peer says that it cannot operate as requester; closing the connection");
      declined_ = true;
      return {};
    case TcpBindingType::kErrorTooLarge:
    case TcpBindingType::kErrorNotSupported:
    case TcpBindingType::kErrorNotResponder:
      return {};  // no error is answered by another
  }
  return bare(TcpBindingType::kErrorNotSupported);
}

std::optional<std::string> Connection::fault(const PlatformHeader& header) const {
  if (header.transport > std::to_underlying(PlatformTransport::kTcp))
    return fmt::format("transport {:#x} is unknown", header.transport);
  const PlatformTransport transport{header.transport};
  if (only_ && transport != *only_)
    return fmt::format("transport {} came, only {} is served", name(transport), name(*only_));
  if (transport_ && transport != *transport_)
    return fmt::format("transport changed from {} to {}", name(*transport_), name(transport));
  if (header.size > PlatformHeader::kMaxPayload)
    return fmt::format("a message of {} bytes was announced, at most {} are taken", header.size,
                       PlatformHeader::kMaxPayload);
  return std::nullopt;
}

Connection::Next Connection::handle(const PlatformHeader& header, ByteView payload, Bytes& out) {
  const PlatformCommand command{header.command};
  const auto reply = [&](PlatformCommand as, ByteView with) {
    append(out, platform_message(as, header.transport, with));
  };
  // Any number may come in a command; those below are all that there are.
  if (command == PlatformCommand::kNormal) {
    reply(command, owner_.answer(PlatformTransport{header.transport}, payload));
    return Next::kGoOn;
  }
  if (command == PlatformCommand::kDecapTdisp) {
    reply(PlatformCommand::kNormal, owner_.answer_tdisp(payload));
    return Next::kGoOn;
  }
  if (command == PlatformCommand::kTest) {
    reply(command, bytes_of_text(kServerGreeting));
    return Next::kGoOn;
  }
  if (command == PlatformCommand::kEncapKeyUpdate ||
      command == PlatformCommand::kEncapEndpointInfo) {
    owner_.want_encapsulated(PlatformTransport{header.transport}, command, payload);
    reply(command, {});
    return Next::kGoOn;
  }
  if (command == PlatformCommand::kContinue || command == PlatformCommand::kShutdown) {
    reply(command, {});
    return command == PlatformCommand::kShutdown ? Next::kShutdown : Next::kClose;
  }
  owner_.log(fmt::format("command {:#x} is unknown; closing the connection", header.command));
  reply(PlatformCommand::kUnknown, {});
  return Next::kClose;
}

Bytes Connection::role_inquiry() { return bare(wire::TcpBindingType::kRoleInquiry); }

void Connection::peer_closed() {
  if (!in_.empty()) owner_.log(fmt::format("closed after {} bytes of a message", in_.size()));
}

}  // namespace teeio::serve
