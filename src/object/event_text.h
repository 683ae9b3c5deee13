#pragma once

#include <string>

#include "object/event.h"

namespace teeio::object {

/// An event on one line, without its number:
/// "VFIO -> IOMMUFD iommufd_device_tsm_bind 0000:01:00.0 = EBUSY (why)" for a
/// call, "firmware: MMIO mapped 0000:01:00.0 VM 1 gpa=0x1000" for a state.
[[nodiscard]] std::string event_text(const Event& event);

/// What an event is about, without lanes and outcome: "0000:01:00.0 VM 1 key=value".
/// A state whose numbers are not in `detail` shows them under the names that
/// Fact gives them. Empty when there is nothing to say.
[[nodiscard]] std::string event_subject(const Event& event);

}  // namespace teeio::object
