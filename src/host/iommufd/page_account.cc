#include "host/iommufd/page_account.h"

#include <algorithm>

#include "base/check.h"
#include "schedule/fault_point.h"

namespace teeio::iommufd {

using mm::Charges;
using Mode = mm::Charges::Mode;

PageAccount::PageAccount(Mode mode) : mode_(mode) {
  if (mm::charges() != nullptr) payer_ = mm::charges()->payer();
  if (payer_.may_lock && mode_ != Mode::kType1) mode_ = Mode::kNone;
}

/// From one run to a count of each page.
void PageAccount::spell_out(std::uint64_t last) {
  if (run_.pins != 0) last = std::max(last, run_.last);
  if (pins_.size() <= last) pins_.resize(last + 1);
  if (run_.pins == 0) return;
  std::fill(pins_.begin() + static_cast<std::ptrdiff_t>(run_.first),
            pins_.begin() + static_cast<std::ptrdiff_t>(run_.last + 1), run_.pins);
  run_ = {};
}

std::uint32_t PageAccount::pins(std::uint64_t page) const {
  if (run_.pins != 0) return page >= run_.first && page <= run_.last ? run_.pins : 0;
  return page < pins_.size() ? pins_[page] : 0;
}

// pfn_reader_user_update_pinned(): charged when the pages are there.
Result<void> PageAccount::add(std::uint64_t first, std::uint64_t last) {
  std::uint64_t added = 0;
  const bool same = run_.pins != 0 && run_.first == first && run_.last == last;
  if (pinned_ == 0) {
    added = last - first + 1;
  } else if (!same) {
    for (std::uint64_t page = first; page <= last; ++page) added += pins(page) == 0 ? 1U : 0U;
  }
  if (added != 0) {
    if (schedule::fault_at(schedule::FaultPlace::kHost, "pages to charge", schedule::Fault::kNoPin))
      return fail(Errno::kNoMem, "a fault was injected: the pages cannot be charged");
    if (mm::charges() != nullptr) TEEIO_TRY(mm::charges()->charge(payer_, mode_, added));
  }
  pinned_ += added;
  if (pinned_ == added && added != 0) {
    pins_.clear();
    run_ = {first, last, 1};
  } else if (same) {
    ++run_.pins;
  } else {
    spell_out(last);
    for (std::uint64_t page = first; page <= last; ++page) ++pins_[page];
  }
  return {};
}

void PageAccount::remove(std::uint64_t first, std::uint64_t last) {
  std::uint64_t removed = 0;
  if (run_.pins != 0 && run_.first == first && run_.last == last) {
    if (--run_.pins == 0) removed = last - first + 1;
  } else {
    spell_out(last);
    for (std::uint64_t page = first; page <= last; ++page) {
      TEEIO_CHECK(pins_[page] != 0, "a page is unpinned that is not pinned");
      removed += --pins_[page] == 0 ? 1U : 0U;
    }
  }
  pinned_ -= removed;
  if (removed != 0 && mm::charges() != nullptr) mm::charges()->uncharge(payer_, mode_, removed);
}

bool PageAccount::pays_otherwise(const Charges::Payer& payer) const {
  if (mode_ == Mode::kNone) return false;
  return payer_.space != payer.space || (mode_ == Mode::kUser && payer_.user != payer.user);
}

void PageAccount::change_payer(const Charges::Payer& payer, std::uint64_t paid) {
  Charges& charges = *mm::charges();
  if (pays_otherwise(payer)) {
    charges.uncharge(payer_, mode_, pinned_);
    // What was pinned or unpinned since it was asked for.
    if (pinned_ < paid) charges.uncharge(payer, mode_, paid - pinned_);
    if (pinned_ > paid) (void)charges.charge(payer, mode_, pinned_ - paid);
  }
  payer_ = payer;
}

}  // namespace teeio::iommufd
