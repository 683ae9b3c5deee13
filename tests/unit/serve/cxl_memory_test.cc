#include "serve/cxl_memory.h"

#include <gtest/gtest.h>

#include <optional>
#include <utility>

#include "serve/tsp_configuration.h"
#include "wire/cxl.h"

namespace teeio::serve {
namespace {

namespace tsp = wire::cxl::tsp;
namespace ide_km = wire::cxl::ide_km;
using ide_km::Object;
using tsp::Code;
using wire::cxl::byte_at;

Bytes tsp_request(Code code, std::size_t size, std::uint8_t version = tsp::kVersion10) {
  return Writer()
      .le(std::uint8_t{1})
      .le(version)
      .le(std::to_underlying(code))
      .zeros(size - tsp::kHeaderBytes)
      .take();
}
std::uint8_t code_of(const std::optional<Bytes>& answer) {
  return answer ? byte_at(*answer, 2) : std::uint8_t{0};
}
/// Of TSP's error; 0: there is none.
std::uint32_t error_of(const std::optional<Bytes>& answer) {
  if (code_of(answer) != tsp::kErrorResponse) return 0;
  return Reader(ByteView(*answer).subspan(1 + tsp::kErrorCodeAt)).le<std::uint32_t>();
}
std::uint32_t number(tsp::Error error) { return std::to_underlying(error); }

/// SET_TARGET_CONFIGURATION with one u16 at `at` of the whole message, encryption and its
/// algorithm in place.
Bytes set_with(std::size_t at, unsigned value) {
  Bytes request = tsp_request(Code::kSetConfiguration, tsp::kSetBytes);
  request.at(1 + 2) = std::byte{tsp::kEncryption};
  request.at(1 + 4) = std::byte{2};
  request.at(1 + at) = std::byte(value & 0xffU);
  request.at(1 + at + 1) = std::byte(value >> 8U);
  return request;
}
constexpr std::size_t kEncryptionAt = 2, kAlgorithmAt = 4, kTeStateAt = 12, kGranularityAt = 16,
                      kFeaturesAt = 24, kSessionsAt = 0xc0;

TEST(CxlMemory, LocksOnceAndThenKeepsItsConfiguration) {
  CxlMemory memory(false);
  Bytes te_state = tsp_request(Code::kSetTeState, tsp::kTeStateBytes + tsp::kTeRangeBytes);
  te_state.at(1 + 3) = std::byte{1};  // range
  EXPECT_EQ(error_of(memory.answer(te_state)), number(tsp::Error::kInvalidSecurityState));
  EXPECT_EQ(code_of(memory.answer(set_with(kFeaturesAt, 0))), 0x03);
  EXPECT_EQ(code_of(memory.answer(tsp_request(Code::kLock, tsp::kBareBytes))), 0x06);
  EXPECT_EQ(error_of(memory.answer(tsp_request(Code::kLock, tsp::kBareBytes))),
            number(tsp::Error::kAlreadyLocked));
  EXPECT_EQ(error_of(memory.answer(set_with(kFeaturesAt, 0))),
            number(tsp::Error::kInvalidSecurityState));
  EXPECT_EQ(code_of(memory.answer(te_state)), 0x0d);
  memory.reset();
  EXPECT_EQ(code_of(memory.answer(set_with(kFeaturesAt, 0))), 0x03);
}

TEST(CxlMemory, TakesNoConfigurationThatItsCapabilitiesLack) {
  CxlMemory memory(false);
  const struct {
    std::size_t at;
    unsigned value;
  } wrong[] = {{kEncryptionAt, 3}, {kEncryptionAt, 5},  {kEncryptionAt, 0}, {kAlgorithmAt, 1},
               {kAlgorithmAt, 3},  {kAlgorithmAt, 0},   {kTeStateAt, 1},    {kTeStateAt, 2},
               {kTeStateAt, 0x40}, {kGranularityAt, 1}, {kFeaturesAt, 4},   {kSessionsAt, 1},
               {kTeStateAt, 0x10}};  // in-band: eight entries of one length
  for (const auto& [at, value] : wrong)
    EXPECT_EQ(error_of(memory.answer(set_with(at, value))), number(tsp::Error::kInvalidRequest))
        << at << ": " << value;
  const auto now = memory.answer(tsp_request(Code::kGetConfiguration, tsp::kBareBytes));
  ASSERT_TRUE(now && now->size() == 1 + tsp::kConfigurationBytes);
  EXPECT_EQ(byte_at(*now, 1 + kEncryptionAt), 0) << "what was refused was kept";
  // Special-purpose memory is said and not told.
  EXPECT_EQ(code_of(memory.answer(set_with(kFeaturesAt, 3))), 0x03);
  const auto then = memory.answer(tsp_request(Code::kGetConfiguration, tsp::kBareBytes));
  EXPECT_EQ(byte_at(*then, 1 + kFeaturesAt), 1);
}

TEST(CxlMemory, EachTspRequestHasItsLengthAndVersion) {
  CxlMemory memory(false);
  const struct {
    Code code;
    std::size_t size;
  } requests[] = {
      {Code::kGetVersion, tsp::kBareBytes},       {Code::kGetCapabilities, tsp::kBareBytes},
      {Code::kGetConfiguration, tsp::kBareBytes}, {Code::kGetReport, tsp::kGetReportBytes},
      {Code::kSetConfiguration, tsp::kSetBytes},  {Code::kLock, tsp::kBareBytes}};
  for (const auto& [code, size] : requests) {
    for (const std::size_t other : {size - 1, size + 1})
      EXPECT_EQ(error_of(memory.answer(tsp_request(code, other))),
                number(tsp::Error::kInvalidRequest))
          << std::to_underlying(code) << ", " << other;
    EXPECT_EQ(error_of(memory.answer(tsp_request(code, size, 0x11))),
              number(tsp::Error::kVersionMismatch))
        << std::to_underlying(code);
  }
  for (const unsigned ranges : {0U, 2U, 33U}) {
    Bytes request = tsp_request(Code::kSetTeState, tsp::kTeStateBytes + tsp::kTeRangeBytes);
    request.at(1 + 3) = std::byte(ranges);
    EXPECT_EQ(error_of(memory.answer(request)), number(tsp::Error::kInvalidRequest)) << ranges;
  }
  EXPECT_EQ(error_of(memory.answer(tsp_request(Code{0xfe}, tsp::kBareBytes))),
            number(tsp::Error::kUnsupportedRequest));
}

Bytes key_message(Object object, std::uint8_t key, ByteView rest = {}) {
  return Writer()
      .le(std::uint8_t{0})
      .le(std::to_underlying(object))
      .zeros(4)
      .le(key)
      .zeros(1)
      .bytes(rest)
      .take();
}
constexpr std::uint8_t kTx = ide_km::kTx | ide_km::kSubStream;
constexpr std::uint8_t kStatus = 1 + ide_km::kStatusAt;

TEST(CxlMemory, AKeyOfAnotherLengthIsInvalid) {
  CxlMemory memory(false);
  constexpr std::size_t kBytes = ide_km::kKeyBytes + ide_km::kIvBytes;
  for (const std::size_t size : {std::size_t{0}, kBytes - 1, kBytes + 1, kBytes + 4})
    EXPECT_EQ(byte_at(*memory.answer(
                          key_message(Object::kKeyProg, kTx | ide_km::kDefaultIv, Bytes(size))),
                      kStatus),
              1)
        << size;
  EXPECT_EQ(byte_at(*memory.answer(
                        key_message(Object::kKeyProg, kTx | ide_km::kDefaultIv, Bytes(kBytes))),
                    kStatus),
            0);
  EXPECT_FALSE(memory.answer(key_message(Object::kSetGo, kTx, Bytes(1))).has_value());
  EXPECT_FALSE(memory.answer(key_message(Object::kGetKey, kTx)).has_value()) << "it makes none";
}

TEST(CxlMemory, WhatItGeneratesIsWhatItTakes) {
  CxlMemory memory(true);
  const auto told = memory.answer(key_message(Object::kGetKey, kTx));
  ASSERT_TRUE(told && told->size() == 1 + ide_km::kWithKeyBytes);
  const Bytes key(told->begin() + 1 + ide_km::kKeyMessageBytes, told->end());
  const auto status = [&](std::uint8_t what, std::size_t changed) {
    Bytes other = key;
    if (changed < other.size()) other[changed] ^= std::byte{1};
    return byte_at(*memory.answer(key_message(Object::kKeyProg, what, other)), kStatus);
  };
  EXPECT_EQ(status(kTx, 0), 1);
  EXPECT_EQ(status(kTx, ide_km::kKeyBytes), 1);
  EXPECT_EQ(status(kTx | ide_km::kDefaultIv, 0), 1);
  EXPECT_EQ(status(ide_km::kSubStream, 0), 0) << "the other end made what is received with";
  EXPECT_EQ(status(kTx, key.size()), 0);
  EXPECT_NE(memory.answer(key_message(Object::kGetKey, kTx)), told);
  memory.session_ended();
  EXPECT_EQ(status(kTx | ide_km::kDefaultIv, 0), 0) << "nothing was told in this session";
}

TEST(CxlMemory, EachPortHasKeysOfItsOwn) {
  CxlMemory memory(false, 3);
  for (const unsigned port : {0U, 1U, 2U}) {
    const Bytes query{std::byte{0}, std::byte{0}, std::byte{0}, std::byte(port)};
    const auto told = memory.answer(query);
    ASSERT_TRUE(told.has_value());
    EXPECT_EQ(byte_at(*told, 1 + 2), port);
    EXPECT_EQ(byte_at(*told, 1 + 6), 2);  // MaxPortIndex
  }
  EXPECT_FALSE(memory.answer(Bytes{std::byte{0}, std::byte{0}, std::byte{0}, std::byte{3}}));
  const auto status = [&memory](unsigned port) {
    Bytes request(1 + ide_km::kWithKeyBytes);
    request.at(1) = std::byte{std::to_underlying(Object::kKeyProg)};
    request.at(1 + ide_km::kKeyAt) = std::byte{ide_km::kSubStream | ide_km::kDefaultIv};
    request.at(1 + ide_km::kPortAt) = std::byte(port);
    return byte_at(memory.answer(request).value(), 1 + ide_km::kStatusAt);
  };
  EXPECT_EQ(status(0), ide_km::kSuccess);
  EXPECT_EQ(status(2), ide_km::kSuccess);
  EXPECT_EQ(status(2), ide_km::kInvalid);  // it waits already
  EXPECT_EQ(status(3), ide_km::kInvalid);
  memory.session_ended();
  EXPECT_EQ(status(2), ide_km::kSuccess);
}

TEST(CxlMemory, NothingShortIsAnswered) {
  CxlMemory memory(false);
  for (std::size_t size = 0; size < 3; ++size)
    EXPECT_FALSE(memory.answer(Bytes(size)).has_value()) << size;
  EXPECT_FALSE(memory.answer(Bytes(40, std::byte{9})).has_value());
}

TEST(TspConfiguration, CkidsAndSessionsFitTheirNumbers) {
  const TspCapabilities has{
      .encryption = 0x17, .algorithms = 3, .ckids = 8, .secondary_sessions = 2};
  TspConfiguration wanted{.encryption = 0x0b, .algorithm = 1, .ckids = 8};
  EXPECT_TRUE(fits(wanted, has));
  wanted.ckids = 9;
  EXPECT_FALSE(fits(wanted, has));
  wanted.ckids = 8;
  wanted.ckid_base = 0x1ff8;
  EXPECT_FALSE(fits(wanted, has)) << "the last CKID is 1fff, and base and number end before it";
  wanted.ckid_base = 0xffff'ffff;
  EXPECT_FALSE(fits(wanted, has));
  wanted.ckid_base = 0;
  for (const unsigned sessions : {0U, 1U, 3U}) {
    wanted.secondary_sessions = sessions;
    EXPECT_TRUE(fits(wanted, has)) << sessions;
  }
  for (const unsigned sessions : {2U, 7U, 0x8000U}) {
    wanted.secondary_sessions = sessions;
    EXPECT_FALSE(fits(wanted, has)) << sessions;
  }
  wanted.secondary_sessions = 0;
  wanted.encryption = 0x0f;
  EXPECT_FALSE(fits(wanted, has)) << "by CKID and by range";
  wanted.encryption = 0x03;
  EXPECT_FALSE(fits(wanted, has)) << "by CKID, and no CKID is required";
}

}  // namespace
}  // namespace teeio::serve
