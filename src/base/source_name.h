#pragma once

#include <source_location>
#include <string_view>

namespace teeio {

/// Where a sentence about ourselves points: "host/vfio/device.cc", wherever teeio was
/// built.
[[nodiscard]] constexpr std::string_view source_name(
    std::source_location where = std::source_location::current()) {
  std::string_view name = where.file_name();
  for (const std::string_view root : {"/src/", "/tests/"})
    if (const std::size_t at = name.rfind(root); at != std::string_view::npos)
      return name.substr(at + (root == "/src/" ? root.size() : 1));
  return name.substr(name.rfind('/') + 1);
}

}  // namespace teeio
