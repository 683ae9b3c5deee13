#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "device/attester.h"
#include "device/dsm_messages.h"
#include "device/ide_responder.h"
#include "device/tdisp_responder.h"
#include "object/trace.h"
#include "spdm/channel.h"

namespace teeio::device {

/// PF0's Device Security Manager: what is behind its DOE mailbox. Answers DOE
/// discovery, connects the SPDM channel, and hands IDE_KM and TDISP messages to
/// their responders. When a stream is no longer Secure, every TDI that was
/// locked with it moves to ERROR (TDISP ECN 11.4.5).
///
/// Lifetime: owned by its card; TDIs outlive it.
/// Locking: the card's lock.
class Dsm final : public DsmMessages, private IdeResponder::Listener, private Attester::Owner {
 public:
  /// Adds the IDE capability, of `streams` selective streams, to PF0's `config`.
  Dsm(object::Trace& trace, Bdf pf0, hw::ConfigSpace& config, std::size_t streams,
      const DsmSpdm& spdm = {}, const hw::IdeOffer& offer = {});

  void add(Tdi& tdi) { tdisp_.add(tdi); }
  [[nodiscard]] IdeResponder& ide() { return ide_; }
  [[nodiscard]] Attester& attester() override { return attester_; }
  /// Objects go to `speaker` from now on, which outlives the traffic.
  void speak_by(DoeSpeaker& speaker) { speaker_ = &speaker; }

  /// One DOE data object in, one out. Empty for an object of a type that discovery
  /// does not offer, or one that is no data object: it is dropped unanswered.
  Bytes answer(ByteView object);
  /// The name of what answer() answered last: "KEY_EXCHANGE", "LOCK_INTERFACE"; a literal.
  [[nodiscard]] std::string_view last_message() const { return last_message_; }

  std::optional<Bytes> answer_message(wire::Protocol protocol, ByteView message,
                                      std::uint32_t session) override;

  /// Whether it is a register of IDE's.
  [[nodiscard]] bool is_about(std::uint16_t offset) const { return ide_.contains(offset); }
  /// A configuration write to `offset` was applied.
  void config_written(std::uint16_t offset) {
    if (is_about(offset)) ide_.registers_written();
  }
  /// Conventional reset: the connection, all keys and thereby all locks are gone.
  void reset();
  /// Source: TDISP ECN of 2022-07-27, 11.4.5, quoted in caliptra-mcu-sw issue 1922.
  void session_ended(std::uint32_t session) override;

 private:
  Bytes answer_discovery(ByteView payload) const;
  [[nodiscard]] Bytes interfaces() const override;
  void stream_lost(std::uint8_t stream_id, std::string_view cause) override;

  Attester attester_;
  const std::unique_ptr<spdm::ResponderChannel> channel_;
  std::string_view last_message_ = "an object";
  IdeResponder ide_;
  TdispResponder tdisp_;
  DoeSpeaker* speaker_ = nullptr;
};

/// Every name that Dsm::last_message() can have.
[[nodiscard]] std::vector<std::string_view> message_names();

}  // namespace teeio::device
