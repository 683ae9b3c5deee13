#include "wire/spdm.h"

#include <gtest/gtest.h>

#include "wire/spdm_error.h"
#include "wire/spdm_vendor_defined.h"

namespace teeio::wire {
namespace {

Bytes bytes(std::initializer_list<int> values) {
  Bytes out;
  for (const int value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}

TEST(SpdmGetVersion, IsFourBytesOfVersionOne) {
  EXPECT_EQ(encode_spdm_get_version(), bytes({0x10, 0x84, 0, 0}));
}

TEST(SpdmVersion, RoundTripsWithPadding) {
  Bytes encoded = SpdmVersionResponse{{0x11, 0x12}}.encode();
  EXPECT_EQ(encoded, bytes({0x10, 0x04, 0, 0, 0, 2, 0, 0x11, 0, 0x12}));
  encoded.resize(encoded.size() + 2);
  const auto back = SpdmVersionResponse::decode(encoded);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->versions, (std::vector<std::uint8_t>{0x11, 0x12}));
}

TEST(SpdmVersion, RefusesACountBeyondItsBytes) {
  Bytes encoded = SpdmVersionResponse{{0x12}}.encode();
  encoded[5] = std::byte{2};
  EXPECT_EQ(SpdmVersionResponse::decode(encoded).error().code, Errno::kInval);
}

TEST(SpdmVersion, RefusesAnotherMessage) {
  EXPECT_EQ(SpdmVersionResponse::decode(encode_spdm_get_version()).error().code, Errno::kInval);
}

TEST(SpdmHeader, RefusesAnotherMajorVersion) {
  EXPECT_EQ(SpdmHeader::decode(bytes({0x20, 0x84, 0, 0})).error().code, Errno::kInval);
}

TEST(SpdmError, RoundTrips) {
  const auto back = SpdmError::decode(SpdmError{0x12, 7, 0xfe}.encode());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->code, 7);
  EXPECT_EQ(back->data, 0xfe);
  EXPECT_FALSE(SpdmError::decode(encode_spdm_get_version()));
}

TEST(SpdmNames, ComeFromTheTable) {
  EXPECT_EQ(spdm_name(0x84), "GET_VERSION");
  EXPECT_EQ(spdm_name(0x00), "SPDM_UNKNOWN");
}

TEST(VendorDefined, CarriesItsProtocolAndBytes) {
  const Bytes message = bytes({0xaa, 0xbb});
  Bytes encoded =
      VendorDefined{kSpdmVersion12, SpdmCode::kVendorDefinedRequest, Protocol::kTdisp, message}
          .encode();
  EXPECT_EQ(encoded, bytes({0x12, 0xfe, 0, 0, 3, 0, 2, 1, 0, 3, 0, 1, 0xaa, 0xbb}));
  encoded.resize(16);  // as padded by DOE
  const auto back = VendorDefined::decode(encoded);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->protocol, Protocol::kTdisp);
  EXPECT_TRUE(std::ranges::equal(back->message, message));
}

struct BadByte {
  std::size_t at;
  int value;
  Errno expected;
};

TEST(VendorDefined, RefusesWhatIsNotPciSigs) {
  const Bytes good =
      VendorDefined{kSpdmVersion12, SpdmCode::kVendorDefinedRequest, Protocol::kIdeKm, {}}.encode();
  for (const BadByte bad : {BadByte{1, 0x84, Errno::kInval},       // another SPDM message
                            BadByte{4, 4, Errno::kOpNotSupp},      // another standards body
                            BadByte{6, 9, Errno::kInval},          // vendor ID beyond the end
                            BadByte{7, 2, Errno::kOpNotSupp},      // another vendor
                            BadByte{9, 2, Errno::kInval},          // payload beyond the end
                            BadByte{9, 0, Errno::kInval},          // no protocol byte
                            BadByte{11, 2, Errno::kOpNotSupp}}) {  // another protocol
    Bytes message = good;
    message[bad.at] = static_cast<std::byte>(bad.value);
    const auto result = VendorDefined::decode(message);
    ASSERT_FALSE(result) << bad.at;
    EXPECT_EQ(result.error().code, bad.expected) << bad.at;
  }
}

TEST(VendorDefined, RefusesMoreThanAnEnvelopeHolds) {
  const Bytes most(VendorDefined::kMaxMessage);
  Bytes encoded =
      VendorDefined{kSpdmVersion12, SpdmCode::kVendorDefinedRequest, Protocol::kIdeKm, most}
          .encode();
  EXPECT_TRUE(VendorDefined::decode(encoded));
  encoded.resize(encoded.size() + 1);
  encoded[9] = std::byte{2};  // 0x1001 becomes 0x1002
  EXPECT_EQ(VendorDefined::decode(encoded).error().code, Errno::kTooBig);
}

TEST(VendorDefined, RefusesEveryPrefix) {
  const Bytes good =
      VendorDefined{kSpdmVersion12, SpdmCode::kVendorDefinedRequest, Protocol::kIdeKm, {}}.encode();
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(VendorDefined::decode(ByteView(good).first(size))) << size;
}

}  // namespace
}  // namespace teeio::wire
