#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/spdm.h"

namespace teeio::wire {

/// Messages larger than the peer's DataTransferSize, in chunks (1.2). Sequence
/// numbers have 16 bits before 1.4 and 32 bits since.

/// CHUNK_SEND and CHUNK_RESPONSE have one layout.
template <SpdmCode Code>
struct SpdmChunk {
  static constexpr SpdmCode kCode = Code;
  static constexpr std::size_t kHeaderSize = 12;  ///< bytes before `large_size` or the chunk
  std::uint8_t version = kSpdmVersion12;
  bool last = false;
  std::uint8_t handle = 0;
  std::uint32_t sequence = 0;
  std::uint32_t large_size = 0;  ///< bytes of the whole message; only in chunk 0
  ByteView chunk{};
  ByteView wire{};
  static Result<SpdmChunk> decode(ByteView in);
  /// Precondition: `sequence` fits its field.
  [[nodiscard]] Bytes encode() const;
};
using SpdmChunkSend = SpdmChunk<SpdmCode::kChunkSend>;
using SpdmChunkResponse = SpdmChunk<SpdmCode::kChunkResponse>;

/// CHUNK_SEND_ACK.
struct SpdmChunkSendAck {
  static constexpr SpdmCode kCode = SpdmCode::kChunkSendAck;
  std::uint8_t version = kSpdmVersion12;
  bool early_error = false;  ///< `response` is an ERROR before the last chunk
  std::uint8_t handle = 0;
  std::uint32_t sequence = 0;
  ByteView response{};  ///< to the large request; empty before the last chunk
  ByteView wire{};
  static Result<SpdmChunkSendAck> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

/// CHUNK_GET.
struct SpdmChunkGet {
  static constexpr SpdmCode kCode = SpdmCode::kChunkGet;
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t handle = 0;
  std::uint32_t sequence = 0;
  ByteView wire{};
  static Result<SpdmChunkGet> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

}  // namespace teeio::wire
