// What a guest asks of its device through the host: the operations of IOMMU_VDEVICE_TSM_REQ.

#include "abi/iommufd.h"
#include "abi/proposed.h"
#include "explore/scenario/text_calls.h"

namespace teeio::explore {
namespace {

using Kind = CallParameter::Kind;
using Answer = teeio::Result<std::int64_t>;

constexpr std::uint64_t kMostOfU32 = 0xffff'ffff;

/// With room for an answer of a page.
Answer ask(const CallContext& c, std::uint32_t op, ByteView payload) {
  abi::iommu_vdevice_tsm_req arg{};
  arg.size = sizeof(arg);
  arg.vdevice_id = static_cast<std::uint32_t>(c.values[0]);
  arg.op = op;
  arg.tvm_arch = c.vendor.request_arch;
  arg.req_len = static_cast<std::uint32_t>(payload.size());
  arg.req_uptr = c.program.store(payload);
  arg.resp_len = kPageSize;
  arg.resp_uptr = c.program.memory().map(kPageSize);
  return c.program.ioctl(c.target, IOMMU_VDEVICE_TSM_REQ, arg);
}

Answer read_object(const CallContext& c) {
  const abi::tsm_req_read_object what{.object = static_cast<std::uint32_t>(c.values[1]),
                                      .offset = static_cast<std::uint32_t>(c.values[2])};
  return ask(c, abi::TSM_REQ_READ_OBJECT, bytes_of(what));
}
Answer regen_object(const CallContext& c) {
  abi::tsm_req_regen_object what{};
  what.nonce[0] = static_cast<std::uint8_t>(c.values[1]);
  return ask(c, abi::TSM_REQ_REGEN_OBJECT, bytes_of(what));
}
Answer object_info(const CallContext& c) {
  return ask(c, abi::TSM_REQ_OBJECT_INFO, bytes_of(std::uint32_t{0}));
}
Answer validate_mmio(const CallContext& c) {
  const abi::tsm_req_validate_mmio what{
      .gpa_base = c.values[1], .gpa_top = c.values[1] + c.values[2], .address = c.values[3]};
  return ask(c, abi::TSM_REQ_VALIDATE_MMIO, bytes_of(what));
}

constexpr CallWord kObjects[] = {{"report", abi::TSM_OBJECT_REPORT},
                                 {"evidence", abi::TSM_OBJECT_EVIDENCE},
                                 {"certificates", abi::TSM_OBJECT_CERTIFICATES},
                                 {"measurements", abi::TSM_OBJECT_MEASUREMENTS},
                                 {"vca", abi::TSM_OBJECT_VCA}};
constexpr CallParameter kRead[] = {
    {.key = "vdevice", .kind = Kind::kId},
    {.key = "object", .kind = Kind::kWord, .fallback = abi::TSM_OBJECT_REPORT, .words = kObjects},
    {.key = "offset", .fallback = 0, .most = kMostOfU32}};
constexpr CallParameter kRegen[] = {{.key = "vdevice", .kind = Kind::kId},
                                    {.key = "nonce", .fallback = 0, .most = 0xff}};
constexpr CallParameter kInfo[] = {{.key = "vdevice", .kind = Kind::kId}};
constexpr CallParameter kValidate[] = {{.key = "vdevice", .kind = Kind::kId},
                                       {.key = "gpa"},
                                       {.key = "size", .fallback = kPageSize},
                                       {.key = "address"}};

constexpr auto kNothing = CallRow::Result::kNothing;

constexpr CallRow kRows[] = {
    {"TSM_REQ_READ_OBJECT", true, 0, kNothing, kRead, read_object},
    {"TSM_REQ_REGEN_OBJECT", true, 0, kNothing, kRegen, regen_object},
    {"TSM_REQ_OBJECT_INFO", true, 0, kNothing, kInfo, object_info},
    {"TSM_REQ_VALIDATE_MMIO", true, 0, kNothing, kValidate, validate_mmio},
};

}  // namespace

std::span<const CallRow> request_call_rows() { return kRows; }

}  // namespace teeio::explore
