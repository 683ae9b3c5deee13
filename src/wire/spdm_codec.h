#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/load.h"
#include "wire/spdm.h"

namespace teeio::wire {

/// Reads one SPDM message: the header with its checks, then fields in order.
/// The first mistake decides, and every read after it gives zeros; a decoder
/// looks once, in finish(). For the .cc files of this room.
class SpdmReader {
 public:
  /// Checks that `in` is `code` in a version that has it.
  SpdmReader(ByteView in, SpdmCode code);

  [[nodiscard]] std::uint8_t version() const { return header_.version; }
  [[nodiscard]] std::uint8_t param1() const { return header_.param1; }
  [[nodiscard]] std::uint8_t param2() const { return header_.param2; }
  [[nodiscard]] bool since(std::uint8_t version) const { return header_.version >= version; }

  std::uint8_t u8() { return reader_.le<std::uint8_t>(); }
  std::uint16_t u16() { return at_once<std::uint16_t>(); }
  std::uint32_t u24() { return u16() | static_cast<std::uint32_t>(u8()) << 16U; }
  std::uint32_t u32() { return at_once<std::uint32_t>(); }
  ByteView take(std::size_t count) { return reader_.take(count); }
  ByteView rest() { return reader_.take(reader_.rest().size()); }
  void skip(std::size_t count) { reader_.skip(count); }
  template <std::size_t N>
  std::array<std::byte, N> array() {
    std::array<std::byte, N> out{};
    const ByteView bytes = reader_.take(N);
    for (std::size_t i = 0; i < bytes.size(); ++i) out[i] = bytes[i];
    return out;
  }
  /// Makes finish() fail with EINVAL and `why` unless `holds`.
  void require(bool holds, std::string_view why) {
    if (!holds && why_.empty()) refuse(Errno::kInval, why);
  }
  /// Bytes read so far, the header among them.
  [[nodiscard]] std::size_t offset() const { return in_.size() - reader_.rest().size(); }
  [[nodiscard]] bool ok() const { return why_.empty() && reader_.ok(); }

  /// `message` with its `wire`, or why there is none.
  template <class T>
  [[nodiscard]] Result<T> finish(T message) const {
    if (!why_.empty()) return fail(code_, why_);
    if (!reader_.ok()) return fail(Errno::kInval, "SPDM message is shorter than its fields");
    message.wire = in_.first(offset());
    return message;
  }

 private:
  template <class T>
  T at_once() {
    const ByteView field = reader_.take(sizeof(T));
    return field.empty() ? T{0} : load_le<T>(field);
  }
  void open(SpdmCode code);
  void refuse(Errno code, std::string_view why) {
    code_ = code;
    why_ = why;
  }
  const ByteView in_;
  Reader reader_;
  SpdmHeader header_;
  Errno code_ = Errno::kInval;
  std::string_view why_;
};

/// A Writer that begins with the header.
inline Writer begin_spdm(std::uint8_t version, SpdmCode code, unsigned param1 = 0,
                         unsigned param2 = 0) {
  Writer w;
  w.le(version).le(std::to_underlying(code));
  w.le(static_cast<std::uint8_t>(param1)).le(static_cast<std::uint8_t>(param2));
  return w;
}

/// Two-byte length, then the bytes. Precondition: at most 65535.
void write_opaque(Writer& w, ByteView bytes);

}  // namespace teeio::wire
