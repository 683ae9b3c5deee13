#include "wire/doe.h"

#include <gtest/gtest.h>

namespace teeio::wire {
namespace {

Bytes bytes(std::initializer_list<int> values) {
  Bytes out;
  for (const int value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}

TEST(DoeObject, PadsToWholeDwordsAndCountsTheHeader) {
  const Bytes payload = bytes({1, 2, 3, 4, 5});
  const Bytes object = DoeObject{kPciSigVendorId, 1, payload}.encode();
  EXPECT_EQ(object, bytes({1, 0, 1, 0, 4, 0, 0, 0, 1, 2, 3, 4, 5, 0, 0, 0}));
}

TEST(DoeObject, DecodesWhatItEncoded) {
  const Bytes payload = bytes({9, 8, 7, 6});
  const Bytes object = DoeObject{0x1234, 2, payload}.encode();
  const auto back = DoeObject::decode(object);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->vendor_id, 0x1234);
  EXPECT_EQ(back->type, 2);
  EXPECT_TRUE(std::ranges::equal(back->payload, payload));
}

TEST(DoeObject, HasItsConnectionAboveItsLength) {
  const Bytes payload = bytes({9, 8, 7, 6});
  const DoeObject object{.type = std::to_underlying(DoeType::kSpdmOfConnection),
                         .payload = payload,
                         .connection = 0x801};
  EXPECT_EQ(object.encode(), bytes({1, 0, 3, 0, 3, 0, 4, 0x20, 9, 8, 7, 6}));
  const Bytes encoded = object.encode();
  const auto back = DoeObject::decode(encoded);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->connection, 0x801);
  EXPECT_EQ(back->payload.size(), 4U);
}

TEST(DoeObject, RefusesALengthThatIsNotItsSize) {
  Bytes object = DoeObject{kPciSigVendorId, 1, bytes({1, 2, 3, 4})}.encode();
  object[4] = std::byte{4};
  EXPECT_EQ(DoeObject::decode(object).error().code, Errno::kInval);
  object[4] = std::byte{2};
  EXPECT_EQ(DoeObject::decode(object).error().code, Errno::kInval);
}

TEST(DoeObject, ReadsLengthZeroAsTheLargestObject) {
  Bytes object(DoeObject::kMaxSize);
  object[0] = std::byte{1};
  EXPECT_TRUE(DoeObject::decode(object));
  object.resize(8);
  EXPECT_EQ(DoeObject::decode(object).error().code, Errno::kInval);
}

TEST(DoeObject, RefusesEveryPrefixOfAnObject) {
  const Bytes object = DoeObject{kPciSigVendorId, 1, bytes({1, 2, 3, 4})}.encode();
  for (std::size_t size = 0; size < object.size(); ++size)
    EXPECT_FALSE(DoeObject::decode(ByteView(object).first(size))) << size;
}

TEST(DoeDiscovery, RoundTripsAndRefusesOtherSizes) {
  const auto request = DoeDiscoveryRequest::decode(DoeDiscoveryRequest{3}.encode());
  ASSERT_TRUE(request);
  EXPECT_EQ(request->index, 3);
  const auto response = DoeDiscoveryResponse::decode(DoeDiscoveryResponse{1, 2, 3}.encode());
  ASSERT_TRUE(response);
  EXPECT_EQ(response->vendor_id, 1);
  EXPECT_EQ(response->type, 2);
  EXPECT_EQ(response->next_index, 3);
  EXPECT_FALSE(DoeDiscoveryRequest::decode(bytes({1, 2, 3})));
  EXPECT_FALSE(DoeDiscoveryResponse::decode(bytes({1, 2, 3, 4, 5})));
}

}  // namespace
}  // namespace teeio::wire
