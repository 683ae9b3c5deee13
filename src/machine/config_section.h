#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <ranges>
#include <set>
#include <string>
#include <string_view>

#include "base/nearest.h"
#include "base/types.h"

namespace teeio::machine {

/// Addresses and serial numbers are hexadecimal, as one writes them; all else is decimal.
inline std::string range_text(std::uint64_t low, std::uint64_t high) {
  if (low == high) return fmt::format("{}", low);
  if (high > std::numeric_limits<std::uint32_t>::max())
    return fmt::format("a number from {:#x} to {:#x}", low, high);
  return fmt::format("a number from {} to {}", low, high);
}

/// One table of the file being read. The first problem is kept; reading goes on
/// with defaults, and the caller looks at the problem once, at the end.
class Section {
 public:
  Section(const toml::table& table, std::string_view file, std::string& problem)
      : table_(table), file_(file), problem_(problem) {}

  std::uint64_t number(std::string_view key, std::uint64_t low, std::uint64_t high,
                       std::optional<std::uint64_t> fallback = {}) {
    const toml::node* node = take(key, fallback.has_value());
    if (node == nullptr) return fallback.value_or(low);
    const auto value = node->value<std::int64_t>();
    if (!node->is_integer() || *value < 0 || static_cast<std::uint64_t>(*value) < low ||
        static_cast<std::uint64_t>(*value) > high) {
      complain(*node, key, range_text(low, high));
      return low;
    }
    return static_cast<std::uint64_t>(*value);
  }

  /// Whether the key is there; it is one that is known. `with`: another, which says nothing
  /// without it.
  bool has(std::string_view key, std::string_view with = {}) {
    seen(key);
    if (table_.get(key) != nullptr) return true;
    if (with.empty()) return false;
    seen(with);
    if (const toml::node* node = table_.get(with); node != nullptr)
      complain(*node, with, fmt::format("left out: there is no `{}`", key));
    return false;
  }

  bool flag(std::string_view key, bool fallback) {
    const toml::node* node = take(key, true);
    if (node == nullptr) return fallback;
    if (!node->is_boolean()) complain(*node, key, "true or false");
    return node->value_or(fallback);
  }

  std::string text(std::string_view key) {
    const toml::node* node = take(key, false);
    if (node == nullptr) return {};
    if (!node->is_string()) complain(*node, key, "a text in quotes");
    return node->value_or(std::string());
  }

  /// What stands in lines of reports and names of tests: a word or several, on one line.
  std::string label(std::string_view key) {
    std::string value = text(key);
    const bool is_control = std::ranges::any_of(
        value, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    if (table_.contains(key) && (value.empty() || is_control))
      complain(*table_.get(key), key, "a text without control characters, and not empty");
    return value;
  }

  /// Empty: the key is not there.
  std::string optional_text(std::string_view key) {
    if (take(key, true) == nullptr) return {};
    std::string value = text(key);
    if (value.empty()) complain(*table_.get(key), key, "a text that is not empty");
    return value;
  }

  Bdf bdf(std::string_view key) {
    const toml::node* node = take(key, false);
    if (node == nullptr) return {};
    const auto parsed = Bdf::parse(node->value_or(std::string()));
    if (!parsed) complain(*node, key, "a PCI address such as \"0000:01:00.0\"");
    return parsed.value_or(Bdf{});
  }

  template <class Names, class E = typename std::ranges::range_value_t<Names>::second_type>
  E choice(std::string_view key, const Names& names, std::optional<E> fallback = {}) {
    const toml::node* node = take(key, fallback.has_value());
    if (node == nullptr) return fallback.value_or(names[0].second);
    const std::string value = node->value_or(std::string());
    std::string allowed;
    for (const auto& [name, meaning] : names) {
      if (name == value) return meaning;
      allowed += fmt::format("{}\"{}\"", allowed.empty() ? "" : ", ", name);
    }
    complain(*node, key, "one of " + allowed);
    return names[0].second;
  }

  /// A list of names, as the bits that they stand for.
  template <class Names>
  std::uint16_t flags(std::string_view key, const Names& names, std::uint16_t fallback) {
    const toml::node* node = take(key, true);
    if (node == nullptr) return fallback;
    const auto allowed = [&] {
      std::string text;
      for (const auto& [name, bit] : names)
        text += fmt::format("{}\"{}\"", text.empty() ? "" : ", ", name);
      return text;
    };
    const toml::array* list = node->as_array();
    if (list == nullptr) complain(*node, key, "a list of " + allowed());
    unsigned bits = 0;
    for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
      const std::string word = list->get(i)->value_or(std::string());
      const auto row = std::ranges::find(names, word, [](const auto& pair) { return pair.first; });
      if (row == std::end(names))
        complain(*list->get(i), key, "a list of " + allowed());
      else
        bits |= row->second;
    }
    return static_cast<std::uint16_t>(bits);
  }

  /// No other table has this number in `key`. `others`: where those before stand.
  void unique(std::string_view key, std::map<std::uint64_t, std::uint32_t>& others) {
    const toml::node* node = table_.get(key);
    const auto value = node == nullptr ? std::nullopt : node->value<std::int64_t>();
    if (!value) return;
    const auto [other, is_new] =
        others.emplace(static_cast<std::uint64_t>(*value), node->source().begin.line);
    if (!is_new) complain(*node, key, fmt::format("another than that in line {}", other->second));
  }

  /// Every key must have been read.
  void finish() {
    for (const auto& [key, node] : table_) {
      if (seen_.contains(std::string(key.str()))) continue;
      const std::string near = nearest(key.str(), {seen_.begin(), seen_.end()});
      const std::string hint = near.empty() ? "" : fmt::format("is it \"{}\"? ", near);
      complain(node, key.str(),
               fmt::format("no such key here; {}known: {}", hint, fmt::join(seen_, ", ")), "");
    }
  }
  void seen(std::string_view key) { seen_.emplace(key); }
  [[nodiscard]] const toml::table& table() const { return table_; }
  [[nodiscard]] std::string_view file() const { return file_; }
  [[nodiscard]] std::string& problem() { return problem_; }
  [[nodiscard]] std::uint32_t line() const { return table_.source().begin.line; }
  void complain(const toml::node& node, std::string_view key, std::string_view allowed,
                std::string_view verb = "must be ") {
    report(node.source().begin.line, key, fmt::format("{}{}", verb, allowed));
  }

 private:
  const toml::node* take(std::string_view key, bool optional) {
    seen_.emplace(key);
    const toml::node* node = table_.get(key);
    if (node == nullptr && !optional) report(table_.source().begin.line, key, "is missing here");
    return node;
  }
  void report(std::uint32_t line, std::string_view key, std::string_view what) {
    if (problem_.empty()) problem_ = fmt::format("{}:{}: key \"{}\": {}", file_, line, key, what);
  }

  const toml::table& table_;
  const std::string_view file_;
  std::string& problem_;
  std::set<std::string> seen_;
};

/// Each table of an array of tables, such as [[card]].
template <class Read>
void for_each_table(const toml::table& root, Section& top, std::string_view key,
                    std::string_view file, std::string& problem, Read read) {
  top.seen(key);
  const toml::node* node = root.get(key);
  if (node == nullptr) return;
  const toml::array* array = node->as_array();
  if (array == nullptr) return top.complain(*node, key, "a list of tables, [[…]]");
  for (const toml::node& element : *array) {
    const toml::table* table = element.as_table();
    if (table == nullptr) return top.complain(element, key, "a list of tables, [[…]]");
    Section inner{*table, file, problem};
    read(inner);
  }
}

}  // namespace teeio::machine
