#include "decode/capture.h"

#include <utility>

#include "decode/describe.h"
#include "wire/doe.h"
#include "wire/transport_framing.h"

namespace teeio::decode {
namespace {

using wire::SpdmCode;

/// Encapsulation nests once by the specification; chunks may carry anything.
constexpr unsigned kMaxDepth = 4;
/// Bytes of a message that is put together from chunks.
constexpr std::size_t kMaxAssembled = std::size_t{1} << 20U;

constexpr std::size_t kMaxDoePadding = 3;  ///< bytes

constexpr std::size_t kMaxConversations = 16;  ///< the one that is silent longest goes

constexpr Sender other(Sender sender) {
  return sender == Sender::kRequester ? Sender::kResponder : Sender::kRequester;
}

}  // namespace

std::span<const Message> Capture::read(const wire::PcapPacket& packet) {
  for (Message& message : std::span(out_).first(used_)) message.fields.clear();
  used_ = 0;
  connection_.reset();
  ++packet_;
  time_ns_ = packet.time_ns;
  if (packet.link) link_ = *packet.link;
  find_sender(packet);
  if (packet.original_size > packet.data.size())
    add_problem("PACKET", "CUT_OFF", {Errno::kInval, "the capture has only the packet's beginning"},
                {});
  else if (packet.data.empty())
    add("PACKET", "NO_ANSWER", {});  // how a packet that was dropped unanswered is captured
  else
    read_data(packet.data);
  return std::span(out_).first(used_);
}

Capture::Conversation& Capture::conversation() {
  if (conversations_.size() >= kMaxConversations && !conversations_.contains(connection_)) {
    // What has no ID may be all of a capture's own conversation, and stays.
    auto oldest = conversations_.end();
    for (auto at = conversations_.begin(); at != conversations_.end(); ++at)
      if (at->first &&
          (oldest == conversations_.end() || at->second.packet < oldest->second.packet))
        oldest = at;
    conversations_.erase(oldest);
  }
  Conversation& one = conversations_[connection_];
  one.packet = packet_;
  return one;
}

/// Before the message itself is looked at.
void Capture::find_sender(const wire::PcapPacket& packet) {
  direction_ = packet.direction;
  known_ = Known::kGuessed;
  sender_ = other(sender_);  // strictly one request, then its response
  if (direction_ == wire::PcapDirection::kUnknown) {
    if (packet.data.empty()) known_ = Known::kByMessage;  // nobody sends an empty request
    if (packet.data.empty()) sender_ = Sender::kResponder;
    return;
  }
  // pcapng leaves open at which end the capture was made: at the device's, unless a message of
  // the capture says otherwise, or what teeio has written says so.
  if (packet.at_device) to_device_ = wire::PcapDirection::kInbound;
  known_ = to_device_ ? Known::kRecorded : Known::kGuessed;
  const auto to_device = to_device_.value_or(wire::PcapDirection::kInbound);
  sender_ = direction_ == to_device ? Sender::kRequester : Sender::kResponder;
}

/// What the message itself says about the sender. Once that has told which recorded direction is
/// whose, the direction is believed instead: a responder under test is sent responses, too, so that
/// requests alone tell.
void Capture::note_direction(Sender by_message) {
  if (known_ == Known::kRecorded) return;
  if (direction_ != wire::PcapDirection::kUnknown && by_message == Sender::kRequester)
    to_device_ = direction_;
  sender_ = by_message;
  if (known_ == Known::kGuessed) known_ = Known::kByMessage;
}

void Capture::read_data(ByteView data) {
  if (link_ == wire::LinkType::kPciDoe) return read_doe(data);
  if (link_ == wire::LinkType::kMctp) return read_mctp(data);
  Fields& f = add("PACKET", "OTHER_LINK", {}).fields;
  f.number("link_type", std::to_underlying(link_));
  f.size("bytes", data);
}

Message& Capture::add(std::string_view layer, std::string_view name, const Place& place) {
  if (used_ == out_.size()) out_.push_back({.fields = Fields(options_.show_keys)});
  Message& message = out_[used_++];
  message.packet = packet_;
  message.time_ns = time_ns_;
  message.sender = sender_;
  message.sender_guessed = known_ == Known::kGuessed;
  message.connection = connection_;
  message.session = place.session;
  message.depth = place.depth;
  message.layer = layer;
  message.name = name;
  message.problem = {};
  return message;
}

void Capture::add_problem(std::string_view layer, std::string_view name, const Error& error,
                          const Place& place) {
  add(layer, name, place).problem = error.why;
}

void Capture::read_doe(ByteView packet) {
  const auto object = wire::DoeObject::decode(packet);
  if (!object) return add_problem("DOE", "DATA_OBJECT", object.error(), {});
  if (object->vendor_id == wire::kPciSigVendorId) {
    switch (wire::DoeType{object->type}) {
      case wire::DoeType::kDiscovery:
        return read_discovery(object->payload);
      case wire::DoeType::kSpdm:
        return read_spdm(object->payload, {});
      case wire::DoeType::kSecuredSpdm:
        return read_secured(object->payload, 0);
      case wire::DoeType::kSpdmOfConnection:
        connection_ = object->connection;
        return read_spdm(object->payload, {});
      case wire::DoeType::kSecuredSpdmOfConnection:
        connection_ = object->connection;
        return read_secured(object->payload, 0);
    }
  }
  Fields& f = add("DOE", "DATA_OBJECT", {}).fields;
  f.hex_number("vendor", object->vendor_id);
  f.number("type", object->type);
  f.bytes("payload", object->payload);
}

/// Of DOE discovery: a response has a type or a next index (but for a device that has nothing
/// else), where a request has zeros. Source: PCIe 6.30.1.1; libspdm, pcidoe.h.
void Capture::find_discovery_sender(ByteView payload) {
  const auto m = wire::DoeDiscoveryResponse::decode(payload);
  if (!m || direction_ == wire::PcapDirection::kUnknown) return;  // turns tell as well
  note_direction(m->type != 0 || m->next_index != 0 ? Sender::kResponder : Sender::kRequester);
}

void Capture::read_discovery(ByteView payload) {
  find_discovery_sender(payload);
  Message& entry = add("DOE", "DISCOVERY", {});
  Fields& f = entry.fields;
  if (sender_ == Sender::kRequester) {
    const auto m = wire::DoeDiscoveryRequest::decode(payload);
    if (!m) entry.problem = m.error().why;
    if (m) f.number("index", m->index);
    return;
  }
  const auto m = wire::DoeDiscoveryResponse::decode(payload);
  if (!m) {
    entry.problem = m.error().why;
    return;
  }
  f.hex_number("vendor", m->vendor_id);
  f.number("type", m->type);
  f.number("next_index", m->next_index);
}

/// Whoever sets the tag owner bit has asked. Emulators leave it clear both ways; where it is in use
/// it tells of answers, too. Packets of one message have one sender.
void Capture::find_mctp_sender(const wire::MctpPacketHeader& header) {
  if (known_ != Known::kGuessed) return;
  const bool owner = (header.flags & MctpAssembler::kTagOwner) != 0;
  tags_tell_ = tags_tell_ || owner;
  if (tags_tell_) {
    sender_ = owner ? Sender::kRequester : Sender::kResponder;
    known_ = Known::kByMessage;
  } else if ((header.flags & MctpAssembler::kStart) == 0 &&
             direction_ == wire::PcapDirection::kUnknown) {
    sender_ = other(sender_);  // no turn is taken within a message
  }
}

void Capture::read_mctp(ByteView packet) {
  const auto header = wire::MctpPacketHeader::decode(packet);
  if (!header) return add_problem("MCTP", "PACKET", header.error(), {});
  find_mctp_sender(*header);
  const auto whole = mctp_.add(*header, packet.subspan(wire::MctpPacketHeader::kSize), packet_);
  if (!whole) {
    add_problem("MCTP", "FRAGMENT", whole.error(), {});
    return;
  }
  if (*whole) return read_mctp_message(**whole, {});
  Message& fragment = add("MCTP", "FRAGMENT", {});
  if (mctp_.cut_one_off())
    fragment.problem = "the message before this one lacks its last MCTP packet";
  Fields& f = fragment.fields;
  f.number("source", header->source);
  f.number("destination", header->destination);
  f.number("sequence", header->flags >> 4U & 3U);
  f.size("bytes", packet.subspan(wire::MctpPacketHeader::kSize));
}

void Capture::read_mctp_message(ByteView message, const Place& place) {
  const auto mctp = wire::MctpMessage::decode(message);
  if (!mctp) return add_problem("MCTP", "MESSAGE", mctp.error(), place);
  if (mctp->type == std::to_underlying(wire::MctpType::kSpdm)) return read_spdm(mctp->body, place);
  if (mctp->type == std::to_underlying(wire::MctpType::kSecured) && !place.session)
    return read_secured(mctp->body, 2);
  const bool pldm = mctp->type == std::to_underlying(wire::MctpType::kPldm);
  Fields& f = add("MCTP", pldm ? "PLDM" : "MESSAGE", place).fields;
  f.number("type", mctp->type);
  f.bytes("payload", mctp->body);
}

void Capture::read_secured(ByteView record, std::size_t sequence_size) {
  const auto secured = wire::SecuredMessage::decode(record, sequence_size);
  if (!secured) return add_problem("SECURED", "RECORD", secured.error(), {});
  const Place place{.session = secured->session_id};
  const auto opened = keys_.open(*secured, sender_);
  if (opened) {
    note_direction(opened->sender);
    const Bytes& inside = opened->application;
    if (link_ == wire::LinkType::kMctp) return read_mctp_message(inside, place);
    return read_spdm(inside, place);
  }
  Message& message = add("SECURED", "RECORD", place);
  message.fields.number("ciphertext", secured->ciphertext.size());
  // Without a key log, not being able to read it is no mistake of the capture.
  if (!keys_.empty()) message.problem = opened.error().why;
}

void Capture::read_spdm(ByteView message, const Place& place) {
  const auto header = wire::SpdmHeader::decode(message);
  if (!header) return add_problem("SPDM", "MESSAGE", header.error(), place);
  if (place.depth == 0 && !place.session)
    note_direction(wire::is_spdm_request(SpdmCode{header->code}) ? Sender::kRequester
                                                                 : Sender::kResponder);
  const SpdmCode code{header->code};
  if (code == SpdmCode::kVendorDefinedRequest || code == SpdmCode::kVendorDefinedResponse)
    if (const auto vendor = wire::VendorDefined::decode(message))
      return read_vendor_defined(*vendor, place);
  read_plain_spdm(*header, message, place);
}

void Capture::read_plain_spdm(const wire::SpdmHeader& header, ByteView message,
                              const Place& place) {
  Message& entry = add("SPDM", wire::spdm_name(header.code), place);
  entry.fields.version("version", header.version);
  Connection& connection = conversation().connection;
  const wire::SpdmSizes sizes = connection.sizes_for(header, message.size(), place.encapsulated);
  connection.observe(header, place.encapsulated);
  const bool known = wire::visit_spdm_type(header.code, [&]<class M>() {
    const auto decoded = wire::decode_spdm_as<M>(message, sizes);
    if (!decoded) {
      entry.problem = decoded.error().why;
      return;
    }
    connection.observe(*decoded, place.encapsulated);
    describe(entry.fields, *decoded);
    // DOE pads a message that travels as it is, with less than a DWORD.
    const std::size_t behind = message.size() - decoded->wire.size();
    const bool padded = link_ == wire::LinkType::kPciDoe && !place.session;
    if (behind > (padded ? kMaxDoePadding : 0)) entry.fields.number("trailing_bytes", behind);
  });
  if (!known) {
    entry.fields.hex_number("code", header.code);
    entry.problem = "the table of SPDM messages has no such code";
  }
  if (entry.problem.empty() && place.depth < kMaxDepth) read_inside(header, message, place);
}

void Capture::read_inside(const wire::SpdmHeader& header, ByteView message, const Place& place) {
  Place inner = place;
  ++inner.depth;
  Place encapsulated = inner;
  encapsulated.encapsulated = true;
  const SpdmCode code{header.code};
  if (code == SpdmCode::kEncapsulatedRequest) {
    read_spdm(wire::SpdmEncapsulatedRequest::decode(message)->request, encapsulated);
  } else if (code == SpdmCode::kDeliverEncapsulatedResponse) {
    read_spdm(wire::SpdmDeliverEncapsulatedResponse::decode(message)->response, encapsulated);
  } else if (code == SpdmCode::kEncapsulatedResponseAck) {
    const auto ack = wire::SpdmEncapsulatedResponseAck::decode(message);
    if (wire::SpdmEncapsulatedPayload{ack->payload_type} == wire::SpdmEncapsulatedPayload::kPresent)
      read_spdm(ack->payload, encapsulated);
  } else if (code == SpdmCode::kChunkSend) {
    read_chunk(*wire::SpdmChunkSend::decode(message), conversation().request_chunks, inner);
  } else if (code == SpdmCode::kChunkResponse) {
    read_chunk(*wire::SpdmChunkResponse::decode(message), conversation().response_chunks, inner);
  } else if (code == SpdmCode::kChunkSendAck) {
    const auto ack = wire::SpdmChunkSendAck::decode(message);
    if (ack->response.size() >= wire::SpdmHeader::kSize) read_spdm(ack->response, inner);
  }
}

/// Empty: the chunk was taken, or is the last one again.
template <class Chunk>
std::string_view Capture::Assembly::add(const Chunk& chunk) {
  if (chunk.sequence == 0) {
    *this = {.bytes = {}, .size = chunk.large_size, .open = chunk.large_size <= kMaxAssembled};
    if (!open) return "the message is longer than any that is put together here";
  }
  if (!open || chunk.sequence + 1 == next) return {};
  if (chunk.sequence != next) return "a chunk is missing, so that the message is not put together";
  ++next;
  bytes.insert(bytes.end(), chunk.chunk.begin(), chunk.chunk.end());
  if (bytes.size() > size) return "chunks are longer than their message";
  if (chunk.last && bytes.size() < size) return "chunks are shorter than their message";
  return {};
}

template <class Chunk>
void Capture::read_chunk(const Chunk& chunk, Assembly& assembly, const Place& place) {
  const std::string_view problem = assembly.add(chunk);
  if (!problem.empty()) {
    assembly = {};
    return add_problem("SPDM", "CHUNKS", {Errno::kInval, problem}, place);
  }
  if (!chunk.last || !assembly.open) return;
  const Bytes whole = std::move(assembly.bytes);
  assembly = {};
  read_spdm(whole, place);
}

void Capture::read_vendor_defined(const wire::VendorDefined& vendor, const Place& place) {
  Message& entry = add(wire::protocol_name(vendor.protocol), "MESSAGE", place);
  const auto name = vendor.protocol == wire::Protocol::kTdisp
                        ? describe_tdisp(entry.fields, vendor.message)
                        : describe_ide_km(entry.fields, vendor.message);
  if (name)
    entry.name = *name;
  else
    entry.problem = name.error().why;
}

}  // namespace teeio::decode
