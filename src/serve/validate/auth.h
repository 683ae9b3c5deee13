#pragma once

#include "serve/validate/case.h"
#include "serve/validate/link.h"

namespace teeio::serve::validate {

/// MutAuthRequested and ReqSlotID of the last KEY_EXCHANGE_RSP; zeros without any.
struct MutualAuthAsked {
  std::uint8_t how = 0;
  std::uint8_t slot = 0;  ///< 0 to 15
};
[[nodiscard]] MutualAuthAsked mutual_auth_asked(const Link& link);

// Cases of the auth suite that are elsewhere: of keys that one end has beforehand.
Verdict known_requester(Bench& bench);
Verdict another_requester(Bench& bench);
Verdict known_from_challenge(Bench& bench);
Verdict known_responder_slots(Bench& bench);

}  // namespace teeio::serve::validate
