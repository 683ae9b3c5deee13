#include "serve/connection.h"

#include <fmt/format.h>

#include <span>
#include <utility>

namespace teeio::serve {
namespace {

ByteView bytes_of_text(std::string_view text) { return std::as_bytes(std::span(text)); }

void append(Bytes& to, const Bytes& more) { to.insert(to.end(), more.begin(), more.end()); }

}  // namespace

Connection::Step Connection::receive(ByteView bytes) {
  Step step;
  in_.insert(in_.end(), bytes.begin(), bytes.end());
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

void Connection::peer_closed() {
  if (!in_.empty()) owner_.log(fmt::format("closed after {} bytes of a message", in_.size()));
}

}  // namespace teeio::serve
