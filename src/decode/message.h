#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace teeio::decode {

/// One field of a message.
struct Field {
  enum class Form : std::uint8_t { kWord, kNumber, kHexNumber, kBytes, kSize };
  std::string name;
  Form form = Form::kWord;
  std::string word{};  ///< or bytes, as they are
  std::uint64_t number = 0;
  [[nodiscard]] ByteView view() const { return std::as_bytes(std::span(word)); }
  /// For one line: long bytes are cut off, those of kSize only counted.
  void append_to(std::string& line) const;
  /// Nothing cut off.
  void append_whole_to(std::string& out) const;
};

/// Fields in the order of the message.
class Fields {
 public:
  /// `storage`: of fields that nobody needs any more.
  explicit Fields(bool show_keys, std::vector<Field> storage = {})
      : show_keys_(show_keys), fields_(std::move(storage)) {
    fields_.clear();
  }
  void number(std::string_view name, std::uint64_t value);
  void hex_number(std::string_view name, std::uint64_t value);
  void word(std::string_view name, std::string_view value);
  /// "1.2" of 12h, as SPDM and TDISP write versions.
  void version(std::string_view name, std::uint8_t value);
  /// Only when it holds: a flag that is off is no news.
  void flag(std::string_view name, bool holds);
  void bytes(std::string_view name, ByteView value);
  /// How many there are; the bytes themselves in append_whole_to().
  void size(std::string_view name, ByteView value);
  /// A secret: hidden unless keys are to be shown.
  void key(std::string_view name, ByteView value);
  [[nodiscard]] std::vector<Field> take() { return std::move(fields_); }

 private:
  void add_bytes(std::string_view name, Field::Form form, ByteView value);
  const bool show_keys_;
  std::vector<Field> fields_;
};

/// Who sent a message, as far as one can tell.
enum class Sender : std::uint8_t { kRequester, kResponder };

/// One message. A packet may hold several, one inside the other: each has its own
/// entry behind the one that carries it, one level deeper.
struct Message {
  std::size_t packet = 0;  ///< counted from 1, as Wireshark does
  std::uint64_t time_ns = 0;
  Sender sender = Sender::kRequester;
  /// Neither the capture nor the message tells who sent it: it is taken for the other end
  /// than before. A request that was dropped unanswered puts this wrong.
  bool sender_guessed = false;
  std::optional<std::uint16_t> connection{};  ///< by its DOE object's ID; none: the only one
  std::optional<std::uint32_t> session{};     ///< the secured session it travelled in
  unsigned depth = 0;
  std::string_view layer{};  ///< "DOE", "MCTP", "SPDM", "IDE_KM", "TDISP", "SECURED"
  std::string_view name{};   ///< from wire's tables
  std::vector<Field> fields{};
  std::string_view problem{};  ///< why it could not be decoded; empty: it could
};

}  // namespace teeio::decode
