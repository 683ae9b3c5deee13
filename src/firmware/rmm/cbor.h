#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/bytes.h"

namespace teeio::rmm {

/// Writes CBOR's deterministic encoding (RFC 8949, 4.2.1: the shortest heads), one item after
/// the other. An array or a map is its head; its items, or keys and values, follow.
class Cbor {
 public:
  Cbor& integer(std::int64_t value) {
    return value >= 0 ? head(0, static_cast<std::uint64_t>(value))
                      : head(1, static_cast<std::uint64_t>(-(value + 1)));
  }
  Cbor& bytes(ByteView value) {
    head(2, value.size());
    out_.bytes(value);
    return *this;
  }
  Cbor& text(std::string_view value) {
    head(3, value.size());
    out_.bytes(std::as_bytes(std::span(value)));
    return *this;
  }
  Cbor& array(std::size_t items) { return head(4, items); }
  Cbor& map(std::size_t pairs) { return head(5, pairs); }
  Cbor& tag(std::uint64_t number) { return head(6, number); }
  [[nodiscard]] Bytes take() { return out_.take(); }

 private:
  Cbor& head(unsigned major, std::uint64_t argument) {
    const unsigned bytes = argument < 24             ? 0
                           : argument <= 0xff        ? 1
                           : argument <= 0xffff      ? 2
                           : argument <= 0xffff'ffff ? 4
                                                     : 8;
    const unsigned info = bytes == 0   ? static_cast<unsigned>(argument)
                          : bytes == 1 ? 24
                          : bytes == 2 ? 25
                          : bytes == 4 ? 26
                                       : 27;
    out_.le(static_cast<std::uint8_t>(major << 5U | info));
    for (unsigned i = bytes; i > 0; --i)
      out_.le(static_cast<std::uint8_t>(argument >> 8U * (i - 1)));
    return *this;
  }
  Writer out_;
};

}  // namespace teeio::rmm
