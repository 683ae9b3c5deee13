#include "explore/scenario/meddling.h"

#include <utility>

#include "explore/scenario/choices.h"
#include "schedule/run_heap.h"
#include "schedule/task.h"

namespace teeio::explore {
namespace {

std::function<void(const Meddled&)>& watcher() {
  static std::function<void(const Meddled&)> watch;
  return watch;
}

std::unexpected<Error> no_answer() { return fail(Errno::kIo, "the host brings no answer"); }

}  // namespace

std::string_view meddling_name(Meddling how) {
  switch (how) {
    case Meddling::kNone:
      return "carries all";
    case Meddling::kLosesRequest:
      return "loses a request";
    case Meddling::kLosesAnswer:
      return "loses an answer";
    case Meddling::kSendsTwice:
      return "sends a request twice, gives the first answer";
    case Meddling::kGivesSecond:
      return "sends a request twice, gives the second answer";
    case Meddling::kSendsOld:
      return "sends the request before once more";
    case Meddling::kGivesOld:
      return "gives the answer before once more";
    case Meddling::kSendsLater:
      return "sends a request behind the next one";
    case Meddling::kGivesLater:
      return "gives an answer in place of the next one";
    case Meddling::kCardGone:
      return "brings no answers from here on";
    case Meddling::kSendsAcross:
      return "sends a request to the other card";
    case Meddling::kGivesAcross:
      return "gives the other card's answer";
  }
  return {};
}

std::string_view recovery_text(const Meddled& result) {
  switch (result.recovery) {
    case Recovery::kUnnoticed:
      return "goes on";
    case Recovery::kTryAgain:
      return "calls again";
    case Recovery::kConnectAnew:
      return "connects anew";
    case Recovery::kCloseToo:
      return "closes the function and connects anew";
    case Recovery::kHotReset:
      return "resets the bus and connects anew";
    case Recovery::kLost:
      return "has lost the card";
  }
  return {};
}

void watch_meddling(std::function<void(const Meddled&)> watch) { watcher() = std::move(watch); }
void tell_meddling(const Meddled& result) {
  if (!watcher()) return;
  const schedule::OutsideRunHeap outside;  // what it keeps outlives the run
  watcher()(result);
}

void MeddlingHost::record() {
  records_ = true;
  tsm::set_meddler(this);
}

void MeddlingHost::start(object::Trace& trace) {
  trace.add_sink(*this);
  listens_ = true;
  schedule::ask_only(kMeddlingChoice);
  tsm::set_meddler(this);
}

MeddlingHost::~MeddlingHost() { tsm::set_meddler(nullptr); }

void MeddlingHost::stop() {
  if (!kept_) tsm::set_meddler(nullptr);
  listens_ = records_ = false;
}

/// What was kept comes with this object: a request behind it, or an answer in place of its own.
Result<Bytes> MeddlingHost::carry_with_kept(ByteView object, const Carry& carry) {
  Bytes kept = *std::exchange(kept_, std::nullopt);
  auto answer = carry(object);
  if (result_.how == Meddling::kGivesLater) return kept;
  (void)carry(kept);
  return answer;
}

Meddling MeddlingHost::choose() const {
  const std::uint32_t ways = !to_other_ ? kMeddlings : kCrossings + 1;
  const std::uint32_t way = schedule::choose(ways, kMeddlingChoice);
  return Meddling{static_cast<std::uint8_t>(!to_other_ || way == 0 ? way : kMeddlings + way - 1)};
}

Result<Bytes> MeddlingHost::exchange(ByteView object, const Carry& carry) {
  if (records_) {
    to_other_ = carry;
    TEEIO_ASSIGN(others_.emplace_back(), carry(object));
    return others_.back();
  }
  if (kept_) return carry_with_kept(object, carry);
  if (listens_ && result_.how == Meddling::kCardGone) return no_answer();
  if (!listens_ || result_.how != Meddling::kNone) return carry(object);
  result_.object = result_.messages.size();
  result_.messages.emplace_back();
  result_.how = choose();
  return meddle(object, carry);
}

Result<Bytes> MeddlingHost::carry_once(ByteView object, const Carry& carry) {
  last_object_ = Bytes(object.begin(), object.end());
  TEEIO_ASSIGN(last_answer_, carry(object));
  return *last_answer_;
}

/// Where there is no object before this one, there is nothing to give in its place.
Result<Bytes> MeddlingHost::meddle(ByteView object, const Carry& carry) {
  switch (result_.how) {
    case Meddling::kNone:
      return carry_once(object, carry);
    case Meddling::kLosesRequest:
    case Meddling::kCardGone:
      return no_answer();
    case Meddling::kLosesAnswer:
      (void)carry(object);
      return no_answer();
    case Meddling::kSendsTwice: {
      auto first = carry(object);
      (void)carry(object);
      return first;
    }
    case Meddling::kGivesSecond:
      (void)carry(object);
      return carry(object);
    case Meddling::kSendsOld:
      return last_object_ ? carry(*last_object_) : no_answer();
    case Meddling::kGivesOld:
      (void)carry(object);
      return last_answer_ ? Result<Bytes>(*last_answer_) : no_answer();
    case Meddling::kSendsLater:
      kept_ = Bytes(object.begin(), object.end());
      return no_answer();
    case Meddling::kGivesLater: {
      auto answer = carry(object);
      if (answer) kept_ = std::move(*answer);
      return no_answer();
    }
    case Meddling::kSendsAcross:
      return to_other_(object);
    case Meddling::kGivesAcross:
      (void)carry(object);
      if (result_.object >= others_.size()) return no_answer();
      return others_[result_.object];
  }
  return no_answer();
}

void MeddlingHost::on_event(const object::Event& event) {
  if (!listens_ || result_.messages.empty() || event.fact != object::Fact::kNone) return;
  if (event.to == object::Lane::kDevice && result_.messages.back().empty())
    result_.messages.back() = event.name;
}

void MeddlingHost::on_outcome(const object::Event& event) {
  if (!listens_ || result_.how == Meddling::kNone || !result_.refusal.empty()) return;
  using object::Lane;
  // The monitor's COMMUNICATE calls succeed, and say in the object's state that it failed.
  const bool failed_inside = event.name.ends_with("_COMMUNICATE") && event.outcome != "ok";
  if (!event.refused && !failed_inside) return;
  if (event.to == Lane::kFirmware || event.to == Lane::kDevice)
    result_.refusal = std::string(event.name) + ": " + event.outcome;
}

}  // namespace teeio::explore
