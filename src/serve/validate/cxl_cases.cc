// What a CXL memory device answers beside PCIe's protocols: CXL's IDE_KM. Messages and numbers:
// libspdm include/industry_standard/cxl_idekm.h; cases: intel/tee-io-validator
// doc/cxl_ide_test/CxlIdeKmTestCase.
#include <fmt/format.h>

#include <array>
#include <iterator>
#include <utility>
#include <vector>

#include "serve/validate/cxl.h"

namespace teeio::serve::validate {
namespace {

namespace ide_km = wire::cxl::ide_km;
using ide_km::kDefaultIv;
using ide_km::kRx;
using ide_km::kTx;
using ide_km::Object;
using wire::cxl::byte_at;
using wire::cxl::Protocol;

/// A message that names a key.
struct KeyMessage {
  Object object = Object::kKeyProg;
  std::uint8_t stream = 0;
  std::uint8_t key = kRx | kDefaultIv | ide_km::kSubStream;
  std::uint8_t port = 0;

  [[nodiscard]] Bytes encode(ByteView rest = {}) const {
    return Writer()
        .le(std::to_underlying(object))
        .zeros(2)
        .le(stream)
        .zeros(1)
        .le(key)
        .le(port)
        .bytes(rest)
        .take();
  }
};

Bytes some_key(std::byte filler = std::byte{0x5a}) {
  return Bytes(ide_km::kKeyBytes + ide_km::kIvBytes, filler);
}

struct Query {
  std::uint8_t max_port = 0;
  std::uint8_t caps = 0;
};

std::expected<Query, Verdict> query(Session& session, std::uint8_t port) {
  const Bytes request = Writer().le(std::to_underlying(Object::kQuery)).zeros(1).le(port).take();
  auto answer = ask_cxl(session, Protocol::kIdeKm, request);
  if (!answer) return std::unexpected(std::move(answer.error()));
  if (byte_at(*answer, 0) != std::to_underlying(Object::kQueryResp))
    return std::unexpected(failed(fmt::format("object {} came", byte_at(*answer, 0))));
  if (answer->size() < ide_km::kQueryRespBytes)
    return std::unexpected(failed(fmt::format("QUERY_RESP has {} bytes", answer->size())));
  if (byte_at(*answer, 2) != port)
    return std::unexpected(failed(fmt::format("the answer is of port {}", byte_at(*answer, 2))));
  const Query found{byte_at(*answer, 6), byte_at(*answer, 7)};
  if ((found.caps & ide_km::kVersionMask) != 1)
    return std::unexpected(
        failed(fmt::format("CXL_IDE_Capability_Version is {}", found.caps & ide_km::kVersionMask)));
  if (found.max_port < port)
    return std::unexpected(failed(fmt::format("MaxPortIndex is {}", found.max_port)));
  return found;
}

/// The answer to a message that names a key: of that object, and of that key.
std::expected<Bytes, Verdict> ask_key(Session& session, const KeyMessage& message, ByteView rest,
                                      Object wanted) {
  auto answer = ask_cxl(session, Protocol::kIdeKm, message.encode(rest));
  if (!answer) return answer;
  const std::string what =
      fmt::format("object {} of stream {}, key {:#04x}, port {}",
                  std::to_underlying(message.object), message.stream, message.key, message.port);
  if (byte_at(*answer, 0) != std::to_underlying(wanted))
    return std::unexpected(failed(fmt::format("{}: object {} came", what, byte_at(*answer, 0))));
  constexpr std::uint8_t kNames = kTx | 0xf0;  // direction and sub-stream
  if (answer->size() < ide_km::kKeyMessageBytes || byte_at(*answer, 3) != message.stream ||
      (byte_at(*answer, 5) & kNames) != (message.key & kNames) ||
      byte_at(*answer, 6) != message.port)
    return std::unexpected(failed(fmt::format("{}: the answer is of another key", what)));
  return answer;
}

/// KEY_PROG gets KP_ACK with `status`.
Verdict gets_status(Session& session, const KeyMessage& message, ByteView key,
                    std::uint8_t status) {
  TEEIO_CASE_ASSIGN(const Bytes ack, ask_key(session, message, key, Object::kKpAck));
  TEEIO_CASE(byte_at(ack, 4) == status,
             "KEY_PROG of stream {}, key {:#04x}, port {}, {} bytes of key and IV: status {} came, "
             "not {}",
             message.stream, message.key, message.port, key.size(), byte_at(ack, 4), status);
  return passed();
}

/// A session of a device that knows CXL, and in which no key waits: what an earlier case left
/// goes and stops. What is said to that is nobody's matter.
struct Ready {
  Session session;
  Query query;
};
std::expected<Ready, Verdict> ready(Bench& bench) {
  auto session = bench.session();
  if (!session) return std::unexpected(std::move(session.error()));
  const auto found = query(*session, 0);
  if (!found) return std::unexpected(found.error());
  for (const Object object : {Object::kSetGo, Object::kSetStop})
    for (const std::uint8_t direction : {kRx, kTx})
      (void)ask_cxl(*session, Protocol::kIdeKm,
                    KeyMessage{object, 0, static_cast<std::uint8_t>(direction | ide_km::kSubStream)}
                        .encode());
  return Ready{std::move(*session), *found};
}

constexpr std::array kDirections = {std::uint8_t{kRx | kDefaultIv | ide_km::kSubStream},
                                    std::uint8_t{kTx | kDefaultIv | ide_km::kSubStream}};

/// Both directions' keys wait.
Verdict program_both(Session& session) {
  for (const std::uint8_t key : kDirections) {
    Verdict verdict = gets_status(session, {.key = key}, some_key(), 0);
    if (verdict.kind != Verdict::Kind::kPass) return verdict;
  }
  return passed();
}

/// K_SET_GO or K_SET_STOP of both directions is acknowledged.
Verdict switch_both(Session& session, Object object) {
  for (const std::uint8_t direction : {kRx, kTx}) {
    const auto key = static_cast<std::uint8_t>(direction | ide_km::kSubStream);
    TEEIO_CASE_ASSIGN(const Bytes ack,
                      ask_key(session, {.object = object, .key = key}, {}, Object::kGoStopAck));
    TEEIO_CASE(ack.size() >= ide_km::kKeyMessageBytes, "K_GOSTOP_ACK has {} bytes", ack.size());
  }
  return passed();
}

/// KEY_PROG of each of `messages` gets status 1.
Verdict all_refused(Session& session, const std::vector<KeyMessage>& messages) {
  for (const KeyMessage& message : messages) {
    Verdict verdict = gets_status(session, message, some_key(), 1);
    if (verdict.kind != Verdict::Kind::kPass) return verdict;
  }
  return passed();
}

Verdict ide_query(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  TEEIO_CASE_ASSIGN(const Query found, query(session, 0));
  (void)found;
  return passed();
}

Verdict ide_query_ports(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  TEEIO_CASE_ASSIGN(const Query first, query(session, 0));
  if (first.max_port == 0) return skipped("the device has one port");
  for (unsigned port = 1; port <= first.max_port; ++port) {
    TEEIO_CASE_ASSIGN(const Query found, query(session, static_cast<std::uint8_t>(port)));
    TEEIO_CASE(found.max_port == first.max_port, "port {} says that {} is the last", port,
               found.max_port);
  }
  return passed();
}

Verdict prog(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready at, ready(bench));
  Verdict verdict = program_both(at.session);
  (void)switch_both(at.session, Object::kSetGo);  // nothing waits for the next case
  return verdict;
}

Verdict prog_length(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready at, ready(bench));
  const Bytes key = some_key();
  for (std::size_t bytes = 1; bytes < key.size(); bytes += 4) {
    Verdict verdict = gets_status(at.session, {}, ByteView(key).first(bytes), 1);
    if (verdict.kind != Verdict::Kind::kPass) return verdict;
  }
  return passed();
}

Verdict prog_too_long(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready at, ready(bench));
  const Bytes key(ide_km::kKeyBytes + ide_km::kIvBytes + 4, std::byte{0x5a});
  return gets_status(at.session, {}, key, ide_km::kInvalid);
}

Verdict prog_port(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready at, ready(bench));
  if (at.query.max_port == 0xff) return skipped("every port index exists");
  const auto next = static_cast<std::uint8_t>(at.query.max_port + 1);
  return all_refused(at.session, {{.port = next}, {.port = 0xff}});
}

Verdict prog_stream(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready at, ready(bench));
  return all_refused(at.session, {{.stream = 1}, {.stream = 0x80}, {.stream = 0xff}});
}

Verdict prog_sub_stream(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready at, ready(bench));
  std::vector<KeyMessage> messages;
  for (unsigned sub = 0; sub < 16; ++sub)
    if (sub << 4U != ide_km::kSubStream)
      messages.push_back({.key = static_cast<std::uint8_t>(sub << 4U | kDefaultIv)});
  return all_refused(at.session, messages);
}

Verdict prog_pending(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready at, ready(bench));
  Verdict verdict = program_both(at.session);
  if (verdict.kind != Verdict::Kind::kPass) return verdict;
  for (const std::uint8_t key : kDirections)
    if (verdict.kind == Verdict::Kind::kPass)
      verdict = gets_status(at.session, {.key = key}, some_key(), 1);
  (void)switch_both(at.session, Object::kSetGo);
  return verdict;
}

/// GETKEY_ACK's key and IV.
std::expected<Bytes, Verdict> generated(Session& session) {
  auto answer = ask_key(session, {.object = Object::kGetKey, .key = kTx | ide_km::kSubStream}, {},
                        Object::kGetKeyAck);
  if (!answer) return answer;
  if (answer->size() != ide_km::kKeyMessageBytes + ide_km::kKeyBytes + ide_km::kIvBytes)
    return std::unexpected(failed(fmt::format("GETKEY_ACK has {} bytes", answer->size())));
  return Bytes(answer->begin() + ide_km::kKeyMessageBytes, answer->end());
}

/// KEY_PROG with what GETKEY gave, a byte of it changed.
Verdict prog_other_than_generated(Bench& bench, std::uint8_t capability, std::size_t changed,
                                  std::uint8_t iv) {
  TEEIO_CASE_ASSIGN(Ready at, ready(bench));
  if ((at.query.caps & capability) == 0)
    return skipped("the device makes no such values itself (CAPS of QUERY_RESP)");
  TEEIO_CASE_ASSIGN(Bytes key, generated(at.session));
  key.at(changed) ^= std::byte{1};
  const auto what = static_cast<std::uint8_t>(kTx | ide_km::kSubStream | iv);
  return gets_status(at.session, {.key = what}, key, 1);
}
Verdict prog_other_key(Bench& bench) {
  return prog_other_than_generated(bench, ide_km::kKeyGeneration, 0, kDefaultIv);
}
Verdict prog_other_iv(Bench& bench) {
  return prog_other_than_generated(bench, ide_km::kIvGeneration, ide_km::kKeyBytes, 0);
}

Verdict prog_initial_iv(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready at, ready(bench));
  if ((at.query.caps & ide_km::kIvGeneration) != 0) return skipped("the device makes IVs itself");
  return all_refused(at.session,
                     {{.key = kRx | ide_km::kSubStream}, {.key = kTx | ide_km::kSubStream}});
}

Verdict go(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready at, ready(bench));
  Verdict verdict = program_both(at.session);
  if (verdict.kind != Verdict::Kind::kPass) return verdict;
  return switch_both(at.session, Object::kSetGo);
}

/// The pending slot is free again when its key goes.
Verdict go_frees(Bench& bench) {
  for (int round = 0; round < 2; ++round)
    if (Verdict verdict = go(bench); verdict.kind != Verdict::Kind::kPass) return verdict;
  return passed();
}

Verdict stop(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready at, ready(bench));
  if ((at.query.caps & ide_km::kStops) == 0)
    return skipped("K_SET_STOP is not among its capabilities");
  Verdict verdict = program_both(at.session);
  if (verdict.kind == Verdict::Kind::kPass) verdict = switch_both(at.session, Object::kSetGo);
  if (verdict.kind == Verdict::Kind::kPass) verdict = switch_both(at.session, Object::kSetStop);
  return verdict;
}

Verdict get_key(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready at, ready(bench));
  if ((at.query.caps & (ide_km::kIvGeneration | ide_km::kKeyGeneration)) == 0)
    return skipped("the device makes neither keys nor IVs itself");
  TEEIO_CASE_ASSIGN(const Bytes key, generated(at.session));
  (void)key;
  return passed();
}

constexpr Case kCxlIdeCases[] = {
    {"ide_km.query", "QUERY of port 0 gets QUERY_RESP of port 0",
     "CXL 3.1, CXL_IDE_KM; tee-io-validator 1.1", ide_query},
    {"ide_km.query.ports", "QUERY of each other port is answered",
     "CXL 3.1, CXL_IDE_KM; tee-io-validator 1.2", ide_query_ports},
    {"ide_km.prog", "KEY_PROG of both directions gets KP_ACK with status 0",
     "CXL 3.1, CXL_IDE_KM; tee-io-validator 2.1", prog},
    {"ide_km.prog.length", "KEY_PROG that is too short gets status 1",
     "CXL 3.1, CXL_IDE_KM; tee-io-validator 2.2", prog_length},
    {"ide_km.prog.long", "KEY_PROG that is too long gets status 1", "CXL 3.1, CXL_IDE_KM",
     prog_too_long},
    {"ide_km.prog.port", "KEY_PROG of a port that does not exist gets status 1",
     "CXL 3.1, CXL_IDE_KM; tee-io-validator 2.3", prog_port},
    {"ide_km.prog.stream", "KEY_PROG of another stream than 0 gets status 1",
     "CXL 3.1, CXL_IDE_KM; tee-io-validator 2.4", prog_stream},
    {"ide_km.prog.substream", "KEY_PROG of another sub-stream than CXL's gets status 1",
     "CXL 3.1, CXL_IDE_KM; tee-io-validator 2.5", prog_sub_stream},
    {"ide_km.prog.pending", "KEY_PROG while a key waits gets status 1",
     "CXL 3.1, CXL_IDE_KM; tee-io-validator 2.6", prog_pending},
    {"ide_km.prog.key", "KEY_PROG with another key than GETKEY gave gets status 1",
     "CXL 3.1, CXL_IDE_KM; tee-io-validator 2.7", prog_other_key},
    {"ide_km.prog.iv", "KEY_PROG with another IV than GETKEY gave gets status 1",
     "CXL 3.1, CXL_IDE_KM; tee-io-validator 2.8", prog_other_iv},
    {"ide_km.prog.initial",
     "KEY_PROG with an initial IV gets status 1 where the device makes no IVs",
     "CXL 3.1, CXL_IDE_KM; tee-io-validator 2.9", prog_initial_iv},
    {"ide_km.go", "K_SET_GO of both directions is acknowledged",
     "CXL 3.1, CXL_IDE_KM; tee-io-validator 3.1", go},
    {"ide_km.go.again", "After K_SET_GO the next key can be programmed", "CXL 3.1, CXL_IDE_KM",
     go_frees},
    {"ide_km.stop", "K_SET_STOP of both directions is acknowledged",
     "CXL 3.1, CXL_IDE_KM; tee-io-validator 4.1", stop},
    {"ide_km.get_key", "GETKEY gets a key and an IV, where the device makes them",
     "CXL 3.1, CXL_IDE_KM; tee-io-validator 5.1", get_key},
};

std::vector<Case> all_cxl() {
  std::vector<Case> all(std::begin(kCxlIdeCases), std::end(kCxlIdeCases));
  const auto more = cxl_tsp_cases();
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace

Reply cxl_reply(Session& session, Protocol protocol, ByteView message) {
  static constexpr std::array kCxl{std::byte{wire::cxl::kVendorId & 0xff},
                                   std::byte{wire::cxl::kVendorId >> 8U}};
  const Bytes payload = Writer().le(std::to_underlying(protocol)).bytes(message).take();
  session.link().requester().send_app(session.id(), wire::VendorDefined::kPciSigStandardId, kCxl,
                                      payload);
  Reply reply = session.link().run();
  if (!reply.answered()) return reply;
  const ByteView answer = session.link().requester().app_answer();
  if (answer.size() < 2 || answer.front() != std::byte{std::to_underlying(protocol)}) {
    reply.kind = Reply::Kind::kRefused;
    reply.why = "the answer is of another protocol";
    return reply;
  }
  reply.bytes.assign(answer.begin() + 1, answer.end());
  return reply;
}

std::expected<Bytes, Verdict> ask_cxl(Session& session, Protocol protocol, ByteView message) {
  Reply reply = cxl_reply(session, protocol, message);
  if (reply.is_error(wire::SpdmErrorCode::kUnsupportedRequest))
    return std::unexpected(skipped("the device knows no messages of CXL's"));
  if (!reply.answered()) return std::unexpected(failed(reply.str() + " came"));
  return std::move(reply.bytes);
}

std::span<const Case> cxl_cases() {
  static const std::vector<Case> all = all_cxl();
  return all;
}

}  // namespace teeio::serve::validate
