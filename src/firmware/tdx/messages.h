#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "firmware/tdx/leaf.h"
#include "wire/spdm_vendor_defined.h"

namespace teeio::tdx {

/// The whole DOE data object in a message page of the host. The page is read
/// once, so that what was checked is what is used. Checks "shared" and "object": its
/// length field fits the page.
Checked<Bytes> read_object(Leaf& leaf, Hpa page, Operand operand);

/// The message of `protocol` inside of a device's answer. Checks "authentic", which changes
/// nothing, and `content`: what was no such message is used up.
/// Source: aead.c, tdx_io_aead_decrypt().
Checked<Bytes> open_message(Leaf& leaf, SpdmSession& spdm, wire::Protocol protocol, ByteView object,
                            std::string_view content);

/// Puts a data object into a message page. Precondition: shared_page() held, and
/// the object fits a page (requests are far smaller).
void write_object(Leaf& leaf, Hpa page, ByteView object);

/// RCX of leaves that make or take a message; see LeafResult.
[[nodiscard]] std::uint64_t message_register(std::uint8_t code, std::uint8_t detail,
                                             std::size_t bytes);

}  // namespace teeio::tdx
