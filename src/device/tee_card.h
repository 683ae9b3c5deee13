#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/types.h"
#include "device/dsm_messages.h"
#include "device/mmio_layout.h"
#include "device/report_options.h"
#include "device/tdi.h"
#include "hw/pci_function.h"
#include "schedule/monitor.h"
#include "wire/spdm_vendor_defined.h"

namespace teeio::device {

class TeeFunction;

/// A TEE-I/O card of any model: a PF, which is DSM and TDI, and VFs, each a TDI.
///
/// Lifetime: owned by its machine; outlives the host's view of its functions.
/// Locking: one lock (rank kDevice) for all of it, and one for the words of its mailbox.
class TeeCard : public DsmMessages {
 public:
  static constexpr unsigned kMaxVfs = 1023;  ///< what Arm's monitor takes of a card
  static constexpr std::uint64_t kWindowAlignment = 1024 * 1024;

  ~TeeCard() override;
  TeeCard(const TeeCard&) = delete;
  TeeCard& operator=(const TeeCard&) = delete;

  /// PF first, then VFs in order.
  [[nodiscard]] std::vector<hw::PciFunction*> functions() const;
  /// The TDI of functions()[index], for tests and reports.
  [[nodiscard]] const Tdi& tdi(std::size_t index) const;
  /// What its report lists.
  [[nodiscard]] const MmioLayout& layout(std::size_t index) const;

  // DsmMessages, for whoever speaks SPDM in the card's place over something else than its
  // mailbox: these take the card's lock.
  [[nodiscard]] std::optional<Bytes> answer_message(wire::Protocol protocol, ByteView message,
                                                    std::uint32_t session) override;
  void session_ended(std::uint32_t session) override;
  [[nodiscard]] Attester& attester() override;

  /// The mailbox's objects go to `speaker`, which outlives the traffic. Before any of it.
  void speak_by(DoeSpeaker& speaker);
  /// What such a speaker asks in turn: its caller has the card's lock.
  [[nodiscard]] DsmMessages& messages();
  /// Does something with the card's lock held.
  template <class Step>
  void with_lock(Step step) {
    const schedule::Section lock(lock_);
    step();
  }

 protected:
  TeeCard();
  /// The PF first, with its physical part; then its VFs.
  void add(std::unique_ptr<TeeFunction> function);
  [[nodiscard]] TeeFunction& pf() const { return *functions_.front(); }
  [[nodiscard]] schedule::Monitor& lock() { return lock_; }
  [[nodiscard]] static Bdf vf_bdf(Bdf pf, unsigned index);
  [[nodiscard]] static ReportOptions report_of(const std::vector<ReportOptions>& reports,
                                               std::size_t function);
  [[nodiscard]] static std::uint64_t aligned_window(std::uint64_t bytes);

 private:
  schedule::Monitor lock_{schedule::Rank::kDevice};
  std::vector<std::unique_ptr<TeeFunction>> functions_;
};

}  // namespace teeio::device
