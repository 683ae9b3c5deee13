#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "host/mm/charges.h"

namespace teeio::iommufd {

/// How often each page of a struct iopt_pages is pinned, and who pays for those that are
/// (Linux: npinned, last_npinned and account_mode).
///
/// Locking: none of its own: pages->mutex, and change_payer() of one context at a time.
class PageAccount {
 public:
  /// The payer is who makes the running call. `mode`: kNone if that one may lock
  /// (iopt_alloc_pages()), but for kType1.
  explicit PageAccount(mm::Charges::Mode mode);
  PageAccount(const PageAccount&) = delete;
  PageAccount& operator=(const PageAccount&) = delete;

  /// Pages [first, last] are pinned once more. Gives how many were not before, which are
  /// charged. Errors, nothing being pinned: ENOMEM; Charges::charge()'s.
  Result<void> add(std::uint64_t first, std::uint64_t last);
  void remove(std::uint64_t first, std::uint64_t last);
  /// How often a page is pinned.
  [[nodiscard]] std::uint32_t pins(std::uint64_t page) const;
  [[nodiscard]] std::uint64_t pinned_pages() const { return counts_ ? counts_->pinned : 0; }

  /// need_charge_update()
  [[nodiscard]] bool pays_otherwise(const mm::Charges::Payer& payer) const;
  [[nodiscard]] mm::Charges::Mode mode() const { return mode_; }
  /// change_mm(): from here on it is `payer`, who has paid for `paid` pages already.
  void change_payer(const mm::Charges::Payer& payer, std::uint64_t paid);

 private:
  struct Run {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::uint32_t pins = 0;  ///< 0: nothing is pinned
  };
  struct Counts {
    std::uint64_t pinned = 0;
    Run run;  ///< while all pins are of the same pages
    /// Of each page, otherwise.
    std::vector<std::uint32_t> pins;

    [[nodiscard]] std::uint32_t of(std::uint64_t page) const;
    void spell_out(std::uint64_t last);
  };

  mm::Charges::Payer payer_;
  mm::Charges::Mode mode_;
  std::unique_ptr<Counts> counts_;  ///< null before anything was pinned, as without a domain
};

}  // namespace teeio::iommufd
