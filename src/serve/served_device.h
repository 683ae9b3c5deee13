#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/types.h"
#include "device/tee_card.h"
#include "machine/config.h"
#include "object/trace.h"
#include "serve/platform_message.h"
#include "serve/speaker.h"
#include "wire/tdisp.h"

namespace teeio::serve {

/// A TDI's way from one state into another.
struct TdiChange {
  Bdf function;
  wire::TdiState from = wire::TdiState::kConfigUnlocked;
  wire::TdiState to = wire::TdiState::kConfigUnlocked;
  std::string cause;  ///< "cause=… stream=…", as the trace has it; may be empty
};

struct TdiStatus {
  Bdf function;
  wire::TdiState state = wire::TdiState::kConfigUnlocked;
};

/// A TEE-I/O card of a machine file without the machine around it.
///
/// What a host's software does before TDISP makes sense, it does itself: memory
/// space and bus mastering are on, and PF0's IDE streams are set up (set_up_ide()).
/// Peers bring the rest: SPDM, keys, TDISP.
///
/// Lifetime: owned by the Fleet. Locking: none; one thread.
class ServedDevice final : private object::TraceSink {
 public:
  /// Precondition: the card is one for TEE-I/O. The options and the key log outlive it.
  ServedDevice(const machine::CardConfig& card, const SpeakerOptions& options, KeyLog& key_log);
  ~ServedDevice() override;

  /// What the device answers to a packet. Another transport than the last packet's is
  /// another connection: sessions end. Empty: it drops the packet unanswered, as
  /// for a DOE object of a type that discovery does not offer.
  [[nodiscard]] Bytes answer(PlatformTransport transport, ByteView packet);

  /// A bare TDISP message from the platform that the device is plugged into, which has no
  /// session: GET_DEVICE_INTERFACE_STATE is answered, by TDISP_ERROR InvalidInterface for
  /// functions that the card does not have; everything else by UnsupportedRequest, as keys
  /// and locks are for sessions only. No SPDM connection notices.
  [[nodiscard]] Bytes answer_tdisp(ByteView message) const;

  /// The peer's out-of-band wish for an encapsulated request (spdm-emu's OOB commands).
  void want_encapsulated(PlatformTransport transport, PlatformCommand command, ByteView payload);

  [[nodiscard]] const machine::CardConfig& card() const { return card_; }
  [[nodiscard]] Bdf bdf() const { return card_.bdf; }
  /// PF first.
  [[nodiscard]] std::vector<TdiStatus> tdis() const;
  /// nullptr: it is no function of this card.
  [[nodiscard]] hw::PciFunction* function(Bdf bdf) const;
  void pass_time(std::uint32_t seconds) {
    if (speaker_ != nullptr) speaker_->pass_time(seconds);
  }
  /// What a peer has agreed on and need not negotiate again, with CACHE_CAP.
  struct Agreement {
    PlatformTransport transport = PlatformTransport::kPciDoe;
    Bytes message_a;
  };
  /// nullopt: there is none.
  [[nodiscard]] std::optional<Agreement> agreement() const;
  /// The connection is as it was then. False: the device would not agree on that now.
  bool restore(const Agreement& agreement);
  /// Conventional reset, and the set-up after it.
  void reset();

  /// The changes since the last call, in order.
  [[nodiscard]] std::vector<TdiChange> take_changes() { return std::exchange(changes_, {}); }

 private:
  void set_up();
  [[nodiscard]] Speaker& speaker(PlatformTransport transport);
  void on_event(const object::Event& event) override;

  const machine::CardConfig card_;
  const SpeakerOptions& options_;
  KeyLog& key_log_;
  object::Trace trace_;
  std::vector<TdiChange> changes_;
  const std::unique_ptr<device::TeeCard> model_;
  Slots slots_;
  /// Of the transport that was used last: a device has one connection.
  std::unique_ptr<Speaker> speaker_;
  PlatformTransport transport_ = PlatformTransport::kPciDoe;
};

/// The devices that are served, from a machine file.
class Fleet {
 public:
  /// One device for each card that has one of `functions`; without any, for each
  /// TEE-I/O card of the file. Errors (ready to print): what parse_config() says; a
  /// function that no TEE-I/O card of the file has; a file without such a card; an IDE stream of
  /// the options that a card does not have.
  static std::expected<Fleet, std::string> load(const std::string& machine,
                                                const std::vector<Bdf>& functions,
                                                const SpeakerOptions& options, KeyLog& key_log);

  [[nodiscard]] std::size_t size() const { return devices_.size(); }
  [[nodiscard]] ServedDevice& at(std::size_t index) { return *devices_.at(index); }
  /// The function's device; nullptr if there is none.
  [[nodiscard]] ServedDevice* find(Bdf function) const;

  /// Takes what changed from `next`: a card that is described as before stays as it is,
  /// with its state. Returns the indices that were replaced. Errors: the
  /// number of devices or one's address differs (their ports are taken).
  std::expected<std::vector<std::size_t>, std::string> replace(Fleet next);

 private:
  std::vector<std::unique_ptr<ServedDevice>> devices_;
};

}  // namespace teeio::serve
