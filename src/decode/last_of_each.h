#pragma once

#include <cstddef>
#include <functional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "decode/fields.h"

namespace teeio::decode {

inline constexpr std::size_t kNotTheFirst = std::string_view::npos;

/// For each field that is the first of its name the place of the last one, else kNotTheFirst.
/// A message of another party's may have a hundred thousand fields: no more than a few looks at
/// each.
template <class Equal = std::equal_to<std::string_view>>
std::vector<std::size_t> last_of_each(const Fields& fields, Equal equal = {}) {
  std::vector<std::size_t> last(fields.size(), kNotTheFirst);
  std::unordered_map<std::string_view, std::size_t, std::hash<std::string_view>, Equal> first(
      fields.size(), {}, equal);
  for (std::size_t i = 0; i < fields.size(); ++i)
    last[first.try_emplace(fields[i].name, i).first->second] = i;
  return last;
}

}  // namespace teeio::decode
