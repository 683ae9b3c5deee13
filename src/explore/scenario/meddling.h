#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/pci_tsm/doe.h"
#include "object/trace.h"

namespace teeio::explore {

/// What a hostile host does with one of the data objects that it carries between the firmware
/// and a device.
enum class Meddling : std::uint8_t {
  kNone,
  kLosesRequest,  ///< the device never sees it
  kLosesAnswer,   ///< the device has acted, and the firmware never hears of it
  kSendsTwice,    ///< the device gets it twice, the firmware its first answer
  kGivesSecond,   ///< the same, and the firmware gets the second answer
  kSendsOld,      ///< the device gets the object before this one once more
  kGivesOld,      ///< the firmware gets the answer before this one once more
  kSendsLater,    ///< the device gets it behind the next one, and only that is answered
  kGivesLater,    ///< the firmware gets its answer in place of the next one's
  kCardGone,      ///< from here on the device gives no answers
  // Of two cards.
  kSendsAcross,  ///< the other card gets it, and the firmware that one's answer
  kGivesAcross,  ///< the firmware gets what the other card answered to the like object
};
inline constexpr std::uint32_t kMeddlings = 10;  ///< of one card
inline constexpr std::uint32_t kCrossings = 2;
[[nodiscard]] std::string_view meddling_name(Meddling how);  ///< literal: "loses a request"

/// How far back a host must go after it meddled, to have the device again.
enum class Recovery : std::uint8_t {
  kUnnoticed,    ///< nowhere: all went on
  kTryAgain,     ///< the call failed, and the same call succeeds
  kConnectAnew,  ///< disconnect and connect: session or keys are lost
  kCloseToo,     ///< and the function closed, which resets it
  kHotReset,     ///< a reset of its bus: the TDI was left in ERROR, and nobody could stop it
  kLost,         ///< not at all: the firmware keeps what it has of the device
};

/// What came of it.
struct Meddled {
  Meddling how = Meddling::kNone;
  std::size_t object = 0;               ///< which of those that were carried, from 0
  std::vector<std::string> messages{};  ///< what each of them was, as far as the device saw it
  /// The first refusal after it: "TDH.DEVIF.RESPONSE: TDX_SDPM_INVALID_MESSAGE"; empty: none.
  std::string refusal{};
  bool failed = false;  ///< the call, or the guest, did not get what it wanted
  Recovery recovery = Recovery::kUnnoticed;
  bool leaks = false;  ///< the firmware keeps pages for ever
};
[[nodiscard]] std::string_view recovery_text(const Meddled& result);  ///< literal

/// A host that does one of these to one object: which is the explorer's choice, so that a
/// scenario with one failure sweeps them all, and nothing else fails in it.
///
/// Lifetime: made before the Stage that it meddles with, and outlives it.
class MeddlingHost final : public tsm::Meddler, public object::TraceSink {
 public:
  ~MeddlingHost() override;
  /// Before start(), until stop(): what is carried is another card's, and the next objects are
  /// crossed with these, each with that of its place.
  void record();
  /// From here on, until stop(): of the machine whose trace this is. What it has kept then
  /// still comes with the next object, whoever carries that.
  void start(object::Trace& trace);
  void stop();
  [[nodiscard]] Meddled& result() { return result_; }
  /// Something comes with the next object.
  [[nodiscard]] bool keeps() const { return kept_.has_value(); }

  Result<Bytes> exchange(ByteView object, const Carry& carry) override;
  void on_event(const object::Event& event) override;
  void on_outcome(const object::Event& event) override;

 private:
  [[nodiscard]] Meddling choose() const;
  Result<Bytes> meddle(ByteView object, const Carry& carry);
  Result<Bytes> carry_once(ByteView object, const Carry& carry);
  Result<Bytes> carry_with_kept(ByteView object, const Carry& carry);

  bool listens_ = false, records_ = false;
  Meddled result_;
  Carry to_other_;             ///< the way to whom record() has seen
  std::vector<Bytes> others_;  ///< and that one's answers
  std::optional<Bytes> last_object_, last_answer_;
  std::optional<Bytes> kept_;  ///< an object, or an answer, for the next exchange
};

/// From now on `watch` is told what came of each schedule's meddling; empty: nobody is.
/// For tests, natively and between two runs.
void watch_meddling(std::function<void(const Meddled&)> watch);
void tell_meddling(const Meddled& result);

}  // namespace teeio::explore
