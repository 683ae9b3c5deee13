#pragma once

#include <algorithm>
#include <iterator>
#include <string_view>
#include <vector>

#include "entry/support.h"

namespace teeio::entry::test {

/// The rows of every kind of file.
inline const std::vector<Row>& all_rows() {
  using object::FileKind;
  static const std::vector<Row> kAll = [] {
    std::vector<Row> all;
    for (const FileKind kind :
         {FileKind::kIommu, FileKind::kVfioDevice, FileKind::kVfioGroup, FileKind::kVfioContainer,
          FileKind::kKvm, FileKind::kKvmVm, FileKind::kKvmVcpu, FileKind::kKvmVfioDevice})
      std::ranges::copy(rows_of(kind), std::back_inserter(all));
    return all;
  }();
  return kAll;
}

/// Precondition: there is such a row.
inline const Argument& argument_of(std::string_view name) {
  return std::ranges::find(all_rows(), name, &Row::name)->argument;
}

}  // namespace teeio::entry::test
