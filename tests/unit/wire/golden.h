#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "wire/spdm.h"

namespace teeio::wire {

/// "12 84" for two bytes.
inline std::string hex(ByteView bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const std::byte byte : bytes) {
    const auto value = std::to_integer<unsigned>(byte);
    if (!out.empty()) out += ' ';
    out += kDigits[value >> 4U];
    out += kDigits[value & 15U];
  }
  return out;
}

/// The bytes of `text`: pairs of hexadecimal digits, spaces between as one likes,
/// and "aa*32" for 32 times the byte.
inline Bytes unhex(std::string_view text) {
  const auto digit = [](char c) {
    return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
  };
  Bytes out;
  for (std::size_t i = 0; i + 1 < text.size();) {
    if (text[i] == ' ') {
      ++i;
      continue;
    }
    const auto byte = static_cast<std::byte>(digit(text[i]) << 4U | digit(text[i + 1]));
    i += 2;
    std::size_t count = 1;
    if (i < text.size() && text[i] == '*')
      for (count = 0, ++i; i < text.size() && text[i] != ' '; ++i)
        count = 10 * count + digit(text[i]);
    out.insert(out.end(), count, byte);
  }
  return out;
}

/// `message` encodes to `golden`, and decodes from it to what encodes the same;
/// padding stays outside; every shorter input is refused, unless what is missing
/// would be taken from its end, which the message does not count.
template <class Message, class... Sizes>
Message expect_golden(const Message& message, std::string_view golden_text, const Sizes&... sizes) {
  const Bytes golden = unhex(golden_text);
  EXPECT_EQ(hex(message.encode()), hex(golden));
  Bytes padded = golden;
  padded.resize(golden.size() + 3);
  const auto back = Message::decode(padded, sizes...);
  EXPECT_TRUE(back) << back.error().why;
  if (!back) return {};
  EXPECT_EQ(back->wire.size(), golden.size());
  EXPECT_EQ(hex(back->encode()), hex(golden));
  for (std::size_t size = 0; size < golden.size(); ++size)
    EXPECT_FALSE(Message::decode(ByteView(golden).first(size), sizes...)) << size;
  return *back;
}

/// The same for a message whose last field goes on to the end of the input.
template <class Message, class... Sizes>
void expect_golden_open(const Message& message, std::string_view golden_text,
                        std::size_t fixed_size, const Sizes&... sizes) {
  const Bytes golden = unhex(golden_text);
  EXPECT_EQ(hex(message.encode()), hex(golden));
  const auto back = Message::decode(golden, sizes...);
  ASSERT_TRUE(back) << back.error().why;
  EXPECT_EQ(hex(back->encode()), hex(golden));
  for (std::size_t size = 0; size < fixed_size; ++size)
    EXPECT_FALSE(Message::decode(ByteView(golden).first(size), sizes...)) << size;
}

}  // namespace teeio::wire
