#include "serve/repeated_options.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "serve/idle_options.h"
#include "serve/measurement_blocks.h"
#include "wire/spdm.h"

namespace teeio::serve {
namespace {

std::string why_with_faults(std::initializer_list<std::string_view> faults) {
  SpeakerOptions options;
  for (const std::string_view fault : faults) options.faults.push_back(*parse_fault(fault));
  return why_repeated(options);
}

TEST(RepeatedOptions, ABlockIsMeasuredOnce) {
  SpeakerOptions options;
  options.measurements = {*parse_measurement("5=rom:a"), *parse_measurement("6=rom:a")};
  EXPECT_EQ(why_repeated(options), "");
  options.measurements.push_back(*parse_measurement("5=version:b"));
  EXPECT_EQ(why_repeated(options), "--measurement gives block 5 twice");
}

TEST(RepeatedOptions, AHintHasOneKey) {
  SpeakerOptions options;
  options.psks = {{{std::byte{1}}, {std::byte{2}}}, {{std::byte{2}}, {std::byte{2}}}};
  EXPECT_EQ(why_repeated(options), "");
  options.psks.push_back({{std::byte{1}}, {std::byte{3}}});
  EXPECT_EQ(why_repeated(options), "--psk gives two keys for one hint");
}

TEST(RepeatedOptions, AFaultIsGivenOnce) {
  EXPECT_EQ(why_with_faults({"late@FINISH", "late@HEARTBEAT"}), "");
  EXPECT_EQ(why_with_faults({"late@FINISH", "late@FINISH"}), "--fault late@FINISH is given twice");
}

TEST(RepeatedOptions, NothingIsSeenOfAnAnswerThatIsDropped) {
  EXPECT_EQ(why_with_faults({"truncated@FINISH", "dropped@FINISH"}),
            "--fault truncated@FINISH changes nothing beside dropped@FINISH");
  EXPECT_EQ(why_with_faults({"late@FINISH", "dropped@FINISH"}),
            "--fault late@FINISH changes nothing beside dropped@FINISH");
  EXPECT_EQ(why_with_faults({"truncated@FINISH", "dropped@HEARTBEAT"}), "");
  EXPECT_EQ(why_with_faults({"dropped@FINISH", "error@FINISH"}), "")
      << "that it was not done shows later";
  EXPECT_EQ(why_with_faults({"accepted@LOCK_INTERFACE", "dropped@LOCK_INTERFACE"}), "")
      << "that it was done in the clear shows in the TDI's state";
}

TEST(RepeatedOptions, WhatIsRefusedHasNothingToSpoil) {
  EXPECT_EQ(why_with_faults({"bad-signature@CHALLENGE", "endless-busy@CHALLENGE"}),
            "--fault bad-signature@CHALLENGE changes nothing beside endless-busy@CHALLENGE");
  EXPECT_EQ(why_with_faults({"endless-busy@CHALLENGE", "error@CHALLENGE"}),
            "--fault endless-busy@CHALLENGE changes nothing beside error@CHALLENGE");
  EXPECT_EQ(why_with_faults({"wrong-code@CHALLENGE", "error@CHALLENGE"}), "");
}

TEST(IdleOptions, AChainNeedsAVersionAndAnAlgorithmOfItsKey) {
  SpeakerOptions options;
  EXPECT_EQ(why_idle_key(options, crypto::KeyType::kRsa3072), "");
  options.algorithms = {"ECDSA-P256"};
  EXPECT_NE(why_idle_key(options, crypto::KeyType::kRsa3072), "");
  EXPECT_NE(why_idle_key(options, crypto::KeyType::kP384), "");
  EXPECT_EQ(why_idle_key(options, crypto::KeyType::kP256), "");
  options.algorithms = {"SHA-256"};
  EXPECT_EQ(why_idle_key(options, crypto::KeyType::kRsa3072), "");
  EXPECT_EQ(why_idle_key(options, crypto::KeyType::kEd25519), "");
  options.versions = {wire::kSpdmVersion10, wire::kSpdmVersion11};
  EXPECT_NE(why_idle_key(options, crypto::KeyType::kEd25519), "") << "which came with SPDM 1.2";
}

}  // namespace
}  // namespace teeio::serve
