#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hex.h"
#include "evidence/token_policy.h"

// Inside of the policy's parser: a table that is read key by key.
namespace teeio::evidence {

inline constexpr std::size_t kMostEntries =
    256;  ///< of one list: nobody has more, and each is judged

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
  void number(std::string_view key, std::optional<Number>& into,
              std::uint64_t most = std::numeric_limits<Number>::max()) {
    const toml::node* node = take(key);
    if (node == nullptr) return;
    const auto value = node->value_exact<std::int64_t>();
    most = std::min<std::uint64_t>(most, std::numeric_limits<std::int64_t>::max());
    if (value && *value >= 0 && static_cast<std::uint64_t>(*value) <= most)
      into = static_cast<Number>(*value);
    else
      wrong(*node, key, fmt::format("a whole number from 0 to {}", most));
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
  /// Hexadecimal texts of any length but none, or of one of `sizes` in bytes.
  void bytes(std::string_view key, std::vector<Bytes>& into,
             std::initializer_list<std::size_t> sizes = {}) {
    std::string allowed = "a list of hexadecimal texts";
    std::string_view before = ", each of ";
    for (const std::size_t size : sizes)
      allowed += fmt::format("{}{}", std::exchange(before, " or "), 2 * size);
    if (sizes.size() != 0) allowed += " digits";
    each(key, allowed, [&](const toml::node& node) {
      const auto text = node.value_exact<std::string_view>();
      auto hex = text ? from_hex(*text) : std::nullopt;
      if (!hex || hex->empty()) return false;
      if (sizes.size() != 0 && std::ranges::find(sizes, hex->size()) == sizes.end()) return false;
      into.push_back(std::move(*hex));
      return true;
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
      Section inner{table, fmt::format("{}.{}", name_, key), file_, problem_};
      read(inner);
      inner.finish();
    }
  }
  void table(std::string_view key, const std::function<void(Section&)>& read) {
    const toml::node* node = take(key);
    const toml::table* table = node == nullptr ? nullptr : node->as_table();
    if (node != nullptr && table == nullptr) return wrong(*node, key, "a table");
    Section inner{table, std::string(key), file_, problem_};
    read(inner);
    inner.finish();
  }
  /// What was read makes no sense for a reason that only the caller knows.
  void refuse(std::string_view key, std::string_view allowed) {
    if (const toml::node* node = take(key)) wrong(*node, key, allowed);
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

void read_cca(Section& section, CcaPolicy& policy);
void read_snp(Section& section, SnpPolicy& policy);

}  // namespace teeio::evidence
