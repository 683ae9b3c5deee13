#include "abi/iommufd.h"
#include "abi/proposed.h"
#include "entry/copy.h"
#include "entry/guest_request.h"
#include "entry/iommufd_handlers.h"

// The TSM's calls on a vDEVICE, from the list proposals that
// abi/linux/teeio_proposed.h names.

namespace teeio::entry {
namespace {

/// A guest request's payload is a few structures; more than this is a mistake.
constexpr std::uint32_t kMaxRequestBytes = 1U << 20U;

Result<Bytes> read_payload(Call& call, std::uint64_t address, std::uint32_t length) {
  if (length > kMaxRequestBytes) return fail(Errno::kTooBig, "the guest request is too large");
  Bytes payload(length);
  if (length != 0) TEEIO_TRY(call.memory().read(address, payload));
  return payload;
}

/// What of `answer` fits into `room` bytes of the program's; how many those were.
Result<std::uint32_t> give(Call& call, std::uint64_t address, std::uint32_t room, ByteView answer) {
  const std::size_t copied = std::min<std::size_t>(answer.size(), room);
  if (copied != 0) TEEIO_TRY(call.memory().write(address, answer.first(copied)));
  return static_cast<std::uint32_t>(copied);
}

/// A structure of `size` bytes is what another profile has at this number.
Result<void> check_profile(Call& call, std::uint32_t other_size, std::string_view why) {
  TEEIO_ASSIGN(const auto size, copy_in<std::uint32_t>(call.memory(), call.argument));
  if (size == other_size) return fail(Errno::kInval, why);
  return {};
}

}  // namespace

Result<std::int64_t> ioctl_vdevice_tsm_op(Call& call) {
  using Arg = abi::iommu_vdevice_tsm_op;
  TEEIO_TRY(check_profile(call, sizeof(abi::iommu_vdevice_tsm_req),
                          "this is IOMMU_VDEVICE_TSM_REQ as iommufd-v5 and iommufd-v7 number it: "
                          "say abi = \"iommufd-v7\" in the machine file"));
  TEEIO_ASSIGN(const Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  TEEIO_TRY(call.host.iommufd.admit(iommufd::Door::kIommufd));
  TEEIO_TRY(context(call).vdevice_tsm_op(arg.vdevice_id, arg.type, arg.flags));
  return 0;
}

Result<std::int64_t> ioctl_vdevice_tsm_req(Call& call) {
  using Arg = abi::iommu_vdevice_tsm_req;
  TEEIO_TRY(check_profile(call, sizeof(abi::iommu_vdevice_tsm_op),
                          "this is IOMMU_VDEVICE_TSM_OP of another profile: iommufd-v7 binds with "
                          "the vDEVICE; say abi = \"teeio\" in the machine file"));
  TEEIO_ASSIGN(Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  TEEIO_ASSIGN(const Bytes payload, read_payload(call, arg.req_uptr, arg.req_len));
  const abi::RequestDialect dialect = abi::proposed_abi(call.host.profile).dialect;
  const auto read = read_guest_request(dialect, arg, payload, call.memory());
  const tsm::GuestOutcome outcome =
      read ? context(call).vdevice_tsm_request(arg.vdevice_id, read->request())
           : tsm::GuestOutcome(std::unexpected(read.error()));
  arg.tsm_code = outcome.tsm_code;
  std::size_t residue = 0;
  if (outcome.payload) {
    const std::uint32_t room = arg.resp_len;
    TEEIO_ASSIGN(arg.resp_len, give(call, arg.resp_uptr, room, *outcome.payload));
    residue = (dialect == abi::RequestDialect::kV5 ? outcome.payload->size() : room) - arg.resp_len;
  }
  // The firmware's code goes back whether or not the request worked.
  TEEIO_TRY(copy_struct_out(call.memory(), call.argument, arg, arg.size));
  if (!outcome.payload) return std::unexpected(outcome.payload.error());
  return static_cast<std::int64_t>(residue);
}

Result<std::int64_t> ioctl_vdevice_tsm_guest_request(Call& call) {
  using Arg = abi::iommu_vdevice_tsm_guest_request;
  TEEIO_ASSIGN(Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  TEEIO_ASSIGN(const Bytes payload, read_payload(call, arg.req_uptr, arg.req_len));
  // RFC 21/30 and 22/30: `type` names the architecture, the payload the operation.
  Reader in(payload);
  const std::uint32_t op = in.le<std::uint32_t>();
  if (!in.ok()) return fail(Errno::kInval, "the guest request is empty");
  const tsm::GuestRequest request{.op = static_cast<tsm::RequestOp>(op),
                                  .arch = static_cast<tsm::TvmArch>(arg.type),
                                  .payload = in.rest(),
                                  .response_limit = arg.resp_len};
  // The RFC has no field for the firmware's code.
  const auto answer = context(call).vdevice_tsm_request(arg.vdevice_id, request).payload;
  if (!answer) {
    // The RFC's answer for a device that is not bound.
    if (answer.error().code == Errno::kNxio) return fail(Errno::kNoEnt, answer.error().why);
    return std::unexpected(answer.error());
  }
  TEEIO_ASSIGN(arg.resp_len, give(call, arg.resp_uptr, arg.resp_len, *answer));
  TEEIO_TRY(copy_struct_out(call.memory(), call.argument, arg, arg.size));
  return 0;
}

}  // namespace teeio::entry
