#include "entry/guest_request.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

namespace teeio::entry {
namespace {

using abi::RequestDialect;
using tsm::RequestOp;

template <class T>
Result<T> exactly(ByteView payload, std::string_view why) {
  T value{};
  if (payload.size() != sizeof(T)) return fail(Errno::kInval, why);
  std::ranges::copy(payload, writable_bytes_of(value).begin());
  return value;
}

template <class T>
Bytes bytes_from(const T& value) {
  const ByteView view = bytes_of(value);
  return {view.begin(), view.end()};
}

/// The object that `number` is in v7, as drivers have it.
Result<std::uint32_t> object_of(std::uint32_t number) {
  switch (number) {
    case abi::TSM_OBJECT_V7_VCA:
      return abi::TSM_OBJECT_VCA;
    case abi::TSM_OBJECT_V7_CERTIFICATES:
      return abi::TSM_OBJECT_CERTIFICATES;
    case abi::TSM_OBJECT_V7_MEASUREMENTS:
      return abi::TSM_OBJECT_MEASUREMENTS;
    case abi::TSM_OBJECT_V7_REPORT:
      return abi::TSM_OBJECT_REPORT;
    default:
      return fail(Errno::kInval, "there is no such object");
  }
}

Result<Bytes> read_object(ByteView payload) {
  TEEIO_ASSIGN(const auto read, exactly<abi::tsm_req_read_object_v7>(
                                    payload, "READ_OBJECT takes 16 bytes: object, zero, offset"));
  if (read.reserved != 0) return fail(Errno::kInval, "READ_OBJECT's second word is not zero");
  TEEIO_ASSIGN(const std::uint32_t object, object_of(read.object));
  constexpr std::uint64_t kFarthest = std::numeric_limits<std::uint32_t>::max();
  return bytes_from(abi::tsm_req_read_object{
      .object = object,
      .offset = static_cast<std::uint32_t>(std::min<std::uint64_t>(read.offset, kFarthest))});
}

Result<Bytes> regen_object(ByteView payload, mm::UserMemory& memory) {
  TEEIO_ASSIGN(const auto regen,
               exactly<abi::tsm_req_regen_object_v7>(
                   payload, "REGEN_OBJECT takes 24 bytes: object, zero, flags, nonce's address"));
  if (regen.reserved != 0) return fail(Errno::kInval, "REGEN_OBJECT's second word is not zero");
  if (regen.flags != 0) return fail(Errno::kOpNotSupp, "REGEN_OBJECT has no flags");
  if (regen.object != abi::TSM_OBJECT_V7_MEASUREMENTS)
    return fail(Errno::kInval, "only measurements are made anew");
  Bytes nonce(sizeof(abi::tsm_req_regen_object::nonce));
  TEEIO_TRY(memory.read(regen.nonce_uptr, nonce));
  return nonce;
}

Result<Bytes> set_state(RequestDialect dialect, ByteView payload) {
  TEEIO_ASSIGN(const auto set, exactly<abi::tsm_req_set_tdi_state>(
                                   payload, "SET_TDI_STATE takes 4 bytes: a state"));
  if (set.state > abi::TSM_TDI_RUN) return fail(Errno::kInval, "there is no such TDI state");
  if (dialect == RequestDialect::kV6 && set.state != abi::TSM_TDI_RUN)
    return fail(Errno::kInval, "a guest may only ask for RUN in this profile");
  return bytes_from(set);
}

Result<Bytes> payload_of(RequestDialect dialect, RequestOp op, ByteView payload,
                         mm::UserMemory& memory) {
  if (op == RequestOp::kReadObject) return read_object(payload);
  if (op == RequestOp::kRegenObject) return regen_object(payload, memory);
  if (op == RequestOp::kSetTdiState) return set_state(dialect, payload);
  // What it answers is in no posting that we have seen.
  if (op == RequestOp::kObjectInfo)
    return fail(Errno::kOpNotSupp, "OBJECT_INFO is not modelled in this profile");
  if (op == RequestOp::kValidateMmio)
    TEEIO_TRY(exactly<abi::tsm_req_validate_mmio>(
        payload,
        "VALIDATE_MMIO takes 24 bytes: gpa_base, gpa_top, address; 1 is READ_OBJECT in iommufd-v5 "
        "and teeio"));
  return Bytes(payload.begin(), payload.end());
}

}  // namespace

/// v6 begins where v5 had objects, and v7 adds those behind; what is one vendor's alone
/// keeps its place behind SET_TDI_STATE.
std::optional<RequestOp> request_op(RequestDialect dialect, std::uint64_t op) {
  if (dialect == RequestDialect::kV5) {
    const auto same = static_cast<RequestOp>(op);
    return tsm::known(same) ? std::optional(same) : std::nullopt;
  }
  constexpr auto kFirst = abi::TSM_REQ_V7_VALIDATE_MMIO;
  constexpr auto kFirstObject = abi::TSM_REQ_V7_READ_OBJECT;
  constexpr auto kLast = abi::TSM_REQ_V7_OBJECT_INFO;
  if (op < kFirst || op > kLast) return std::nullopt;
  if (op < kFirstObject)
    return static_cast<RequestOp>(op - kFirst + std::to_underlying(RequestOp::kValidateMmio));
  if (dialect == RequestDialect::kV6) return std::nullopt;
  return static_cast<RequestOp>(op - kFirstObject + std::to_underlying(RequestOp::kReadObject));
}

Result<ReadRequest> read_guest_request(RequestDialect dialect,
                                       const abi::iommu_vdevice_tsm_req& arg, ByteView payload,
                                       mm::UserMemory& memory) {
  ReadRequest read{.op = static_cast<RequestOp>(arg.op),
                   .arch = static_cast<tsm::TvmArch>(arg.tvm_arch),
                   .payload = {payload.begin(), payload.end()},
                   .response_limit = arg.resp_len};
  if (dialect == RequestDialect::kV5) {
    if (read.op == RequestOp::kReadObject && payload.size() == sizeof(abi::tsm_req_validate_mmio))
      return fail(
          Errno::kInval,
          "1 is READ_OBJECT here, with 8 bytes or none; VALIDATE_MMIO is 1 in iommufd-v6 and "
          "iommufd-v7");
    return read;
  }
  const auto op = request_op(dialect, arg.op);
  if (!op) return fail(Errno::kInval, "the profile has no such guest request");
  read.op = *op;
  TEEIO_ASSIGN(read.payload, payload_of(dialect, *op, payload, memory));
  return read;
}

}  // namespace teeio::entry
