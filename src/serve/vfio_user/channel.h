#pragma once

#include <cstdint>
#include <deque>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/result.h"
#include "serve/vfio_user/client_memory.h"
#include "serve/vfio_user/session.h"

namespace teeio::vfio_user {

/// One client's sockets: messages and descriptors in both directions.
///
/// While a command of ours waits for its answer, the client's commands are put aside, for
/// receive() later. What a client does that the protocol does not know breaks the channel:
/// everything fails from then on, and why() says the reason.
///
/// Lifetime: one connection. Locking: one task; shut_down() and peer_left() from any.
class Channel final : public DmaWire {
 public:
  explicit Channel(Fd socket);

  /// Waits for the client's next command. Errors: EIO: broken, or the client is gone.
  Result<Message> receive();
  /// Errors: EIO.
  Result<void> send(ByteView bytes, const std::vector<Fd>& fds);
  Result<Bytes> exchange(Command command, ByteView payload) override;

  /// Our commands go there from now on.
  void use_twin(Fd socket);
  /// Ends every wait.
  void shut_down();
  /// The client has closed its end, though it may not have been heard to the end.
  [[nodiscard]] bool peer_left() const;
  /// A literal; empty: not broken, or the client closed its end between two messages.
  [[nodiscard]] std::string_view why() const { return why_; }

 private:
  enum class Wait : std::uint8_t { kForever, kBounded };
  Result<Message> read_message(int socket, Wait wait);
  Result<void> read_all(int socket, std::span<std::byte> out, std::vector<Fd>& fds, Wait wait);
  Result<void> send_on(int socket, ByteView bytes, const std::vector<Fd>& fds);
  std::unexpected<Error> broken(std::string_view why);
  [[nodiscard]] bool readable_in_time(int socket) const;
  Result<void> put_aside(Message message);

  const Fd socket_;
  Fd twin_;
  std::uint16_t next_id_ = 1;
  std::deque<Message> aside_;
  std::size_t aside_bytes_ = 0;
  bool broken_ = false;
  std::string_view why_;
};

}  // namespace teeio::vfio_user
