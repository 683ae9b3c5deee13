#include "evidence/policy.h"

#include <gtest/gtest.h>

#include "evidence/judge.h"

namespace teeio::evidence {
namespace {

std::string problem(std::string_view text) {
  const auto parsed = Policy::parse(text, "p.toml");
  return parsed ? "" : parsed.error();
}

TEST(Policy, IsStrictWhereItSaysNothing) {
  const auto policy = Policy::parse("", "p.toml");
  ASSERT_TRUE(policy.has_value());
  EXPECT_TRUE(policy->judge_validity);
  EXPECT_TRUE(policy->nonce_required);
  EXPECT_FALSE(policy->allow_downgrade);
  EXPECT_FALSE(policy->allow_debug);
  EXPECT_FALSE(policy->trust_digests_of_file);
  EXPECT_EQ(policy->versions, (std::vector<std::uint8_t>{0x12, 0x13, 0x14}));
}

TEST(Policy, ATableOrAWordThatIsThereIsMeant) {
  EXPECT_FALSE(Policy::parse("", "p.toml")->binding_required);
  EXPECT_TRUE(Policy::parse("[binding]\n", "p.toml")->binding_required);
  EXPECT_FALSE(Policy::parse("[binding]\nrequired = false\n", "p.toml")->binding_required);
  EXPECT_FALSE(Policy::parse("[measurements]\n", "p.toml")->mode_required);
  EXPECT_TRUE(Policy::parse("[measurements]\ndebug = \"refused\"\n", "p.toml")->mode_required);
  EXPECT_FALSE(Policy::parse("[measurements]\ndebug = \"allowed\"\n", "p.toml")->mode_required);
}

TEST(Policy, ReadsWhatIsWanted) {
  const auto policy = Policy::parse(R"(
[chain]
roots = ["a.pem", "b.pem"]
leaf_keys = ["00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"]
[[chain.tcb]]
least_svn = 3
refused_flags = ["debug", "notSecure"]
[spdm]
versions = ["1.2"]
downgrade = "allowed"
[[measurements.block]]
index = 7
type = "svn"
least_svn = 9
[[report.range]]
id = 2
pages = 16
)",
                                    "p.toml");
  ASSERT_TRUE(policy.has_value()) << policy.error();
  EXPECT_EQ(policy->root_files.size(), 2U);
  EXPECT_EQ(policy->tcb.at(0).refused_flags, 0xaU);
  EXPECT_EQ(policy->blocks.at(0).least_svn, 9U);
  EXPECT_EQ(policy->ranges.at(0).pages, 16U);
  EXPECT_TRUE(policy->allow_downgrade);
}

TEST(Policy, AKeyOfTooManyPartsIsNoEndOfTheStack) {
  std::string key;
  for (int i = 0; i < 100'000; ++i) key += "a.";
  EXPECT_EQ(problem("\n" + key + "b = 1\n"), "p.toml:2: keys have too many parts");
}

TEST(Policy, NamesLineAndKeyOfWhatIsWrong) {
  EXPECT_EQ(problem("[chain]\nrots = []\n"),
            "p.toml:2: there is no key \"rots\" here; there are device, leaf_keys, roots, tcb, "
            "ueid, validity");
  EXPECT_EQ(problem("[freshness]\nnonce = \"maybe\"\n"),
            "p.toml:2: nonce must be \"required\" or \"ignored\"");
  EXPECT_EQ(problem("[spdm]\nversions = [\"1.9\"]\n"),
            "p.toml:2: versions must be versions as \"1.2\"");
  EXPECT_EQ(problem("[chain]\nleaf_keys = [\"abc\"]\n"),
            "p.toml:2: leaf_keys must be a list of hexadecimal texts, each of 64 digits");
  EXPECT_EQ(problem("[chain]\nleaf_keys = [\"00ff\"]\n"),
            "p.toml:2: leaf_keys must be a list of hexadecimal texts, each of 64 digits");
  EXPECT_EQ(problem("[cca]\ninstance = \"\"\n"),
            "p.toml:2: instance must be a list of hexadecimal texts, each of 66 digits");
  EXPECT_EQ(
      problem("[cca.realm]\ninitial = \"00\"\n"),
      "p.toml:2: initial must be a list of hexadecimal texts, each of 64 or 96 or 128 digits");
  EXPECT_EQ(problem("[[measurements.block]]\nindex = 2\nvalue = \"\"\n"),
            "p.toml:3: value must be a list of hexadecimal texts");
  EXPECT_EQ(problem("[cca]\nlifecycle = \"secure\"\n"),
            "p.toml:2: lifecycle must be among unknown, assembly-and-test, rot-provisioning, "
            "secured, non-rot-debug, recoverable-rot-debug, decommissioned");
  EXPECT_EQ(problem("[snp]\nmost_vmpl = 4\n"),
            "p.toml:2: most_vmpl must be a whole number from 0 to 3");
  EXPECT_EQ(problem("[snp.least_tcb]\nsnp = 256\n"),
            "p.toml:2: snp must be a whole number from 0 to 255");
  EXPECT_EQ(problem("[snp]\nleast_guest_svn = 4294967296\n"),
            "p.toml:2: least_guest_svn must be a whole number from 0 to 4294967295");
  EXPECT_EQ(problem("[[measurements.block]]\ntype = \"svn\"\n"),
            "p.toml:1: [measurements.block] lacks \"index\"");
  EXPECT_EQ(problem("[[measurements.block]]\nindex = 256\n"),
            "p.toml:2: index must be a whole number from 0 to 255");
  EXPECT_EQ(problem("[[measurements.block]]\nindex = 0\n"),
            "p.toml:2: index must be a whole number from 1 on");
  EXPECT_EQ(problem("[[measurements.block]]\nindex = 255\n"),
            "p.toml:2: index must be a whole number from 1 to 254");
  EXPECT_EQ(problem("[[measurements.block]]\nindex = 254\n"), "");
  EXPECT_EQ(problem("[[measurements.block]]\nindex = 2\n[[measurements.block]]\nindex = 2\n"),
            "p.toml:4: index must be a number that no table before has");
  EXPECT_EQ(problem("[[report.range]]\nid = 2\n[[report.range]]\nid = 2\n"),
            "p.toml:4: id must be a number that no table before has");
  EXPECT_EQ(problem("[chain]\nueid = [\"00\", \"01\"]\n"),
            "p.toml:2: ueid must be one hexadecimal text");
  EXPECT_EQ(problem("[chain]\nleaf_keys = []\n"), "p.toml:2: leaf_keys must be at least one entry");
  EXPECT_NE(problem("[[measurements.block]]\nindex = 2\nvalue = []\n"), "");
  EXPECT_NE(problem("[measurements]\nblock = []\n"), "");
  EXPECT_EQ(problem("chain = 3\n"), "p.toml:1: chain must be a table");
  EXPECT_NE(problem("[chain\n"), "");
}

// Without a root nothing is proved, whatever else holds.
TEST(Judge, NeverTrustsWithoutARoot) {
  const auto clauses = judge(Statement::of({}), *Policy::parse("", "p"), {});
  EXPECT_FALSE(trusted(clauses));
}

}  // namespace
}  // namespace teeio::evidence
