#include "guest/intercept.h"

#include <gtest/gtest.h>

#include <vector>

namespace teeio::guest {
namespace {

using Kind = Intercept::Kind;

Intercept classified(std::vector<std::uint8_t> code, CodeSize size = CodeSize::k64) {
  return classify(code, size);
}

TEST(Intercept, OrdinaryInstructionsAreLeftToUnicorn) {
  EXPECT_EQ(classified({0x90}).kind, Kind::kNone);
  EXPECT_EQ(classified({0x48, 0x8b, 0x07}).kind, Kind::kNone);
  EXPECT_EQ(classified({0x0f, 0xb6, 0x07}).kind, Kind::kNone);
  EXPECT_EQ(classified({0x0f, 0x01, 0xcc}).kind, Kind::kNone) << "TDCALL needs its 66";
  EXPECT_EQ(classified({0x66, 0x0f, 0x01, 0x10}).kind, Kind::kNone) << "LGDT";
  EXPECT_EQ(classified({}).kind, Kind::kNone);
}

// An operand byte that looks like an opcode is not one.
TEST(Intercept, ImmediatesAreNotOpcodes) {
  EXPECT_EQ(classified({0xb8, 0xf4, 0x0f, 0x30, 0x00}).kind, Kind::kNone);
}

TEST(Intercept, TdcallHasFourBytes) {
  const Intercept found = classified({0x66, 0x0f, 0x01, 0xcc, 0x90, 0x90});
  EXPECT_EQ(found.kind, Kind::kTdcall);
  EXPECT_EQ(found.length, 4);
}

TEST(Intercept, RexExtendsControlAndGeneralRegisters) {
  Intercept found = classified({0x0f, 0x22, 0xd8});
  EXPECT_EQ(found.kind, Kind::kWriteControl);
  EXPECT_EQ(found.control, 3);
  EXPECT_EQ(found.reg, 0);
  found = classified({0x45, 0x0f, 0x20, 0xc1});
  EXPECT_EQ(found.kind, Kind::kReadControl);
  EXPECT_EQ(found.control, 8);
  EXPECT_EQ(found.reg, 9);
  EXPECT_EQ(found.length, 4);
}

TEST(Intercept, PortSizeFollowsCodeSizeAndPrefix) {
  EXPECT_EQ(classified({0xef}, CodeSize::k32).size, 4);
  EXPECT_EQ(classified({0x66, 0xef}, CodeSize::k32).size, 2);
  EXPECT_EQ(classified({0xef}, CodeSize::k16).size, 2);
  EXPECT_EQ(classified({0x66, 0xef}, CodeSize::k16).size, 4);
  EXPECT_EQ(classified({0xee}, CodeSize::k16).size, 1);
  const Intercept found = classified({0xe5, 0x71});
  EXPECT_EQ(found.kind, Kind::kIn);
  EXPECT_EQ(found.port, 0x71);
  EXPECT_FALSE(found.port_in_dx);
  EXPECT_EQ(found.length, 2);
}

TEST(Intercept, SnpGuestsInstructionsHaveAPrefix) {
  EXPECT_EQ(classified({0xf3, 0x0f, 0x01, 0xd9}).kind, Kind::kVmgexit);
  EXPECT_EQ(classified({0xf2, 0x0f, 0x01, 0xd9}).kind, Kind::kVmgexit);
  EXPECT_EQ(classified({0xf2, 0x0f, 0x01, 0xff}).kind, Kind::kPvalidate);
  EXPECT_EQ(classified({0xf2, 0x0f, 0x01, 0xff}).length, 4);
  EXPECT_EQ(classified({0xf3, 0x0f, 0x01, 0xfe}).kind, Kind::kRmpadjust);
  EXPECT_EQ(classified({0xf3, 0x0f, 0x01, 0xff}).kind, Kind::kUnsupported) << "PSMASH";
  EXPECT_EQ(classified({0xf2, 0x0f, 0x01, 0xfe}).kind, Kind::kUnsupported) << "RMPUPDATE";
  EXPECT_EQ(classified({0x0f, 0x01, 0x38}).kind, Kind::kInvalidate) << "INVLPG stays what it is";
}

TEST(Intercept, HypercallsCpuidAndPortsAreTheOwners) {
  EXPECT_EQ(classified({0x0f, 0x01, 0xc1}).kind, Kind::kHypercall);
  EXPECT_EQ(classified({0x0f, 0x01, 0xd9}).kind, Kind::kHypercall);
  const Intercept input = classified({0x67, 0x26, 0xf3, 0x6d});
  EXPECT_EQ(input.kind, Kind::kIn);
  EXPECT_TRUE(input.string && input.repeated && input.address_size && input.port_in_dx);
  EXPECT_EQ(input.segment, 0x26);
  EXPECT_EQ(input.length, 4);
  EXPECT_EQ(classified({0x0f, 0xa2}).kind, Kind::kCpuid);
  EXPECT_EQ(classified({0x0f, 0xa2}).length, 2);
}

}  // namespace
}  // namespace teeio::guest
