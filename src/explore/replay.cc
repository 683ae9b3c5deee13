#include "explore/replay.h"

#include "base/check.h"
#include "schedule/usual_choice.h"

namespace teeio::explore {

bool Replay::begin() {
  if (started_) return false;
  return started_ = true;
}

const Choice* Replay::next(Choice::Kind kind) {
  if (at_ == choices_.size()) return nullptr;
  const Choice& choice = choices_[at_++];
  if (choice == schedule::kUsualChoice) return nullptr;
  TEEIO_CHECK(choice.kind == kind, kMisfit);
  return &choice;
}

std::uint32_t Replay::pick(const Moment& moment) {
  if (moment.candidates.size() == 1) return 0;
  const Choice* choice = next(Choice::Kind::kTask);
  if (choice == nullptr) return 0;
  for (std::uint32_t i = 0; i < moment.candidates.size(); ++i)
    if (moment.candidates[i].task == choice->value) return i;
  check_failed(kMisfit);
}

std::uint32_t Replay::choose(std::uint32_t count) {
  const Choice* choice = next(Choice::Kind::kAlternative);
  if (choice == nullptr) return 0;
  TEEIO_CHECK(choice->value < count, kMisfit);
  return choice->value;
}

}  // namespace teeio::explore
