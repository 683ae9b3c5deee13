#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"

namespace teeio::crypto {

/// One element of DER: its tag, what is inside, and all of it.
struct DerElement {
  std::uint8_t tag = 0;  ///< class, constructed bit and number, as encoded
  ByteView contents;
  ByteView whole;
};

/// Tags that certificates are made of. Context tags are kDerContext + number.
enum DerTag : std::uint8_t {
  kDerBoolean = 0x01,
  kDerInteger = 0x02,
  kDerBitString = 0x03,
  kDerOctetString = 0x04,
  kDerObjectId = 0x06,
  kDerUtf8String = 0x0c,
  kDerPrintableString = 0x13,
  kDerIa5String = 0x16,
  kDerUtcTime = 0x17,
  kDerGeneralizedTime = 0x18,
  kDerSequence = 0x30,
  kDerSet = 0x31,
  kDerContext = 0x80,
  kDerContextConstructed = 0xa0,
};

/// Reads elements one after the other. Total: anything that is no element of a
/// definite length in its shortest form, with a tag below 31, ends it, and ok() is false.
class DerReader {
 public:
  explicit DerReader(ByteView in) : rest_(in) {}

  /// The next element; nullopt at the end, or where none begins.
  std::optional<DerElement> next();
  /// The next element, if it has this tag; otherwise it stays the next one.
  std::optional<DerElement> next(std::uint8_t tag);
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }

 private:
  ByteView rest_;
  bool ok_ = true;
};

/// "2.16.840.1.101.3.4.2.2" of an object identifier's contents; empty when it is none.
[[nodiscard]] std::string der_object_id(ByteView contents);
/// A non-negative INTEGER of at most 64 bits.
[[nodiscard]] std::optional<std::uint64_t> der_unsigned(ByteView contents);

}  // namespace teeio::crypto
