#include <fmt/format.h>

#include <utility>

#include "serve/validate/bench.h"

namespace teeio::serve::validate {
namespace {

constexpr std::uint16_t kMaxReport = 0xffff;

}  // namespace

TdiUnderTest::~TdiUnderTest() {
  if (may_be_locked_) (void)stop();
}

TdiUnderTest TdiUnderTest::over(std::uint32_t id) {
  TdiUnderTest other(Session(std::move(session_.link()), id), function_id_);
  other.stream_id = stream_id;
  other.may_be_locked_ = std::exchange(may_be_locked_, false);
  return other;
}

std::expected<wire::TdispBody, std::string> TdiUnderTest::ask(const wire::TdispBody& request) {
  return ask_raw(wire::encode_tdisp({{function_id_}, request}));
}

std::expected<wire::TdispBody, std::string> TdiUnderTest::ask_raw(ByteView request) {
  if (const auto header = wire::TdispHeader::decode(request))
    may_be_locked_ =
        may_be_locked_ || header->type == std::to_underlying(wire::TdispCode::kLockInterface);
  const Reply reply = session_.app(wire::Protocol::kTdisp, request);
  if (!reply.answered()) return std::unexpected(reply.str());
  auto message = wire::decode_tdisp(reply.bytes);
  if (!message) return std::unexpected(std::string(message.error().why));
  if (message->version != wire::kTdispVersion10)
    return std::unexpected(fmt::format("the answer's version is {:#04x}", message->version));
  if (message->function_id.raw != function_id_)
    return std::unexpected(
        fmt::format("the answer is of interface {:#x}", message->function_id.raw));
  return std::move(message->body);
}

std::expected<std::uint32_t, std::string> TdiUnderTest::error_to(const wire::TdispBody& request) {
  const auto body = ask(request);
  if (!body) return std::unexpected(body.error());
  if (const auto* error = std::get_if<wire::TdispErrorResponse>(&*body)) return error->code;
  return std::unexpected(
      fmt::format("{} came", wire::tdisp_name(static_cast<std::uint8_t>(wire::code_of(*body)))));
}

namespace {

/// `body` as a `Body`, or a sentence of what it is.
template <class Body>
std::expected<Body, std::string> as(std::expected<wire::TdispBody, std::string> body) {
  if (!body) return std::unexpected(body.error());
  if (auto* wanted = std::get_if<Body>(&*body)) return std::move(*wanted);
  if (const auto* error = std::get_if<wire::TdispErrorResponse>(&*body))
    return std::unexpected(fmt::format("TDISP_ERROR {}", wire::tdisp_error_name(error->code)));
  return std::unexpected(
      fmt::format("{} came", wire::tdisp_name(static_cast<std::uint8_t>(wire::code_of(*body)))));
}

}  // namespace

std::expected<wire::TdiState, std::string> TdiUnderTest::state() {
  const auto answer = as<wire::TdispInterfaceState>(ask(wire::TdispGetInterfaceState{}));
  if (!answer) return std::unexpected("GET_DEVICE_INTERFACE_STATE: " + answer.error());
  return answer->state;
}

std::expected<wire::TdispNonce, std::string> TdiUnderTest::lock(std::uint16_t flags) {
  const auto answer = as<wire::TdispLockInterfaceResponse>(
      ask(wire::TdispLockInterface{.flags = flags, .default_stream_id = stream_id}));
  if (!answer) return std::unexpected("LOCK_INTERFACE: " + answer.error());
  return answer->nonce;
}

std::expected<void, std::string> TdiUnderTest::start(const wire::TdispNonce& nonce) {
  const auto answer = as<wire::TdispStartInterfaceResponse>(ask(wire::TdispStartInterface{nonce}));
  if (!answer) return std::unexpected("START_INTERFACE: " + answer.error());
  return {};
}

std::expected<void, std::string> TdiUnderTest::stop() {
  const auto answer = as<wire::TdispStopInterfaceResponse>(ask(wire::TdispStopInterface{}));
  if (!answer) return std::unexpected("STOP_INTERFACE: " + answer.error());
  may_be_locked_ = false;
  return {};
}

std::expected<std::uint16_t, std::string> TdiUnderTest::lock_flags() {
  const auto answer = as<wire::TdispCapabilities>(ask(wire::TdispGetCapabilities{}));
  if (!answer) return std::unexpected("GET_TDISP_CAPABILITIES: " + answer.error());
  return answer->lock_flags;
}

std::expected<Bytes, std::string> TdiUnderTest::report(std::uint16_t portion) {
  Bytes whole;
  for (std::uint32_t remainder = 1; remainder != 0;) {
    if (whole.size() + portion > kMaxReport) return std::unexpected("the report has no end");
    const auto answer = as<wire::TdispInterfaceReportPortion>(ask(wire::TdispGetInterfaceReport{
        .offset = static_cast<std::uint16_t>(whole.size()), .length = portion}));
    if (!answer) return std::unexpected("GET_DEVICE_INTERFACE_REPORT: " + answer.error());
    if (answer->portion.empty() || answer->portion.size() > portion)
      return std::unexpected(
          fmt::format("a portion of {} bytes came for {} wanted", answer->portion.size(), portion));
    whole.insert(whole.end(), answer->portion.begin(), answer->portion.end());
    remainder = answer->remainder;
  }
  return whole;
}

}  // namespace teeio::serve::validate
