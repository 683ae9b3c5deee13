#include "evidence/policy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include "base/toml_text.h"
#include "crypto/dice.h"
#include "evidence/measurement_values.h"
#include "evidence/policy_section.h"
#include "wire/spdm_algorithms.h"
#include "wire/spdm_pqc.h"

namespace teeio::evidence {
namespace {

std::optional<std::uint8_t> version_of(std::string_view text) {
  if (text.size() != 3 || text[0] != '1' || text[1] != '.' || text[2] < '0' || text[2] > '4')
    return std::nullopt;
  return static_cast<std::uint8_t>(0x10 | (text[2] - '0'));
}

bool is_hash(std::string_view name) {
  for (unsigned bit = 0; bit < 32; ++bit)
    if (wire::spdm_hash_name(std::uint32_t{1} << bit) == name) return true;
  return false;
}
bool is_signature(std::string_view name) {
  for (unsigned bit = 0; bit < 32; ++bit)
    if (wire::spdm_asym_name(std::uint32_t{1} << bit) == name ||
        wire::spdm_pqc_asym_name(std::uint32_t{1} << bit) == name)
      return !name.empty();
  return false;
}

/// A list of texts of which each is one that `known` knows; replaces the default.
template <class Known>
void names(Section& section, std::string_view key, std::vector<std::string>& into, Known known,
           std::string_view allowed) {
  std::vector<std::string> given;
  section.each(key, allowed, [&](const toml::node& node) {
    const auto value = node.value_exact<std::string>();
    if (!value || !known(*value)) return false;
    given.push_back(*value);
    return true;
  });
  if (!given.empty()) into = std::move(given);
}

void read_tcb(Section& section, WantedTcb& tcb) {
  section.text("vendor", tcb.vendor);
  section.text("model", tcb.model);
  section.text("version", tcb.version);
  section.number("layer", tcb.layer);
  section.number("least_svn", tcb.least_svn);
  section.bytes("fwid", tcb.fwids, {32, 48, 64});
  section.each("refused_flags", "flags as \"debug\", \"notSecure\"", [&](const toml::node& node) {
    const auto word = node.value_exact<std::string_view>();
    for (unsigned bit = 0; word && !word->empty() && bit < 32; ++bit)
      if (crypto::dice_flag_name(bit) == *word) {
        tcb.refused_flags |= std::uint32_t{1} << bit;
        return true;
      }
    return false;
  });
}

void read_chain(Section& section, Policy& policy) {
  section.texts("roots", policy.root_files);
  section.choice("validity", "judged", "ignored", policy.judge_validity);
  section.bytes("leaf_keys", policy.leaf_keys, {32});
  section.text("device", policy.device_info);
  section.each("ueid", "one hexadecimal text", [&](const toml::node& node) {
    const auto value = node.value_exact<std::string_view>();
    const auto hex = value ? from_hex(*value) : std::nullopt;
    const bool first = !policy.ueid;
    if (hex) policy.ueid = *hex;
    return hex && !hex->empty() && first;
  });
  section.tables("tcb", [&](Section& one) { read_tcb(one, policy.tcb.emplace_back()); });
}

void read_spdm(Section& section, Policy& policy) {
  std::vector<std::uint8_t> versions;
  section.each("versions", "versions as \"1.2\"", [&](const toml::node& node) {
    const auto text = node.value_exact<std::string_view>();
    const auto version = text ? version_of(*text) : std::nullopt;
    if (version) versions.push_back(*version);
    return version.has_value();
  });
  if (!versions.empty()) policy.versions = std::move(versions);
  section.choice("downgrade", "allowed", "refused", policy.allow_downgrade);
  names(section, "hashes", policy.hashes, is_hash, "hashes as \"SHA-384\"");
  names(section, "signatures", policy.signatures, is_signature, "algorithms as \"ECDSA-P384\"");
}

/// SPDM's blocks are 1 to 254: index 0 asks for how many there are, 255 for all (DSP0274,
/// GET_MEASUREMENTS).
void read_block(Section& section, WantedBlock& block, std::set<std::uint8_t>& taken) {
  block.index = section.identifier("index", std::uint8_t{1}, taken);
  if (block.index == 0xff) section.refuse("index", "a whole number from 1 to 254");
  section.each("type", "a type as \"firmware\" or \"svn\"", [&](const toml::node& node) {
    const auto word = node.value_exact<std::string_view>();
    block.type = word ? measurement_type_of(*word) : std::nullopt;
    return block.type.has_value();
  });
  section.bytes("value", block.values);
  section.number("least_svn", block.least_svn);
}

void read_report(Section& section, Policy& policy) {
  section.flag("required", policy.report_required);
  section.choice("non_tee_memory", "allowed", "refused", policy.allow_non_tee_memory);
  section.flag("no_update_after_lock", policy.no_update_after_lock);
  std::set<std::uint16_t> taken;
  section.tables("range", [&](Section& one) {
    WantedRange& range = policy.ranges.emplace_back();
    range.id = one.identifier("id", std::uint16_t{0}, taken);
    one.number("pages", range.pages);
  });
}

}  // namespace

std::expected<Policy, std::string> Policy::parse(std::string_view text, std::string_view name) {
  if (const std::size_t line = line_of_too_many_parts(text); line != 0)
    return std::unexpected(fmt::format("{}:{}: keys have too many parts", name, line));
  toml::table root;
  try {
    root = toml::parse(text);
  } catch (const toml::parse_error& error) {
    return std::unexpected(
        fmt::format("{}:{}: {}", name, error.source().begin.line, error.description()));
  }
  Policy policy;
  std::string problem;
  Section top(&root, "policy", name, problem);
  top.table("chain", [&](Section& s) { read_chain(s, policy); });
  top.table("spdm", [&](Section& s) { read_spdm(s, policy); });
  top.table("freshness",
            [&](Section& s) { s.choice("nonce", "required", "ignored", policy.nonce_required); });
  top.table("measurements", [&](Section& s) {
    s.choice("debug", "allowed", "refused", policy.allow_debug);
    policy.mode_required = s.has("debug") && !policy.allow_debug;
    s.choice("others", "allowed", "refused", policy.allow_other_blocks);
    std::set<std::uint8_t> taken;
    s.tables("block", [&](Section& one) { read_block(one, policy.blocks.emplace_back(), taken); });
  });
  top.table("report", [&](Section& s) { read_report(s, policy); });
  top.table("binding", [&](Section& s) {
    policy.binding_required = s.is_there();  // who writes this table means it
    s.flag("required", policy.binding_required);
    s.choice("digests", "of-the-file", "given", policy.trust_digests_of_file);
  });
  top.table("cca", [&](Section& s) { read_cca(s, policy.cca); });
  top.table("snp", [&](Section& s) { read_snp(s, policy.snp); });
  top.finish();
  if (!problem.empty()) return std::unexpected(std::move(problem));
  return policy;
}

}  // namespace teeio::evidence
