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
void PageAccount::Counts::spell_out(std::uint64_t last) {
  if (run.pins != 0) last = std::max(last, run.last);
  if (pins.size() <= last) pins.resize(last + 1);
  if (run.pins == 0) return;
  std::fill(pins.begin() + static_cast<std::ptrdiff_t>(run.first),
            pins.begin() + static_cast<std::ptrdiff_t>(run.last + 1), run.pins);
  run = {};
}

std::uint32_t PageAccount::Counts::of(std::uint64_t page) const {
  if (run.pins != 0) return page >= run.first && page <= run.last ? run.pins : 0;
  return page < pins.size() ? pins[page] : 0;
}

std::uint32_t PageAccount::pins(std::uint64_t page) const {
  return counts_ ? counts_->of(page) : 0;
}

// pfn_reader_user_update_pinned(): charged when the pages are there.
Result<void> PageAccount::add(std::uint64_t first, std::uint64_t last) {
  if (!counts_) counts_ = std::make_unique<Counts>();
  Counts& counts = *counts_;
  std::uint64_t added = 0;
  const bool same = counts.run.pins != 0 && counts.run.first == first && counts.run.last == last;
  if (counts.pinned == 0) {
    added = last - first + 1;
  } else if (!same) {
    for (std::uint64_t page = first; page <= last; ++page) added += counts.of(page) == 0 ? 1U : 0U;
  }
  if (added != 0) {
    if (schedule::fault_at(schedule::FaultPlace::kHost, "pages to charge", schedule::Fault::kNoPin))
      return fail(Errno::kNoMem, "a fault was injected: the pages cannot be charged");
    if (mm::charges() != nullptr) TEEIO_TRY(mm::charges()->charge(payer_, mode_, added));
  }
  counts.pinned += added;
  if (counts.pinned == added && added != 0) {
    counts.pins.clear();
    counts.run = {first, last, 1};
  } else if (same) {
    ++counts.run.pins;
  } else {
    counts.spell_out(last);
    for (std::uint64_t page = first; page <= last; ++page) ++counts.pins[page];
  }
  return {};
}

void PageAccount::remove(std::uint64_t first, std::uint64_t last) {
  TEEIO_CHECK(counts_ != nullptr, "pages are unpinned and none was pinned");
  Counts& counts = *counts_;
  std::uint64_t removed = 0;
  if (counts.run.pins != 0 && counts.run.first == first && counts.run.last == last) {
    if (--counts.run.pins == 0) removed = last - first + 1;
  } else {
    counts.spell_out(last);
    for (std::uint64_t page = first; page <= last; ++page) {
      TEEIO_CHECK(counts.pins[page] != 0, "a page is unpinned that is not pinned");
      removed += --counts.pins[page] == 0 ? 1U : 0U;
    }
  }
  counts.pinned -= removed;
  if (removed != 0 && mm::charges() != nullptr) mm::charges()->uncharge(payer_, mode_, removed);
}

bool PageAccount::pays_otherwise(const Charges::Payer& payer) const {
  if (mode_ == Mode::kNone) return false;
  return payer_.space != payer.space || (mode_ == Mode::kUser && payer_.user != payer.user);
}

void PageAccount::change_payer(const Charges::Payer& payer, std::uint64_t paid) {
  Charges& charges = *mm::charges();
  if (pays_otherwise(payer)) {
    const std::uint64_t pinned = pinned_pages();
    charges.uncharge(payer_, mode_, pinned);
    // What was pinned or unpinned since it was asked for.
    if (pinned < paid) charges.uncharge(payer, mode_, paid - pinned);
    if (pinned > paid) (void)charges.charge(payer, mode_, pinned - paid);
  }
  payer_ = payer;
}

}  // namespace teeio::iommufd
