#include "serve/vfio_user/cards.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "machine/tee_cards.h"
#include "schedule/mutex.h"
#include "serve/slots.h"

namespace teeio::vfio_user {

/// One capture for the mailboxes of all cards, whose clients have tasks of their own.
class Cards::Recorder final : public serve::KeyLog {
 public:
  explicit Recorder(std::unique_ptr<serve::Capture> capture) : capture_(std::move(capture)) {}

  void packet(serve::PacketSender sender, ByteView packet) TEEIO_EXCLUDES(lock_) {
    const schedule::Lock lock(lock_);
    capture_->packet(serve::PlatformTransport::kPciDoe, sender, packet);
  }
  [[nodiscard]] bool wanted() const override TEEIO_EXCLUDES(lock_) {
    const schedule::Lock lock(lock_);
    return capture_->wanted();
  }
  void line(const std::string& text) override TEEIO_EXCLUDES(lock_) {
    const schedule::Lock lock(lock_);
    capture_->line(text);
  }
  [[nodiscard]] bool failed() const TEEIO_EXCLUDES(lock_) {
    const schedule::Lock lock(lock_);
    return capture_->failed();
  }

 private:
  mutable schedule::Mutex lock_{schedule::Rank::kLeaf};
  const std::unique_ptr<serve::Capture> capture_ TEEIO_PT_GUARDED_BY(lock_);
};

/// What answers in a card's DOE mailbox. Locking: the card's lock.
class Cards::Mailbox final : public device::DoeSpeaker {
 public:
  Mailbox(device::TeeCard& card, std::uint64_t serial, const serve::SpeakerOptions& options,
          Recorder& recorder)
      : card_(card),
        recorder_(recorder),
        slots_(serial, options.slots),
        speaker_(card.messages(), *card.functions().front(), slots_,
                 serve::PlatformTransport::kPciDoe, options, recorder) {
    card.speak_by(*this);
  }

  Bytes answer(ByteView object) override {
    recorder_.packet(serve::PacketSender::kRequester, object);
    Bytes answer = speaker_.answer(object);
    recorder_.packet(serve::PacketSender::kResponder, answer);
    return answer;
  }
  void reset() override { speaker_.reset(); }
  void pass_time(std::uint32_t seconds) {
    card_.with_lock([&] { speaker_.pass_time(seconds); });
  }

 private:
  device::TeeCard& card_;
  Recorder& recorder_;
  serve::Slots slots_;
  serve::Speaker speaker_;
};

Cards::Cards() : trace_(std::make_unique<object::Trace>()) {}
Cards::Cards(Cards&&) noexcept = default;
Cards::~Cards() = default;

Result<void> Cards::add(const machine::CardConfig& card, const serve::SpeakerOptions& options) {
  if (!card.is_tee_io()) {
    plain_cards_.push_back(std::make_unique<device::PlainCard>(*trace_, card.bdf, card.window));
    return {};
  }
  TEEIO_ASSIGN(auto made, machine::make_tee_card(*trace_, card, {.bars_move = true}));
  tee_cards_.push_back(std::move(made));
  mailboxes_.push_back(
      std::make_unique<Mailbox>(*tee_cards_.back(), card.serial, options, *recorder_));
  return {};
}

hw::PciFunction* Cards::find(Bdf bdf) const {
  for (const auto& card : tee_cards_)
    for (hw::PciFunction* function : card->functions())
      if (function->bdf() == bdf) return function;
  for (const auto& card : plain_cards_)
    if (card->function().bdf() == bdf) return &card->function();
  return nullptr;
}

std::expected<Cards, std::string> Cards::load(const std::string& machine,
                                              std::vector<Bdf> functions,
                                              const serve::SpeakerOptions& options,
                                              std::unique_ptr<serve::Capture> capture) {
  const auto config = machine::find_config(machine);
  if (!config) return std::unexpected(config.error());
  Cards cards;
  cards.recorder_ = std::make_unique<Recorder>(std::move(capture));
  if (std::string problem = machine::storage_problem(*config); !problem.empty())
    return std::unexpected(fmt::format("{}: {}", config->name, problem));
  for (const machine::CardConfig& card : config->cards)
    if (const auto added = cards.add(card, options); !added)
      return std::unexpected(
          fmt::format("{}: card {}: {}", config->name, card.bdf.str(), added.error().why));
  if (functions.empty()) {
    if (cards.tee_cards_.empty())
      return std::unexpected(fmt::format("{}: the machine has no TEE-I/O card", config->name));
    functions.push_back(cards.tee_cards_.front()->functions().front()->bdf());
  }
  for (auto at = functions.begin(); at != functions.end(); ++at) {
    hw::PciFunction* const function = cards.find(*at);
    if (function == nullptr)
      return std::unexpected(fmt::format("{}: no card has function {}", config->name, at->str()));
    if (std::find(functions.begin(), at, *at) != at)
      return std::unexpected(fmt::format("function {} is named twice", at->str()));
    cards.served_.push_back(std::make_unique<Function>(*function));
  }
  return cards;
}

void Cards::pass_time(std::uint32_t seconds) {
  for (const auto& mailbox : mailboxes_) mailbox->pass_time(seconds);
}

bool Cards::is_captured() const { return !recorder_->failed(); }

}  // namespace teeio::vfio_user
