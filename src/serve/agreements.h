#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "serve/served_device.h"

namespace teeio::serve {

/// What the devices' peers need not negotiate again, a line a device: its address, the transport,
/// and message A (GET_VERSION to ALGORITHMS) as hexadecimal digits.
[[nodiscard]] std::string agreements_of(Fleet& fleet);

/// Takes such lines: the devices are as they were. What comes to nothing, as the device is not
/// served or would answer otherwise now, is a remark. Errors (ready to print behind the file's
/// name): which line is none.
std::expected<std::vector<std::string>, std::string> restore_agreements(Fleet& fleet,
                                                                        std::string_view text);

}  // namespace teeio::serve
