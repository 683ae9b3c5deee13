#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "device/dsm_messages.h"
#include "hw/pci_function.h"
#include "serve/cxl_memory.h"
#include "serve/faults.h"
#include "serve/ide_setup.h"
#include "serve/knobs.h"
#include "serve/measurement_blocks.h"
#include "serve/platform_message.h"
#include "serve/slots.h"
#include "spdm/observer.h"
#include "spdm/responder.h"

namespace teeio::serve {

/// How served devices speak SPDM.
struct SpeakerOptions {
  std::optional<spdm::MutualAuth> mutual_auth;  ///< nullopt: never
  bool reuses_requester_chain = false;          ///< as spdm::ResponderConfig's, like the next
  std::optional<crypto::PublicKey> requester_key;
  std::vector<spdm::Psk> psks;
  std::uint8_t heartbeat_s = 0;
  Bytes measurement_opaque;  ///< as spdm::ResponderConfig's, like the next
  Bytes secured_versions;
  std::vector<std::uint8_t> versions = spdm::all_versions();
  std::uint32_t capabilities = 0;           ///< 0: the responder's default
  std::uint16_t extended_capabilities = 0;  ///< of wire::SpdmExtendedCap
  std::vector<std::string> algorithms;      ///< as parse_algorithms() takes them; empty: all
  PostQuantum post_quantum = PostQuantum::kOffer;
  SlotFill slots;                               ///< the identities outlive the speakers
  std::vector<spdm::Measurement> measurements;  ///< beside or instead of the card's
  std::uint32_t data_transfer_size = 0x1200;    ///< bytes
  std::vector<Fault> faults;
  bool defer = false;  ///< what needs a signature is answered by ResponseNotReady first
  /// Also answer CXL's IDE_KM and TSP, as a CXL memory device would.
  bool cxl = false;
  /// It makes CXL.cachemem's keys and IVs itself: GETKEY.
  bool cxl_generates = false;
  unsigned cxl_ports = 1;
  /// The card's port in IDE_KM; ports below it exist without streams.
  std::uint8_t ide_port = 0;
  std::vector<IdeStreamSetup> ide_streams;  ///< of a served device, what is not plain
};

/// Told what secures sessions, as they come into use.
class KeyLog {
 public:
  virtual ~KeyLog() = default;
  [[nodiscard]] virtual bool wanted() const = 0;
  virtual void line(const std::string& text) = 0;
};

/// A card's SPDM responder on one transport: packets in, packets out. What IDE_KM
/// and TDISP ask goes to the card's DSM.
///
/// Lifetime: owned by its device; the card, the slots, the options and the key log outlive it.
/// Locking: none; one thread.
class Speaker final : private spdm::Observer {
 public:
  /// `pf` is what ENDPOINT_INFO tells of.
  Speaker(device::DsmMessages& card, hw::PciFunction& pf, Slots& slots, PlatformTransport transport,
          const SpeakerOptions& options, KeyLog& key_log);
  ~Speaker() override;

  /// Empty: the packet is dropped unanswered.
  [[nodiscard]] Bytes answer(ByteView packet);
  /// spdm-emu's out-of-band commands.
  void want_encapsulated(PlatformCommand command, ByteView payload);
  /// Conventional reset.
  void reset();
  /// As spdm::Responder has them.
  [[nodiscard]] ByteView kept_agreement() const { return responder_.kept_agreement(); }
  bool restore_agreement(ByteView message_a) { return responder_.restore_agreement(message_a); }
  void pass_time(std::uint32_t seconds) { responder_.pass_time(seconds); }

 private:
  [[nodiscard]] spdm::ResponderConfig config_for(const SpeakerOptions& options,
                                                 hw::PciFunction& pf);
  /// `refused`: a secured message got an answer in the clear, DecryptError, or none.
  [[nodiscard]] Bytes speak(ByteView packet, bool& refused);
  [[nodiscard]] std::optional<Bytes> answer_discovery(ByteView packet) const;
  [[nodiscard]] std::optional<spdm::Message> answer_app(const spdm::AppRequest& request);
  /// The answer's payload to one under PCI-SIG's ID; nullopt: there is none.
  [[nodiscard]] std::optional<Bytes> answer_pci(ByteView payload, std::uint32_t session);

  // spdm::Observer
  void sent(std::uint32_t session, ByteView spdm) override;
  void session_ended(std::uint32_t session, spdm::SessionEnd reason) override;
  [[nodiscard]] bool wants_keys() const override { return key_log_.wanted(); }
  void keys(const wire::KeyLogLine& line) override;

  device::DsmMessages& card_;
  const PlatformTransport transport_;
  const std::uint8_t ide_port_;
  KeyLog& key_log_;
  std::optional<CxlMemory> cxl_;
  Slots& slots_;
  bool undecrypted_ = false;  ///< the answer at hand is DecryptError
  MeasurementBlocks measurements_;
  Faults faults_;
  spdm::Responder responder_;
};

}  // namespace teeio::serve
