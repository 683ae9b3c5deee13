#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/bytes.h"

// As much of CBOR (RFC 8949) as attestation tokens have.
namespace teeio::wire {

/// The major types, by their numbers (RFC 8949, 3.1).
enum class CborMajor : std::uint8_t {
  kUnsigned,
  kNegative,
  kBytes,
  kText,
  kArray,
  kMap,
  kTag,
  kSimple,
};

/// Writes the deterministic encoding (RFC 8949, 4.2.1: the shortest heads), one item after
/// the other. An array or a map is its head; its items, or keys and values, follow.
class Cbor {
 public:
  Cbor& integer(std::int64_t value) {
    return value >= 0 ? head(CborMajor::kUnsigned, static_cast<std::uint64_t>(value))
                      : head(CborMajor::kNegative, static_cast<std::uint64_t>(-(value + 1)));
  }
  Cbor& bytes(ByteView value) {
    head(CborMajor::kBytes, value.size());
    out_.bytes(value);
    return *this;
  }
  Cbor& text(std::string_view value) {
    head(CborMajor::kText, value.size());
    out_.bytes(std::as_bytes(std::span(value)));
    return *this;
  }
  Cbor& array(std::size_t items) { return head(CborMajor::kArray, items); }
  Cbor& map(std::size_t pairs) { return head(CborMajor::kMap, pairs); }
  Cbor& tag(std::uint64_t number) { return head(CborMajor::kTag, number); }
  [[nodiscard]] Bytes take() { return out_.take(); }

 private:
  Cbor& head(CborMajor major, std::uint64_t argument);
  Writer out_;
};

/// Reads items in order. After the first that is not what was asked for, is cut short, has
/// an indefinite length or is nested too deep, every further one is empty and ok() is false,
/// so a decoder checks once, at the end. Views look into the input.
class CborReader {
 public:
  explicit CborReader(ByteView in) : in_(in) {}
  explicit CborReader(Bytes&&) = delete;  ///< it would be gone before it is read

  [[nodiscard]] std::int64_t integer();  ///< of either sign
  [[nodiscard]] ByteView bytes();
  [[nodiscard]] Bytes owned_bytes() {
    const ByteView view = bytes();
    return {view.begin(), view.end()};
  }
  [[nodiscard]] std::string_view text();
  /// How many items, or pairs, follow: never more than there are bytes.
  [[nodiscard]] std::size_t array();
  [[nodiscard]] std::size_t map();
  [[nodiscard]] std::uint64_t tag();
  /// One item of any kind, with what is inside of it.
  void skip() { skip(0); }
  /// What comes next; nothing has been read. kSimple at the end.
  [[nodiscard]] CborMajor next() const;

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool ended() const { return ok_ && in_.empty(); }

 private:
  static constexpr unsigned kDeepest = 16;  ///< of nested items that are skipped
  struct Head {
    CborMajor major = CborMajor::kSimple;
    std::uint64_t argument = 0;
  };
  Head head();
  std::uint64_t head_of(CborMajor major);
  std::size_t count_of(CborMajor major, unsigned items_each);
  ByteView take(std::uint64_t count);
  void skip(unsigned depth);
  void broken() {
    ok_ = false;
    in_ = {};
  }
  ByteView in_;
  bool ok_ = true;
};

}  // namespace teeio::wire
