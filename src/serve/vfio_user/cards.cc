#include "serve/vfio_user/cards.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "machine/root_ports.h"
#include "machine/spdm_setup.h"
#include "machine/tee_cards.h"
#include "schedule/mutex.h"
#include "serve/slots.h"
#include "wire/doe.h"
#include "wire/spdm.h"
#include "wire/spdm_error.h"

namespace teeio::vfio_user {
namespace {

/// Where the secure processor is among a machine's own functions: no card is on a root bus.
constexpr Bdf kProcessor{.domain = 0, .bus = 0, .device = 8, .function = 0};

}  // namespace

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
  Mailbox(object::Trace& trace, device::TeeCard& card, std::uint64_t serial,
          const serve::SpeakerOptions& options, Recorder& recorder)
      : trace_(trace),
        card_(card),
        recorder_(recorder),
        slots_(serial, options.slots),
        speaker_(card.messages(), *card.functions().front(), slots_,
                 serve::PlatformTransport::kPciDoe, options, recorder) {
    card.speak_by(*this);
  }

  Bytes answer(ByteView object) override {
    const object::LaneScope host(object::Lane::kHostTsm);  // whose DOE it is, in traces
    recorder_.packet(serve::PacketSender::kRequester, object);
    auto call = arrow(object);
    Bytes answer = speaker_.answer(object);
    if (const auto error = spdm_error(answer); call && error)
      call->refuse(wire::spdm_error_name(error->code), "SPDM ERROR");
    recorder_.packet(serve::PacketSender::kResponder, answer);
    return answer;
  }
  void reset() override { speaker_.reset(); }
  void pass_time(std::uint32_t seconds) {
    card_.with_lock([&] { speaker_.pass_time(seconds); });
  }

 private:
  /// Of SPDM in the clear; IDE_KM's and TDISP's requests show themselves.
  [[nodiscard]] std::optional<object::Trace::Call> arrow(ByteView object) {
    const auto doe = wire::DoeObject::decode(object);
    if (!doe || doe->type != std::to_underlying(wire::DoeType::kSpdm)) return std::nullopt;
    const auto header = wire::SpdmHeader::decode(doe->payload);
    if (!header) return std::nullopt;
    return trace_.call(object::Lane::kDevice, wire::spdm_name(header->code),
                       {.function = card_.functions().front()->bdf()});
  }
  [[nodiscard]] static std::optional<wire::SpdmError> spdm_error(ByteView object) {
    const auto doe = wire::DoeObject::decode(object);
    if (!doe || doe->type != std::to_underlying(wire::DoeType::kSpdm)) return std::nullopt;
    const auto error = wire::SpdmError::decode(doe->payload);
    return error ? std::optional(*error) : std::nullopt;
  }

  object::Trace& trace_;
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
    plain_cards_.push_back(std::make_unique<device::PlainCard>(
        *trace_, device::PlainCard::Options{.bdf = card.bdf,
                                            .window = card.window,
                                            .io = card.io,
                                            .rom = card.rom,
                                            .rom_bytes = card.rom_bytes}));
    return {};
  }
  TEEIO_ASSIGN(auto made, machine::make_tee_card(*trace_, card, {.bars_move = true}));
  tee_cards_.push_back(std::move(made));
  mailboxes_.push_back(
      std::make_unique<Mailbox>(*trace_, *tee_cards_.back(), card.serial, options, *recorder_));
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

std::string Cards::name_of(std::size_t index) const {
  const Bdf bdf = served_.at(index)->pci().bdf();
  return bdf == kProcessor ? "the secure processor" : bdf.str();
}

std::expected<void, std::string> Cards::serve_processor(const machine::Config& config) {
  if (config.tsm != machine::TsmKind::kSev)
    return std::unexpected(fmt::format(
        "{}: its firmware has no mailbox: a secure processor needs tsm = \"sev\" (--machine "
        "amd-sev)",
        config.name));
  std::vector<std::unique_ptr<hw::RootPort>> ports;
  for (const machine::RootPortConfig& port : config.root_ports)
    ports.push_back(machine::make_root_port(*trace_, port));
  processor_ = std::make_unique<secure_processor::Card>(*trace_, kProcessor, std::move(ports),
                                                        machine::firmware_channels(config));
  served_.push_back(std::make_unique<Function>(processor_->function()));
  return {};
}

std::expected<Cards, std::string> Cards::load(Wanted wanted, const serve::SpeakerOptions& options,
                                              std::unique_ptr<serve::Capture> capture) {
  const auto config = machine::find_config(wanted.machine);
  std::vector<Bdf>& functions = wanted.functions;
  if (!config) return std::unexpected(config.error());
  Cards cards;
  cards.recorder_ = std::make_unique<Recorder>(std::move(capture));
  if (std::string problem = machine::storage_problem(*config); !problem.empty())
    return std::unexpected(std::move(problem));
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
  if (wanted.processor)
    if (const auto served = cards.serve_processor(*config); !served)
      return std::unexpected(served.error());
  return cards;
}

void Cards::pass_time(std::uint32_t seconds) {
  for (const auto& mailbox : mailboxes_) mailbox->pass_time(seconds);
}

bool Cards::is_captured() const { return !recorder_->failed(); }

}  // namespace teeio::vfio_user
