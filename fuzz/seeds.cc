#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "crypto/aead.h"
#include "spdm_sizes.h"
#include "wire/doe.h"
#include "wire/ide_km.h"
#include "wire/ide_registers.h"
#include "wire/key_log.h"
#include "wire/pcap.h"
#include "wire/secured_message.h"
#include "wire/spdm_dispatch.h"
#include "wire/spdm_opaque.h"
#include "wire/tdisp_messages.h"
#include "wire/transport_framing.h"

// Writes seeds under the directory that is its argument. They are made with our
// own encoders, so a new message in wire's table gets its seeds by itself.
namespace teeio::fuzz {
namespace {

namespace fs = std::filesystem;

void write_seed(const fs::path& root, const std::string& target, const std::string& name,
                ByteView bytes) {
  fs::create_directories(root / target);
  std::ofstream out(root / target / name, std::ios::binary);
  for (const std::byte byte : bytes) out.put(static_cast<char>(byte));
}

Bytes chosen(std::uint8_t choice, ByteView bytes) {
  Writer w;
  return w.le(choice).bytes(bytes).take();
}

/// Zeros that begin as a `Message`: whatever it is without lengths, and with
/// fields of the negotiated sizes.
template <class Message>
Bytes zeros_as(std::uint8_t version, const wire::SpdmSizes& sizes) {
  Writer w;
  w.le(version).le(static_cast<std::uint8_t>(Message::kCode)).le(std::uint16_t{0x0101}).zeros(600);
  const Bytes bytes = w.take();
  const auto message = wire::decode_spdm_as<Message>(bytes, sizes);
  if (!message) return Message{}.encode();  // has a length that zeros are not
  return {message->wire.begin(), message->wire.end()};
}

void write_spdm(const fs::path& root) {
  for (const wire::SpdmRow& row : wire::spdm_messages())
    wire::visit_spdm_type(static_cast<std::uint8_t>(row.code), [&]<class Message>() {
      Bytes plain = Message{}.encode();
      plain[0] = static_cast<std::byte>(row.since);
      write_seed(root, "spdm", std::string(row.name), chosen(0, plain));
      write_seed(root, "spdm", std::string(row.name) + "_1.4",
                 chosen(kAllSizes, zeros_as<Message>(wire::kSpdmVersion14, sizes_of(kAllSizes))));
    });
}

template <class Element>
Bytes one(const Element& element) {
  Writer w;
  element.append_to(w);
  return w.take();
}

void write_parts(const fs::path& root) {
  const Bytes value(4);
  const auto put = [&](std::uint8_t choice, const char* name, ByteView bytes) {
    write_seed(root, "spdm_parts", name, chosen(choice, bytes));
  };
  put(0, "measurement", one(wire::SpdmMeasurementBlock{.value = value}));
  put(1, "mel_entry", one(wire::SpdmMelEntry{.value = value}));
  put(2, "event_group", one(wire::SpdmEventGroup{.vendor_id = {}, .types = value}));
  put(3, "event", one(wire::SpdmEvent{.vendor_id = {}, .detail = value}));
  put(4, "opaque_0", wire::encode_secured_versions({0x11}, wire::SpdmOpaqueFormat::k0));
  put(5, "opaque_1", wire::encode_secured_version_choice(0x11, wire::SpdmOpaqueFormat::k1));
  const Bytes hash(48);
  put(6, "chain", wire::SpdmCertificateChain{.root_hash = hash, .certificates = value}.encode());
  put(7, "mel_header", wire::SpdmMelHeader{.entries = 0, .entries_size = 0}.encode());
}

void write_framing(const fs::path& root) {
  const Bytes body(20);
  Writer doe;
  doe.bytes(wire::encode_secured_header(1, {}, body.size())).bytes(body);
  write_seed(root, "framing", "secured_doe", doe.take());
  Writer mctp;
  mctp.bytes(wire::encode_secured_header(1, Bytes(2), body.size())).bytes(body);
  write_seed(root, "framing", "secured_mctp", mctp.take());
  write_seed(root, "framing", "tcp", wire::TcpBindingMessage{.type = 5, .body = body}.encode());
}

void write_capture(const fs::path& root) {
  const wire::KeyLogLine line{.session_id = 0xfffeffff, .key = Bytes(32), .iv = Bytes(12)};
  const std::string text = line.text();
  write_seed(root, "capture", "key_log", std::as_bytes(std::span(text)));
  const Bytes data(12);
  Writer w;
  w.bytes(wire::PcapHeader{}.encode()).bytes(wire::PcapPacket{.data = data}.encode());
  write_seed(root, "capture", "pcap", w.take());
  Writer ng;
  ng.bytes(wire::pcapng_section()).bytes(wire::pcapng_interface(wire::LinkType::kMctp));
  ng.bytes(wire::pcapng_packet(0, {.data = data, .direction = wire::PcapDirection::kInbound}));
  write_seed(root, "capture", "pcapng", ng.take());
}

/// Packets of a capture, each a DOE object.
class DoeCapture {
 public:
  DoeCapture() { file_.bytes(wire::PcapHeader{}.encode()); }
  void add(wire::DoeType type, ByteView payload) {
    const Bytes object =
        wire::DoeObject{.type = static_cast<std::uint8_t>(type), .payload = payload}.encode();
    file_.bytes(wire::PcapPacket{.data = object}.encode());
  }
  /// In a session whose key and IV are zeros, as fuzz_decode's are.
  void add_secured(ByteView message) {
    Bytes text = wire::SecuredPlaintext{.application = message, .random = {}}.encode();
    Bytes record = wire::encode_secured_header(0xfffeffff, {}, text.size() + 16);
    std::array<std::byte, crypto::kAeadNonceSize> nonce{};
    nonce[0] = static_cast<std::byte>(sequence_++);
    std::array<std::byte, crypto::kAeadTagSize> tag{};
    crypto::Aead(crypto::AeadAlgorithm::kAes256Gcm, crypto::Aead::Direction::kSeal, Bytes(32))
        .seal(nonce, record, text, tag);
    record.insert(record.end(), text.begin(), text.end());
    record.insert(record.end(), tag.begin(), tag.end());
    add(wire::DoeType::kSecuredSpdm, record);
  }
  Bytes take() { return file_.take(); }

 private:
  Writer file_;
  std::uint8_t sequence_ = 0;
};

/// GET_CAPABILITIES to ALGORITHMS with hashes of 48 bytes.
void add_negotiation(DoeCapture& capture) {
  constexpr std::uint32_t kCaps = wire::kSpdmCapCert | wire::kSpdmCapMeasSig | wire::kSpdmCapKeyEx;
  capture.add(wire::DoeType::kSpdm, wire::SpdmGetCapabilities{.flags = kCaps}.encode());
  capture.add(wire::DoeType::kSpdm, wire::SpdmCapabilities{.flags = kCaps}.encode());
  wire::SpdmAlgorithms algorithms{.base_asym = 0x80, .base_hash = 2};
  algorithms.tables.dhe = 0x10;
  capture.add(wire::DoeType::kSpdm, algorithms.encode());
}

void write_decode(const fs::path& root) {
  for (const wire::SpdmRow& row : wire::spdm_messages()) {
    DoeCapture capture;
    add_negotiation(capture);
    wire::visit_spdm_type(static_cast<std::uint8_t>(row.code), [&]<class Message>() {
      capture.add(wire::DoeType::kSpdm,
                  zeros_as<Message>(wire::kSpdmVersion14, sizes_of(kAllSizes)));
    });
    write_seed(root, "decode", std::string(row.name), capture.take());
  }
  DoeCapture session;
  session.add(wire::DoeType::kDiscovery, wire::DoeDiscoveryRequest{}.encode());
  session.add_secured(wire::SpdmHeartbeat{}.encode());
  const Bytes tdisp = wire::encode_tdisp({{0xbeef}, wire::TdispGetVersion{}});
  session.add_secured(
      wire::VendorDefined{.protocol = wire::Protocol::kTdisp, .message = tdisp}.encode());
  const Bytes query = wire::encode_ide_km(wire::IdeKmQuery{});
  session.add_secured(wire::VendorDefined{.message = query}.encode());
  write_seed(root, "decode", "session", session.take());
}

void write_ide_km(const fs::path& root) {
  wire::IdeRegisters registers;
  registers.links = {{}};
  registers.streams = {{{0, 0}, 0, 0, {{}, {}}}};
  write_seed(root, "ide_km", "QUERY_RESP_with_blocks",
             wire::encode_ide_km(wire::IdeKmQueryResp{0, 0, 0, 0, 0, registers.encode()}));
}

}  // namespace
}  // namespace teeio::fuzz

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: seeds CORPUS_DIRECTORY\n", stderr);
    return 2;
  }
  const std::filesystem::path root = argv[1];
  teeio::fuzz::write_spdm(root);
  teeio::fuzz::write_parts(root);
  teeio::fuzz::write_framing(root);
  teeio::fuzz::write_capture(root);
  teeio::fuzz::write_ide_km(root);
  teeio::fuzz::write_decode(root);
  return 0;
}
