#pragma once

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "device/plain_card.h"
#include "device/tee_card.h"
#include "machine/config.h"
#include "object/trace.h"
#include "serve/capture.h"
#include "serve/secure_processor/card.h"
#include "serve/speaker.h"
#include "serve/vfio_user/function.h"

namespace teeio::vfio_user {

/// The cards of a machine file, as they are at power-on, and the functions that are served.
///
/// BARs answer wherever the client's software puts them. Objects of a DOE mailbox go to a
/// responder with all that `teeio serve` can say (serve/speaker.h), and into the capture.
///
/// Lifetime: outlives all sessions. Locking: functions() as Function says; pass_time() from
/// one task.
class Cards {
 public:
  struct Wanted {
    std::string machine;         ///< file or built-in name; empty: the default
    std::vector<Bdf> functions;  ///< served in this order; empty: the first TEE-I/O card's PF
    bool processor = false;      ///< the secure processor behind the machine's firmware, last
  };
  /// The options outlive the cards. Errors, ready to print: the machine file's; a function that
  /// no card of it has, or that is named twice; firmware that has no mailbox; the capture's.
  static std::expected<Cards, std::string> load(Wanted wanted, const serve::SpeakerOptions& options,
                                                std::unique_ptr<serve::Capture> capture);
  Cards(Cards&&) noexcept;
  Cards& operator=(Cards&&) = delete;
  Cards(const Cards&) = delete;
  Cards& operator=(const Cards&) = delete;
  ~Cards();

  [[nodiscard]] std::size_t size() const { return served_.size(); }
  [[nodiscard]] Function& at(std::size_t index) { return *served_.at(index); }
  /// "0000:01:00.0", or that it is the processor.
  [[nodiscard]] std::string name_of(std::size_t index) const;
  /// What the cards and the firmware did.
  [[nodiscard]] object::Trace& trace() { return *trace_; }
  /// For sessions with a heartbeat.
  void pass_time(std::uint32_t seconds);
  /// Capture and key log have everything that they should.
  [[nodiscard]] bool is_captured() const;

 private:
  class Recorder;
  class Mailbox;
  Cards();
  Result<void> add(const machine::CardConfig& card, const serve::SpeakerOptions& options);
  [[nodiscard]] hw::PciFunction* find(Bdf bdf) const;
  std::expected<void, std::string> serve_processor(const machine::Config& config);

  std::unique_ptr<object::Trace> trace_;
  std::unique_ptr<Recorder> recorder_;
  std::vector<std::unique_ptr<device::TeeCard>> tee_cards_;
  std::vector<std::unique_ptr<device::PlainCard>> plain_cards_;
  std::vector<std::unique_ptr<Mailbox>> mailboxes_;
  std::unique_ptr<secure_processor::Card> processor_;
  std::vector<std::unique_ptr<Function>> served_;
};

}  // namespace teeio::vfio_user
