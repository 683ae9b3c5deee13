#include "evidence/policy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <set>

#include "base/hex.h"
#include "base/toml_text.h"
#include "crypto/dice.h"
#include "evidence/measurement_values.h"
#include "wire/spdm_algorithms.h"
#include "wire/spdm_pqc.h"

namespace teeio::evidence {
namespace {

constexpr std::size_t kMostEntries = 256;  ///< of one list: nobody has more, and each is judged

/// One table. The first thing that is wrong is kept, and what comes later is not read;
/// finish() finds keys that nobody asked for.
class Section {
 public:
  Section(const toml::table* table, std::string name, std::string_view file, std::string& problem)
      : table_(table), name_(std::move(name)), file_(file), problem_(problem) {}

  /// The policy has this table.
  [[nodiscard]] bool is_there() const { return table_ != nullptr; }
  [[nodiscard]] bool has(std::string_view key) const {
    return table_ != nullptr && table_->contains(key);
  }
  void flag(std::string_view key, bool& into) {
    if (const toml::node* node = take(key)) {
      if (const auto value = node->value_exact<bool>())
        into = *value;
      else
        wrong(*node, key, "true or false");
    }
  }
  /// `yes` is the word that means true.
  void choice(std::string_view key, std::string_view yes, std::string_view no, bool& into) {
    const toml::node* node = take(key);
    if (node == nullptr) return;
    const auto word = node->value_exact<std::string_view>();
    if (word && (*word == yes || *word == no))
      into = *word == yes;
    else
      wrong(*node, key, fmt::format("\"{}\" or \"{}\"", yes, no));
  }
  template <class Number>
  void number(std::string_view key, std::optional<Number>& into) {
    const toml::node* node = take(key);
    if (node == nullptr) return;
    const auto value = node->value_exact<std::int64_t>();
    constexpr auto kMost = std::min<std::uint64_t>(std::numeric_limits<Number>::max(),
                                                   std::numeric_limits<std::int64_t>::max());
    if (value && *value >= 0 && static_cast<std::uint64_t>(*value) <= kMost)
      into = static_cast<Number>(*value);
    else
      wrong(*node, key, fmt::format("a whole number from 0 to {}", kMost));
  }
  /// What tells this table from others of its kind: required, not in `taken`, from `least` on.
  template <class Number>
  Number identifier(std::string_view key, Number least, std::set<Number>& taken) {
    required(key);
    std::optional<Number> value;
    number(key, value);
    const toml::node* node = take(key);
    if (!value || node == nullptr) return least;
    if (*value < least)
      wrong(*node, key, fmt::format("a whole number from {} on", least));
    else if (!taken.insert(*value).second)
      wrong(*node, key, "a number that no table before has");
    return *value;
  }
  void text(std::string_view key, std::optional<std::string>& into) {
    if (const toml::node* node = take(key)) {
      if (const auto value = node->value_exact<std::string>())
        into = *value;
      else
        wrong(*node, key, "a text");
    }
  }
  void texts(std::string_view key, std::vector<std::string>& into) {
    each(key, "a list of texts", [&](const toml::node& node) {
      const auto value = node.value_exact<std::string>();
      if (value) into.push_back(*value);
      return value.has_value();
    });
  }
  void bytes(std::string_view key, std::vector<Bytes>& into) {
    each(key, "a list of hexadecimal texts", [&](const toml::node& node) {
      const auto value = node.value_exact<std::string_view>();
      const auto hex = value ? from_hex(*value) : std::nullopt;
      if (hex) into.push_back(*hex);
      return hex.has_value();
    });
  }
  /// One text or a list of them goes through `read`, which says whether it is right.
  template <class Read>
  void each(std::string_view key, std::string_view allowed, Read read) {
    const toml::node* node = take(key);
    if (node == nullptr) return;
    const toml::array* list = node->as_array();
    if (list == nullptr) {
      if (!read(*node)) wrong(*node, key, allowed);
      return;
    }
    // An empty list would be met by everything, or by nothing.
    if (list->empty()) return wrong(*node, key, "at least one entry");
    if (list->size() > kMostEntries) return wrong(*node, key, "at most 256 entries");
    for (const toml::node& one : *list)
      if (!read(one)) return wrong(one, key, allowed);
  }
  /// Each table of a list of tables.
  template <class Read>
  void tables(std::string_view key, Read read) {
    const toml::node* node = take(key);
    if (node == nullptr) return;
    const toml::array* list = node->as_array();
    if (list == nullptr || list->empty() || list->size() > kMostEntries)
      return wrong(*node, key, "tables, [[...]], 1 to 256");
    for (const toml::node& one : *list) {
      const toml::table* table = one.as_table();
      if (table == nullptr) return wrong(one, key, "tables, [[...]]");
      Section section(table, fmt::format("{}.{}", name_, key), file_, problem_);
      read(section);
      section.finish();
    }
  }
  void table(std::string_view key, const std::function<void(Section&)>& read) {
    const toml::node* node = take(key);
    const toml::table* table = node == nullptr ? nullptr : node->as_table();
    if (node != nullptr && table == nullptr) return wrong(*node, key, "a table");
    Section section(table, std::string(key), file_, problem_);
    read(section);
    section.finish();
  }
  void required(std::string_view key) {
    if (table_ != nullptr && !table_->contains(key) && problem_.empty())
      problem_ =
          fmt::format("{}:{}: [{}] lacks \"{}\"", file_, table_->source().begin.line, name_, key);
  }
  void finish() {
    for (auto it = table_ == nullptr ? toml::table::const_iterator() : table_->begin();
         table_ != nullptr && it != table_->end(); ++it) {
      const std::string_view key = it->first.str();
      if (known_.contains(std::string(key)) || !problem_.empty()) continue;
      problem_ = fmt::format("{}:{}: there is no key \"{}\" here; there are {}", file_,
                             it->first.source().begin.line, key, fmt::join(known_, ", "));
    }
  }

 private:
  const toml::node* take(std::string_view key) {
    known_.emplace(key);
    return table_ == nullptr ? nullptr : table_->get(key);
  }
  void wrong(const toml::node& node, std::string_view key, std::string_view allowed) {
    if (problem_.empty())
      problem_ = fmt::format("{}:{}: {} must be {}", file_, node.source().begin.line, key, allowed);
  }

  const toml::table* table_;  ///< null: it is not in the file
  std::string name_;
  std::string_view file_;
  std::string& problem_;
  std::set<std::string> known_;
};

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
  section.bytes("fwid", tcb.fwids);
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
  section.bytes("leaf_keys", policy.leaf_keys);
  section.text("device", policy.device_info);
  section.each("ueid", "one hexadecimal text", [&](const toml::node& node) {
    const auto value = node.value_exact<std::string_view>();
    const auto hex = value ? from_hex(*value) : std::nullopt;
    const bool first = !policy.ueid;
    if (hex) policy.ueid = *hex;
    return hex && first;
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

/// SPDM's blocks begin with 1: index 0 asks for how many there are (DSP0274, GET_MEASUREMENTS).
void read_block(Section& section, WantedBlock& block, std::set<std::uint8_t>& taken) {
  block.index = section.identifier("index", std::uint8_t{1}, taken);
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
  top.finish();
  if (!problem.empty()) return std::unexpected(std::move(problem));
  return policy;
}

}  // namespace teeio::evidence
