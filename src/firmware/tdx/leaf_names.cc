#include "firmware/tdx/leaf_names.h"

#include <algorithm>

#include "firmware/tdx/rows.h"

namespace teeio::tdx {

std::vector<std::string_view> leaf_names() {
  std::vector<std::string_view> names;
  for (const Row* row : rows())
    if (row->name.starts_with("TDH.")) names.push_back(row->name);
  std::ranges::sort(names);
  return names;
}

}  // namespace teeio::tdx
