#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "firmware/tdx/types.h"
#include "hw/physical_memory.h"

namespace teeio::tsm {

/// Pages for a leaf of the newer API, with the page of their addresses where there are several.
/// Source: posted Linux, tdx.c, struct tdx_page_array.
///
/// Lifetime: the end frees the pages that keep() did not leave to the module. Locking: none.
class PageArray {
 public:
  /// Errors: ENOMEM.
  static Result<PageArray> make(hw::PhysicalMemory& memory, std::size_t count) {
    PageArray array(memory);
    for (std::size_t i = 0; i < count; ++i) {
      TEEIO_ASSIGN(const Hpa page, memory.alloc_page());
      array.pages_.push_back(page);
    }
    if (count == 1) return array;
    TEEIO_ASSIGN(const Hpa root, memory.alloc_page());
    array.root_.push_back(root);
    Writer addresses;
    for (const Hpa page : array.pages_) addresses.le(raw(page));
    TEEIO_TRY(memory.write(root, addresses.take()));
    return array;
  }
  PageArray(PageArray&& other) noexcept
      : memory_(other.memory_),
        pages_(std::exchange(other.pages_, {})),
        root_(std::exchange(other.root_, {})) {}
  PageArray(const PageArray&) = delete;
  PageArray& operator=(const PageArray&) = delete;
  ~PageArray() {
    for (const auto& pages : {pages_, root_})
      for (const Hpa page : pages) memory_.free_page(page);
  }

  [[nodiscard]] const std::vector<Hpa>& pages() const { return pages_; }
  [[nodiscard]] tdx::HpaArray raw_array() const {
    return {root_.empty() ? pages_.front() : root_.front(), pages_.size()};
  }
  /// They are the module's now.
  void keep() { pages_.clear(); }

 private:
  explicit PageArray(hw::PhysicalMemory& memory) : memory_(memory) {}
  hw::PhysicalMemory& memory_;
  std::vector<Hpa> pages_;
  std::vector<Hpa> root_;  ///< one, or none
};

}  // namespace teeio::tsm
