#include <fmt/format.h>

#include "decode/describe.h"
#include "wire/ide_km.h"
#include "wire/ide_registers.h"
#include "wire/tdisp_report.h"

namespace teeio::decode {
namespace {

void key_fields(Fields& f, std::uint8_t stream, wire::IdeKeySelector selector, std::uint8_t port) {
  f.number("stream", stream);
  f.number("port", port);
  if (!selector.valid()) return f.hex_number("selector", selector.raw);
  f.number("key_set", selector.key_set());
  f.word("direction", selector.direction() == wire::IdeDirection::kRx ? "rx" : "tx");
  switch (selector.sub_stream()) {
    case wire::IdeSubStream::kPosted:
      return f.word("sub_stream", "PR");
    case wire::IdeSubStream::kNonPosted:
      return f.word("sub_stream", "NPR");
    case wire::IdeSubStream::kCompletion:
      return f.word("sub_stream", "CPL");
  }
}

void fields(Fields& f, const wire::IdeKmQuery& m) { f.number("port", m.port_index); }

/// What a stream's control register has beside ID and enable bit.
std::string ide_settings(std::uint32_t control) {
  std::string text;
  if (const unsigned mode = control >> 10U & 0xfU; mode != 0)
    text += fmt::format(" header-encryption={}", mode);
  if ((control & 0x3fU << 2U) != 0)
    text += fmt::format(" aggregation={}/{}/{}", control >> 2U & 3U, control >> 4U & 3U,
                        control >> 6U & 3U);
  if ((control & 1U << 8U) != 0) text += " pcrc";
  if ((control & 1U << 9U) != 0) text += " configuration-requests";
  if (const unsigned tc = control >> 19U & 7U; tc != 0) text += fmt::format(" tc={}", tc);
  if ((control & 1U << 22U) != 0) text += " default";
  if ((control & 1U << 23U) != 0) text += " tee-limited";
  return text;
}

template <class Blocks>
void enabled_streams(Fields& f, std::string_view kind, const Blocks& blocks) {
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const wire::IdeLinkBlock& block = blocks[i];
    if (!block.enabled()) continue;
    f.word({kind, i},
           fmt::format("id {} {}{}", block.stream_id(), block.secure() ? "secure" : "insecure",
                       ide_settings(block.control)));
  }
}

void fields(Fields& f, const wire::IdeKmQueryResp& m) {
  f.number("port", m.port_index);
  f.number("max_port", m.max_port_index);
  f.word("function", fmt::format("{:02x}:{:02x}:{:02x}.{}", m.segment, m.bus, m.dev_func >> 3U,
                                 m.dev_func & 7U));
  f.number("registers", m.registers.size());
  const auto blocks = wire::IdeRegisters::decode(m.registers);
  if (!blocks) return f.word("blocks", blocks.error().why);
  f.number("link_streams", blocks->links.size());
  f.number("selective_streams", blocks->streams.size());
  enabled_streams(f, "link", blocks->links);
  enabled_streams(f, "selective", blocks->streams);
}

void fields(Fields& f, const wire::IdeKmKeyProg& m) {
  key_fields(f, m.stream_id, m.selector, m.port_index);
  if (!m.key) return f.word("key", "of another length");
  f.key("key", m.key->key);
  f.hex_number("ifv", m.key->ifv);
}

void fields(Fields& f, const wire::IdeKmKpAck& m) {
  key_fields(f, m.stream_id, m.selector, m.port_index);
  f.word("status", wire::kp_ack_why(m.status));
}

template <wire::IdeKmObject Object>
void fields(Fields& f, const wire::IdeKmKeySet<Object>& m) {
  key_fields(f, m.stream_id, m.selector, m.port_index);
}

template <wire::TdispCode Code>
void fields(Fields& /*f*/, const wire::TdispBare<Code>& /*m*/) {}

void fields(Fields& f, const wire::TdispVersion& m) {
  f.word("versions", [&m](Text& out) { add_versions(out, m.versions); });
}

void fields(Fields& f, const wire::TdispGetCapabilities& m) {
  f.hex_number("tsm_caps", m.tsm_caps);
}

void fields(Fields& f, const wire::TdispCapabilities& m) {
  f.hex_number("dsm_caps", m.dsm_caps);
  f.bytes("requests", std::as_bytes(std::span(m.requests)));
  f.hex_number("lock_flags", m.lock_flags);
  f.number("address_width", m.address_width);
  f.number("outstanding_this", m.requests_outstanding_this);
  f.number("outstanding_all", m.requests_outstanding_all);
}

void fields(Fields& f, const wire::TdispLockInterface& m) {
  f.hex_number("flags", m.flags);
  f.number("default_stream", m.default_stream_id);
  f.hex_number("mmio_offset", m.mmio_reporting_offset);
  f.hex_number("p2p_mask", m.bind_p2p_address_mask);
}

void fields(Fields& f, const wire::TdispLockInterfaceResponse& m) { f.bytes("nonce", m.nonce); }

void fields(Fields& f, const wire::TdispGetInterfaceReport& m) {
  f.number("offset", m.offset);
  f.number("length", m.length);
}

void range_field(Fields& f, FieldName name, const wire::TdispMmioRange& range) {
  f.word(name, fmt::format("{} pages at {:#x} id {} attributes {:#x}", range.pages, range.address(),
                           range.range_id, range.attributes));
}

void fields(Fields& f, const wire::TdispInterfaceReportPortion& m) {
  f.number("remainder", m.remainder);
  f.size("portion", m.portion);
  if (m.remainder != 0) return;
  const auto report = wire::TdispReport::decode(m.portion);
  if (!report) return;  // the end of a report that came in portions
  f.hex_number("interface_info", report->interface_info);
  if (report->msix_message_control != 0) f.hex_number("msix_control", report->msix_message_control);
  if (report->lnr_control != 0) f.hex_number("lnr_control", report->lnr_control);
  if (report->tph_control != 0) f.hex_number("tph_control", report->tph_control);
  for (std::size_t i = 0; i < report->ranges.size(); ++i)
    range_field(f, {"range", i}, report->ranges[i]);
  f.bytes("device_info", report->device_info);
}

void fields(Fields& f, const wire::TdispInterfaceState& m) {
  f.word("state", wire::tdi_state_name(m.state));
}

void fields(Fields& f, const wire::TdispStartInterface& m) { f.bytes("nonce", m.nonce); }
void fields(Fields& f, const wire::TdispBindP2pStream& m) { f.number("stream", m.stream_id); }
void fields(Fields& f, const wire::TdispUnbindP2pStream& m) { f.number("stream", m.stream_id); }
void fields(Fields& f, const wire::TdispSetMmioAttribute& m) { range_field(f, "range", m.range); }

template <wire::TdispCode Code>
void fields(Fields& f, const wire::TdispVendor<Code>& m) {
  f.number("registry", m.registry_id);
  f.bytes("vendor", m.vendor_id);
  f.bytes("payload", m.data);
}

void fields(Fields& f, const wire::TdispErrorResponse& m) {
  f.word("error", wire::tdisp_error_name(m.code));
  f.hex_number("code", m.code);
  f.hex_number("data", m.data);
  f.bytes("extended", m.extended);
}

}  // namespace

Result<std::string_view> describe_ide_km(Fields& f, ByteView in) {
  TEEIO_ASSIGN(const wire::IdeKmMessage message, wire::decode_ide_km(in));
  std::visit([&f](const auto& m) { fields(f, m); }, message);
  return wire::ide_km_name(static_cast<std::uint8_t>(wire::object_of(message)));
}

Result<std::string_view> describe_tdisp(Fields& f, ByteView in) {
  TEEIO_ASSIGN(const wire::TdispMessage message, wire::decode_tdisp(in));
  f.hex_number("function", message.function_id.raw);
  std::visit([&f](const auto& m) { fields(f, m); }, message.body);
  return wire::tdisp_name(static_cast<std::uint8_t>(wire::code_of(message.body)));
}

}  // namespace teeio::decode
