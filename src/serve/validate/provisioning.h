#pragma once

#include <cstdint>
#include <expected>

#include "crypto/certificate.h"
#include "serve/validate/bench.h"
#include "serve/validate/link.h"
#include "spdm/settings.h"
#include "spdm/suite.h"

namespace teeio::serve::validate {

/// What requests about slot 0 name: its key pair and certificate model where the connection has
/// several keys (by DIGESTS, which has come), else zeros.
struct SlotNames {
  bool multi_key = false;
  std::uint8_t key_pair = 0;
  std::uint8_t cert_model = 0;
};
[[nodiscard]] SlotNames names_of_slot_0(Link& link);

/// A link whose peer has one of `flags`, with its agreement and, of the chain of slot 0, the
/// parsed form.
struct Ready {
  Link link;
  spdm::Negotiated agreed;
  spdm::Suite suite;
  bool multi_key = false;
  std::uint8_t key_pair = 0;    ///< of slot 0, where there are several keys; else 0
  std::uint8_t cert_model = 0;  ///< the same

  [[nodiscard]] crypto::Certificate leaf() {
    const spdm::PeerChain* const shown = link.requester().peer_chain(0);
    return crypto::SpdmCertificateChain::parse(shown->chain, *suite.hash)->chain.leaf();
  }
};
/// `word`: what a skipped case says is not set.
[[nodiscard]] std::expected<Ready, Verdict> ready_for(Bench& bench, std::uint32_t flags,
                                                      const char* word);

// Cases of the provisioning suite that are elsewhere.
Verdict key_pairs(Bench& bench);
Verdict key_pair_usage(Bench& bench);
Verdict spare_key_pair(Bench& bench);
Verdict set_key_pair_nonsense(Bench& bench);
Verdict slot_banks(Bench& bench);
Verdict slot_details(Bench& bench);
Verdict slot_nonsense(Bench& bench);
Verdict slots_absent(Bench& bench);

}  // namespace teeio::serve::validate
