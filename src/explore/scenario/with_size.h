#pragma once

namespace teeio::explore {

/// An argument of the iommufd, all zero but its size.
template <class T>
[[nodiscard]] T with_size() {
  T arg{};
  arg.size = sizeof(arg);
  return arg;
}

}  // namespace teeio::explore
