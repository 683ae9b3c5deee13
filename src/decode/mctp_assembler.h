#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/transport_framing.h"

namespace teeio::decode {

/// Puts MCTP messages together that a bus carries in several packets. Those of several
/// senders, and several of one sender under different tags, may be mixed.
/// Source: DSP0236 1.3, 8.1 (fields) and 8.9 (assembly, and what ends it).
///
/// Memory: kMaxOpen messages of kMaxMessage bytes at most; the one that waits longest goes.
class MctpAssembler {
 public:
  static constexpr std::uint8_t kStart = 0x80;
  static constexpr std::uint8_t kEnd = 0x40;
  static constexpr std::uint8_t kTagOwner = 0x08;
  static constexpr std::size_t kMaxMessage = std::size_t{1} << 20U;
  static constexpr std::size_t kMaxOpen = 64;

  /// The payload of the capture's `packet`. The whole message, viewed until the next call, once its
  /// last packet is here; nullopt before. Errors: EINVAL when it continues nothing, or
  /// not where the last one ended (that message is lost); E2BIG above kMaxMessage.
  Result<std::optional<ByteView>> add(const wire::MctpPacketHeader& header, ByteView payload,
                                      std::size_t packet);
  /// The first packet of the message that waits longest for its end; nullopt: none waits.
  [[nodiscard]] std::optional<std::size_t> unfinished() const;
  /// The last packet began a message in the place of one whose end never came.
  [[nodiscard]] bool cut_one_off() const { return cut_one_off_; }

 private:
  struct Open {
    Bytes bytes;
    std::uint8_t next_sequence = 0;
    std::size_t first = 0;  ///< packet of the capture, and its last one so far:
    std::size_t last = 0;
  };
  std::map<std::uint32_t, Open> open_;  ///< by source, destination, tag and its owner
  Bytes whole_;
  bool cut_one_off_ = false;
};

}  // namespace teeio::decode
