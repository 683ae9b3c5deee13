#include "serve/client_at_server.h"

#include <fmt/format.h>

#include <utility>

#include "base/files.h"
#include "serve/socket.h"

namespace teeio::serve {

void say(const std::string& line) { complain_text(fmt::format("teeio serve: {}\n", line)); }

ClientAtServer::ClientAtServer(Fd socket, const Place& place, Maker make_own,
                               std::optional<PlatformTransport> only)
    : channel{std::move(socket), {}},
      place_(place),
      make_own_(std::move(make_own)),
      name_(peer_name(channel.socket.get())),
      connection_(*this, only) {
  send_at_once(channel.socket.get());
}

Connection::Next ClientAtServer::read() {
  const auto bytes = read_some(channel.socket.get());
  if (!bytes) {
    connection_.peer_closed();
    return Connection::Next::kClose;
  }
  acknowledge_at_once(channel.socket.get());
  auto step = connection_.receive(*bytes);
  talks_ = talks_ || !step.out.empty();
  channel.queue(step.out);
  return step.next;
}

ServedDevice& ClientAtServer::served() {
  if (!make_own_) return place_.fleet.at(place_.device);
  if (!own_) own_ = make_own_();
  return *own_;
}

Bytes ClientAtServer::answer(PlatformTransport transport, ByteView packet) {
  place_.capture.packet(transport, PacketSender::kRequester, packet);
  Bytes answer = served().answer(transport, packet);
  place_.capture.packet(transport, PacketSender::kResponder, answer);
  return answer;
}

void ClientAtServer::log(const std::string& line) { say(fmt::format("{}: {}", name_, line)); }

}  // namespace teeio::serve
