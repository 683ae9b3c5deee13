#include "wire/ide_km.h"

#include <utility>

#include "base/check.h"

namespace teeio::wire {
namespace {

/// The reader stands behind the object id in every function below.
IdeKmQuery read_query(Reader& r) {
  r.skip(1);
  return {r.le<std::uint8_t>()};
}

Result<IdeKmMessage> read_query_resp(Reader& r) {
  r.skip(1);
  IdeKmQueryResp m;
  m.port_index = r.le<std::uint8_t>();
  m.dev_func = r.le<std::uint8_t>();
  m.bus = r.le<std::uint8_t>();
  m.segment = r.le<std::uint8_t>();
  m.max_port_index = r.le<std::uint8_t>();
  if (r.rest().size() % 4 != 0) return fail(Errno::kInval, "QUERY_RESP holds a broken DWORD");
  if (r.rest().size() / 4 > IdeKmQueryResp::kMaxRegisters)
    return fail(Errno::kTooBig, "QUERY_RESP holds more registers than config space has");
  while (!r.rest().empty()) m.registers.push_back(r.le<std::uint32_t>());
  return m;
}

IdeKmKeyProg read_key_prog(Reader& r) {
  r.skip(2);
  IdeKmKeyProg m;
  m.stream_id = r.le<std::uint8_t>();
  r.skip(1);
  m.selector.raw = r.le<std::uint8_t>();
  m.port_index = r.le<std::uint8_t>();
  if (r.rest().size() != IdeKey::kSize) return m;
  m.key.emplace();
  std::ranges::copy(r.take(m.key->key.size()), m.key->key.begin());
  const std::uint64_t high = r.le<std::uint32_t>();
  m.key->ifv = high << 32U | r.le<std::uint32_t>();
  return m;
}

IdeKmKpAck read_kp_ack(Reader& r) {
  r.skip(2);
  IdeKmKpAck m;
  m.stream_id = r.le<std::uint8_t>();
  m.status = r.le<std::uint8_t>();
  m.selector.raw = r.le<std::uint8_t>();
  m.port_index = r.le<std::uint8_t>();
  return m;
}

template <class KeySet>
KeySet read_key_set(Reader& r) {
  r.skip(2);
  KeySet m;
  m.stream_id = r.le<std::uint8_t>();
  r.skip(1);
  m.selector.raw = r.le<std::uint8_t>();
  m.port_index = r.le<std::uint8_t>();
  return m;
}

Result<IdeKmMessage> read_body(IdeKmObject object, Reader& r) {
  switch (object) {
    case IdeKmObject::kQuery:
      return read_query(r);
    case IdeKmObject::kQueryResp:
      return read_query_resp(r);
    case IdeKmObject::kKeyProg:
      return read_key_prog(r);
    case IdeKmObject::kKpAck:
      return read_kp_ack(r);
    case IdeKmObject::kKSetGo:
      return read_key_set<IdeKmKSetGo>(r);
    case IdeKmObject::kKSetStop:
      return read_key_set<IdeKmKSetStop>(r);
    case IdeKmObject::kKGoStopAck:
      return read_key_set<IdeKmKGoStopAck>(r);
  }
  std::unreachable();
}

void write(Writer& w, const IdeKmQuery& m) { w.zeros(1).le(m.port_index); }

void write(Writer& w, const IdeKmQueryResp& m) {
  TEEIO_CHECK(m.registers.size() <= IdeKmQueryResp::kMaxRegisters, "QUERY_RESP is too long");
  w.zeros(1).le(m.port_index).le(m.dev_func).le(m.bus).le(m.segment).le(m.max_port_index);
  for (const std::uint32_t value : m.registers) w.le(value);
}

void write(Writer& w, const IdeKmKeyProg& m) {
  TEEIO_CHECK(m.key.has_value(), "KEY_PROG without a key");
  w.zeros(2).le(m.stream_id).zeros(1).le(m.selector.raw).le(m.port_index);
  w.bytes(m.key->key);
  w.le(static_cast<std::uint32_t>(m.key->ifv >> 32U)).le(static_cast<std::uint32_t>(m.key->ifv));
}

void write(Writer& w, const IdeKmKpAck& m) {
  w.zeros(2).le(m.stream_id).le(m.status).le(m.selector.raw).le(m.port_index);
}

template <IdeKmObject Object>
void write(Writer& w, const IdeKmKeySet<Object>& m) {
  w.zeros(2).le(m.stream_id).zeros(1).le(m.selector.raw).le(m.port_index);
}

constexpr bool table_is_in_order() {
  for (std::size_t i = 0; i < kIdeKmMessages.size(); ++i)
    if (std::to_underlying(kIdeKmMessages[i].object) != i) return false;
  return kIdeKmMessages.size() == std::variant_size_v<IdeKmMessage>;
}
static_assert(table_is_in_order(), "names and variants are found by object id");

}  // namespace

std::string_view ide_km_name(std::uint8_t object) {
  return object < kIdeKmMessages.size() ? kIdeKmMessages[object].name : "IDE_KM_UNKNOWN";
}

std::string_view kp_ack_why(std::uint8_t status) {
  switch (KpAckStatus{status}) {
    case KpAckStatus::kSuccess:
      return "success";
    case KpAckStatus::kIncorrectLength:
      return "incorrect length";
    case KpAckStatus::kUnsupportedPort:
      return "unsupported port index";
    case KpAckStatus::kUnsupportedValue:
      return "unsupported value in another field";
    case KpAckStatus::kUnspecifiedFailure:
      return "unspecified failure";
  }
  return "unknown status";
}

IdeKmObject object_of(const IdeKmMessage& message) {
  return IdeKmObject{static_cast<std::uint8_t>(message.index())};
}

Result<IdeKmMessage> decode_ide_km(ByteView in) {
  Reader r(in);
  const auto object = r.le<std::uint8_t>();
  if (!r.ok()) return fail(Errno::kInval, "IDE_KM message is empty");
  if (object >= kIdeKmMessages.size()) return fail(Errno::kOpNotSupp, "IDE_KM object is unknown");
  auto message = read_body(IdeKmObject{object}, r);
  if (!r.ok()) return fail(Errno::kInval, "IDE_KM message is short");
  return message;
}

Bytes encode_ide_km(const IdeKmMessage& message) {
  Writer w;
  w.le(std::to_underlying(object_of(message)));
  std::visit([&w](const auto& m) { write(w, m); }, message);
  return w.take();
}

}  // namespace teeio::wire
