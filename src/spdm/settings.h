#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "spdm/transport.h"

namespace teeio::spdm {

/// The algorithms that an end offers: bit masks as NEGOTIATE_ALGORITHMS and
/// ALGORITHMS carry them. Which of several common ones a responder takes:
/// capability_rules.h. Source: DSP0274 1.2 tables 15–21.
struct Algorithms {
  std::uint32_t base_asym = 0;
  std::uint32_t base_hash = 0;
  std::uint32_t measurement_hash = 0;
  std::uint16_t dhe = 0;
  std::uint16_t aead = 0;
  std::uint16_t req_base_asym = 0;
  std::uint16_t key_schedule = 1;
  std::uint8_t other_params = 0;  ///< bits 3:0 opaque data formats, bit 4 multi-key connections
  bool measurement_specification = true;  ///< DMTF's
  // SPDM 1.4, post-quantum: bits of wire/spdm_pqc.h.
  std::uint32_t pqc_asym = 0;
  std::uint16_t req_pqc_asym = 0;
  std::uint16_t kem = 0;
  /// A responder that shares algorithms of both families takes these (else the classical).
  bool post_quantum_first = false;

  /// Everything that `crypto` can do, without post-quantum algorithms.
  [[nodiscard]] static Algorithms all();
  /// These too, as far as the OpenSSL that runs has them.
  [[nodiscard]] Algorithms with_post_quantum() const;
  /// ECDSA P-384, SHA-384, secp384r1, AES-256-GCM: what PCIe's CMA/SPDM asks for.
  [[nodiscard]] static Algorithms cnsa();
  /// ECDSA P-256, SHA-256, secp256r1, AES-128-GCM.
  [[nodiscard]] static Algorithms p256();
};

/// Sessions with everything in them, certificates, measurements, chunks. What an
/// end's configuration cannot serve (no credentials, no PSK) it leaves out itself.
[[nodiscard]] std::uint32_t default_requester_flags();
[[nodiscard]] std::uint32_t default_responder_flags();

/// What one end takes at most from the other.
struct Limits {
  std::size_t sessions = 4;
  std::size_t certificate_chain_bytes = 0x10000;  ///< the length of SPDM 1.0's portions
  std::uint32_t chunks = 0x400;                   ///< of one large message
  std::uint32_t not_ready = 8;                    ///< ResponseNotReady and Busy to one request
  std::uint32_t encapsulated = 0x100;             ///< encapsulated requests of one flow
};

/// 1.0 to 1.4, as in message headers.
[[nodiscard]] std::vector<std::uint8_t> all_versions();

/// What both ends have in common.
struct Settings {
  Transport transport = Transport::kPciDoe;
  std::vector<std::uint8_t> versions = all_versions();  ///< ascending
  /// Capability flags (GET_CAPABILITIES, CAPABILITIES). What the negotiated
  /// version does not know is left out.
  std::uint32_t flags = 0;           ///< 0: the side's default flags
  std::uint16_t extended_flags = 0;  ///< of wire::SpdmExtendedCap; a responder's
  std::uint8_t ct_exponent = 0;      ///< CTExponent: a cryptographic answer takes up to 2^n µs
  /// DataTransferSize and MaxSPDMmsgSize in bytes. Memory follows what messages
  /// need, never these.
  std::uint32_t data_transfer_size = 0x1200;
  std::uint32_t max_message_size = 0x1200;
  Algorithms algorithms = Algorithms::cnsa();
  Limits limits;
};

/// What both ends agreed on, once ALGORITHMS was exchanged.
struct Negotiated {
  std::uint8_t version = 0x10;
  std::uint32_t own_flags = 0;                ///< of the end that is asked
  std::uint32_t peer_flags = 0;               ///< of the other
  std::uint16_t extended_flags = 0;           ///< of the responder
  std::uint32_t peer_data_transfer_size = 0;  ///< 0: unknown before SPDM 1.2
  std::uint32_t peer_max_message_size = 0;
  Algorithms algorithms;  ///< at most one bit each
};

}  // namespace teeio::spdm
