#pragma once

#include <memory>

#include "spdm/channel.h"
#include "spdm/requester.h"
#include "spdm/responder.h"

namespace teeio::spdm {

/// Channels whose messages travel inside an authenticated SPDM session over DOE.
///
/// The requester connects by GET_VERSION … ALGORITHMS, reads and verifies the
/// chain of slot 0, opens a session (KEY_EXCHANGE, FINISH), and has the device
/// sign its measurements in it. Should the session die (a secured message that
/// does not authenticate), the channel is unconnected from then on.
///
/// A `patient` one lets IDE_KM and TDISP messages wait for their answers together, which
/// come in the order of the messages; and what does not authenticate there is no answer,
/// and changes nothing: the right one may still come. DSP0274 has the session end.
///
/// The responder has no message for the DSM but those of a session: IDE_KM and
/// TDISP in the clear are refused with UnexpectedRequest. Source: PCIe Base Spec
/// 6.33.3 and 11.3.2, which both want a secure session.
///
/// `config.settings.transport` must be Transport::kPciDoe.
[[nodiscard]] std::unique_ptr<RequesterChannel> make_session_requester(RequesterConfig config,
                                                                       bool patient = false);
[[nodiscard]] std::unique_ptr<ResponderChannel> make_session_responder(ResponderConfig config);

}  // namespace teeio::spdm
