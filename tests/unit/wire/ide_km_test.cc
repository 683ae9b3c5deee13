#include "wire/ide_km.h"

#include <gtest/gtest.h>

namespace teeio::wire {
namespace {

const IdeKeySelector kSelector =
    IdeKeySelector::make(1, IdeDirection::kTx, IdeSubStream::kCompletion);

std::vector<IdeKmMessage> one_of_each() {
  IdeKey key;
  key.key[0] = std::byte{0x11};
  key.key[31] = std::byte{0x22};
  key.ifv = 1;
  return {IdeKmQuery{1},
          IdeKmQueryResp{1, 2, 3, 4, 5, {0xdeadbeef, 6}},
          IdeKmKeyProg{7, kSelector, 1, key},
          IdeKmKpAck{7, 3, kSelector, 1},
          IdeKmKSetGo{7, kSelector, 1},
          IdeKmKSetStop{7, kSelector, 1},
          IdeKmKGoStopAck{7, kSelector, 1}};
}

TEST(IdeKm, EveryMessageComesBack) {
  for (const IdeKmMessage& message : one_of_each()) {
    const auto back = decode_ide_km(encode_ide_km(message));
    ASSERT_TRUE(back) << message.index();
    EXPECT_EQ(*back, message) << message.index();
  }
}

TEST(IdeKm, EveryPrefixIsRefusedOrLosesItsKey) {
  for (const IdeKmMessage& message : one_of_each()) {
    const Bytes encoded = encode_ide_km(message);
    for (std::size_t size = 0; size < encoded.size(); ++size) {
      const auto back = decode_ide_km(ByteView(encoded).first(size));
      if (!back) continue;
      const auto* prog = std::get_if<IdeKmKeyProg>(&*back);
      const auto* query = std::get_if<IdeKmQueryResp>(&*back);
      EXPECT_TRUE((prog && !prog->key) || (query && query->registers.size() < 2))
          << message.index() << " cut to " << size;
    }
  }
}

TEST(IdeKm, KeyProgHasTheSpecsLayout) {
  const Bytes encoded = encode_ide_km(one_of_each()[2]);
  ASSERT_EQ(encoded.size(), 7 + IdeKey::kSize);
  EXPECT_EQ(encoded[0], std::byte{2});
  EXPECT_EQ(encoded[3], std::byte{7});     // stream
  EXPECT_EQ(encoded[5], std::byte{0x23});  // CPL, Tx, key set 1
  EXPECT_EQ(encoded[6], std::byte{1});     // port
  EXPECT_EQ(encoded[7], std::byte{0x11});
  EXPECT_EQ(encoded[43], std::byte{1});  // IFV, high DWORD first
}

TEST(IdeKm, KeyProgOfAnotherLengthStillSaysWhichKeyWasMeant) {
  Bytes encoded = encode_ide_km(one_of_each()[2]);
  encoded.resize(encoded.size() + 4);
  const auto back = decode_ide_km(encoded);
  ASSERT_TRUE(back);
  const auto& prog = std::get<IdeKmKeyProg>(*back);
  EXPECT_FALSE(prog.key);
  EXPECT_EQ(prog.selector, kSelector);
  EXPECT_EQ(prog.stream_id, 7);
}

TEST(IdeKm, UnknownObjectIsNotSupported) {
  const Bytes message(8, std::byte{7});
  EXPECT_EQ(decode_ide_km(message).error().code, Errno::kOpNotSupp);
}

TEST(IdeKm, QueryRespOfTooManyRegistersIsRefused) {
  Bytes message(7 + 4 * (IdeKmQueryResp::kMaxRegisters + 1));
  message[0] = std::byte{1};
  EXPECT_EQ(decode_ide_km(message).error().code, Errno::kTooBig);
  message.resize(message.size() - 4);
  EXPECT_TRUE(decode_ide_km(message));
  message.resize(message.size() - 1);
  EXPECT_EQ(decode_ide_km(message).error().code, Errno::kInval);
}

TEST(IdeKm, NamesComeFromTheTable) {
  EXPECT_EQ(ide_km_name(5), "K_SET_STOP");
  EXPECT_EQ(ide_km_name(7), "IDE_KM_UNKNOWN");
}

TEST(IdeKeySelector, KnowsReservedBitsAndSubStreams) {
  EXPECT_TRUE(IdeKeySelector{0x23}.valid());
  EXPECT_FALSE(IdeKeySelector{0x30}.valid());
  EXPECT_FALSE(IdeKeySelector{0x04}.valid());
  EXPECT_EQ(IdeKeySelector{0x12}.direction(), IdeDirection::kTx);
  EXPECT_EQ(IdeKeySelector{0x12}.sub_stream(), IdeSubStream::kNonPosted);
}

}  // namespace
}  // namespace teeio::wire
