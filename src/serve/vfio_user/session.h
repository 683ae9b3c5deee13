#pragma once

#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/result.h"
#include "serve/vfio_user/capabilities.h"
#include "serve/vfio_user/client_memory.h"
#include "serve/vfio_user/function.h"
#include "serve/vfio_user/protocol.h"

namespace teeio::vfio_user {

/// A message with the descriptors that came along.
struct Message {
  Header header;
  Bytes payload;
  std::vector<Fd> fds;
};

/// What is sent back.
struct Answer {
  Bytes bytes;  ///< empty: nothing, as the client wished
  std::vector<Fd> fds;
  bool close = false;        ///< the connection makes no sense any more
  std::string_view refused;  ///< why an error is answered; empty: none is
};

/// One client of a function, from its VERSION to its end, as a step function.
///
/// Lifetime: the function and the wire outlive it; what the client gave (mappings,
/// descriptors) goes with it, the device stays as it is. Locking: one task.
class Session {
 public:
  /// Takes the function.
  Session(Function& function, DmaWire& wire);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// A command of the client. An error is answered by its errno alone. The first command
  /// must be VERSION, else the connection is over.
  [[nodiscard]] Answer handle(Message message);

  /// The socket for our own commands, when VERSION agreed on one; given out once.
  [[nodiscard]] Fd take_twin_socket() { return std::move(twin_); }
  [[nodiscard]] const ClientMemory& memory() const { return memory_; }

 private:
  /// The answer while it is made: behind a header's room, what the handler adds.
  struct Reply {
    Writer payload;
    std::vector<Fd> fds;
    bool close = false;
  };
  Result<void> carry_out(Message& message, Reply& reply);
  Result<void> version(const Message& message, Reply& reply);
  Result<void> dma_map(const Message& message);
  Result<void> dma_unmap(const Message& message, Reply& reply);
  Result<void> device_info(const Message& message, Reply& reply) const;
  Result<void> region_info(const Message& message, Reply& reply) const;
  Result<void> region_io_fds(const Message& message, Reply& reply) const;
  Result<void> irq_info(const Message& message, Reply& reply) const;
  Result<void> set_irqs(Message& message);
  Result<void> region_read(const Message& message, Reply& reply);
  Result<void> region_write(const Message& message, Reply& reply);
  Result<void> region_write_multi(const Message& message, Reply& reply);

  Function& function_;
  ClientMemory memory_;
  bool agreed_ = false;  ///< VERSION was
  Capabilities client_;
  Fd twin_;
  Bytes buffer_;  ///< for REGION_READ
};

}  // namespace teeio::vfio_user
