#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace teeio::decode {

/// One field of a message, as text.
struct Field {
  std::string name;
  std::string text;                       ///< for one line: long bytes are cut off
  Bytes whole{};                          ///< the bytes that it cuts off; empty: it is all
  std::optional<std::uint64_t> number{};  ///< when it is one
  /// Nothing cut off.
  [[nodiscard]] std::string full() const;
};

/// Fields in the order of the message.
class Fields {
 public:
  explicit Fields(bool show_keys) : show_keys_(show_keys) {}
  void number(std::string_view name, std::uint64_t value);
  void hex_number(std::string_view name, std::uint64_t value);
  void word(std::string_view name, std::string_view value);
  /// Only when it holds: a flag that is off is no news.
  void flag(std::string_view name, bool holds);
  void bytes(std::string_view name, ByteView value);
  /// How many there are; the bytes themselves in full().
  void size(std::string_view name, ByteView value);
  /// A secret: hidden unless keys are to be shown.
  void key(std::string_view name, ByteView value);
  [[nodiscard]] std::vector<Field> take() { return std::move(fields_); }

 private:
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
  std::optional<std::uint32_t> session;  ///< the secured session it travelled in
  unsigned depth = 0;
  std::string_view layer;  ///< "DOE", "MCTP", "SPDM", "IDE_KM", "TDISP", "SECURED"
  std::string name;        ///< from wire's tables
  std::vector<Field> fields;
  std::string problem;  ///< why it could not be decoded; empty: it could
};

}  // namespace teeio::decode
