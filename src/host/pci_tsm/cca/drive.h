#pragma once

#include "host/pci_tsm/cca/cca_driver.h"

namespace teeio::tsm {

/// Carries messages between the monitor and the card until the monitor wants no
/// more. That an exchange failed shows in the object's state.
/// Errors: the refusal of a COMMUNICATE call.
template <class Communicate>
Result<void> CcaDriver::drive(Card& card, Communicate communicate) {
  rmm::HostComm host;
  for (;;) {
    const rmm::RmiResult step = communicate(host);
    if (!step.ok()) return std::unexpected(kvm::rmi_error(step, "RMI COMMUNICATE failed"));
    if (step.x1 == 0) return {};
    const auto answered = carry(card, step.x1);
    host = {.status = answered ? rmm::HostComm::Status::kResponse : rmm::HostComm::Status::kError,
            .response_bytes = answered.value_or(0)};
  }
}

}  // namespace teeio::tsm
