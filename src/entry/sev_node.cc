#include <algorithm>

#include "abi/psp_sev.h"
#include "entry/copy.h"
#include "entry/vendor_nodes.h"
#include "host/kvm/sev/psp_host.h"

// /dev/sev: sev_ioctl() of Linux drivers/crypto/ccp/sev-dev.c. SEV and SEV-ES are never
// initialised here: what needs them ends as where the firmware refuses SEV_INIT.

namespace teeio::entry {
namespace {

using sev::Status;

class SevNode final : public VendorNode {
 public:
  explicit SevNode(kvm::PspHost& psp) : psp_(psp) {}
  [[nodiscard]] std::string_view name() const override { return "sev"; }
  [[nodiscard]] kvm::PspHost& psp() { return psp_; }

 private:
  kvm::PspHost& psp_;
};

/// A SEV_ISSUE_CMD on its way.
struct Issue {
  mm::UserMemory& memory;
  kvm::PspHost& psp;
  std::uint64_t data;
  bool writable;
  kvm::PspHost::Answer answer{};
};

constexpr std::uint32_t kBlobMax = 0x4000;        ///< bytes: SEV_FW_BLOB_MAX_SIZE
constexpr std::uint32_t kKmallocMax = 0x40'0000;  ///< bytes: KMALLOC_MAX_SIZE of x86

Result<void> needs_writer(const Issue& issue) {
  if (issue.writable) return {};
  return fail(Errno::kPerm, "/dev/sev is not open for writing");
}

Result<void> needs_snp(const Issue& issue) {
  if (!issue.psp.snp_initialised()) return fail(Errno::kInval, "SNP is not initialised");
  if (issue.data == 0) return fail(Errno::kInval, "the command has no data");
  return {};
}

/// A command of SEV's, which the firmware does not have.
Result<void> of_sev(Issue& issue) {
  constexpr std::uint16_t kSevInit = 0x001;
  return issue.psp.command(kSevInit, {}, issue.answer);
}

/// sev_ioctl_do_reset(), sev_ioctl_do_pek_pdh_gen().
Result<void> generate(Issue& issue) {
  TEEIO_TRY(needs_writer(issue));
  return of_sev(issue);
}

Result<void> pek_csr(Issue& issue) {
  TEEIO_TRY(needs_writer(issue));
  TEEIO_ASSIGN(const auto in, copy_in<abi::sev_user_data_pek_csr>(issue.memory, issue.data));
  if (in.address != 0 && in.length > kBlobMax)
    return fail(Errno::kFault, "no blob is as large as that");
  return of_sev(issue);
}

/// psp_copy_user_blob().
Result<Bytes> copy_blob(mm::UserMemory& memory, std::uint64_t address, std::uint32_t length) {
  if (address == 0 || length == 0 || length > kBlobMax)
    return fail(Errno::kInval, "the blob is empty or too large");
  Bytes blob(length);
  TEEIO_TRY(memory.read(address, blob));
  return blob;
}

Result<void> pek_import(Issue& issue) {
  TEEIO_TRY(needs_writer(issue));
  using Arg = abi::sev_user_data_pek_cert_import;
  TEEIO_ASSIGN(const Arg in, copy_in<Arg>(issue.memory, issue.data));
  TEEIO_TRY(copy_blob(issue.memory, in.pek_cert_address, in.pek_cert_len));
  TEEIO_TRY(copy_blob(issue.memory, in.oca_cert_address, in.oca_cert_len));
  return of_sev(issue);
}

Result<void> platform_status(Issue& issue) {
  TEEIO_ASSIGN(const Bytes answer, issue.psp.platform_status(issue.answer));
  return issue.memory.write(issue.data, answer);
}

/// Of two sockets, of which there is one.
Result<void> get_id(Issue& issue) {
  abi::sev_user_data_get_id out{};
  Bytes id;
  TEEIO_TRY(issue.psp.get_id(sizeof out, id, issue.answer));
  std::ranges::copy(id, writable_bytes_of(out).begin());
  return issue.memory.write(issue.data, bytes_of(out).first(id.size()));
}

Result<void> get_id2(Issue& issue) {
  using Arg = abi::sev_user_data_get_id2;
  TEEIO_ASSIGN(Arg arg, copy_in<Arg>(issue.memory, issue.data));
  const std::uint32_t room = arg.address != 0 ? arg.length : 0;
  if (room > kKmallocMax) return fail(Errno::kNoMem, "no buffer is as large as that");
  Bytes id;
  TEEIO_ASSIGN(const std::uint32_t length, issue.psp.get_id(room, id, issue.answer));
  arg.length = length;
  TEEIO_TRY(copy_out(issue.memory, issue.data, arg));
  if (issue.answer != Status::kSuccess)
    return fail(Errno::kIo, "the secure processor's ID has no room");
  return issue.memory.write(arg.address, id);
}

Result<void> snp_status(Issue& issue) {
  TEEIO_TRY(needs_snp(issue));
  TEEIO_ASSIGN(const Bytes answer, issue.psp.snp_status(issue.answer));
  return issue.memory.write(issue.data, answer);
}

Result<void> snp_commit(Issue& issue) {
  if (!issue.psp.snp_initialised()) return fail(Errno::kInval, "SNP is not initialised");
  return issue.psp.command(sev::kSnpCommit, Writer().le(4U).take(), issue.answer);
}

Result<void> snp_config(Issue& issue) {
  TEEIO_TRY(needs_snp(issue));
  TEEIO_TRY(needs_writer(issue));
  TEEIO_ASSIGN(const auto in, copy_in<abi::sev_user_data_snp_config>(issue.memory, issue.data));
  return issue.psp.command(sev::kSnpConfig, bytes_of(in), issue.answer);
}

Result<void> vlek_load(Issue& issue) {
  TEEIO_TRY(needs_snp(issue));
  TEEIO_TRY(needs_writer(issue));
  TEEIO_ASSIGN(const auto in, copy_in<abi::sev_user_data_snp_vlek_load>(issue.memory, issue.data));
  if (in.len != sizeof in || in.vlek_wrapped_version != 0)
    return fail(Errno::kInval, "the length or the version is wrong");
  TEEIO_ASSIGN(const Bytes stick, copy_blob(issue.memory, in.vlek_wrapped_address,
                                            sizeof(abi::sev_user_data_snp_wrapped_vlek_hashstick)));
  return issue.psp.load_vlek(stick, issue.answer);
}

Result<void> run(Issue& issue, std::uint32_t command) {
  switch (command) {
    case abi::SEV_FACTORY_RESET:
    case abi::SEV_PEK_GEN:
    case abi::SEV_PDH_GEN:
    case abi::SEV_PDH_CERT_EXPORT:  // to which SEV, uninitialised, has to be initialised
      return generate(issue);
    case abi::SEV_PLATFORM_STATUS:
      return platform_status(issue);
    case abi::SEV_PEK_CSR:
      return pek_csr(issue);
    case abi::SEV_PEK_CERT_IMPORT:
      return pek_import(issue);
    case abi::SEV_GET_ID:
      return get_id(issue);
    case abi::SEV_GET_ID2:
      return get_id2(issue);
    case abi::SNP_PLATFORM_STATUS:
      return snp_status(issue);
    case abi::SNP_COMMIT:
      return snp_commit(issue);
    case abi::SNP_SET_CONFIG:
      return snp_config(issue);
    default:
      return vlek_load(issue);
  }
}

/// The firmware's answer goes back whether or not the command worked; what the program put there
/// does when the firmware was not asked (__sev_do_cmd_locked() alone writes it).
Result<std::int64_t> ioctl_sev_issue_cmd(Call& call) {
  auto& file = static_cast<VendorNodeFile&>(call.file);
  using Arg = abi::sev_issue_cmd;
  TEEIO_ASSIGN(Arg arg, copy_in<Arg>(call.memory(), call.argument));
  if (arg.cmd >= abi::SEV_MAX) return fail(Errno::kInval, "there is no such command");
  Issue issue{.memory = call.memory(),
              .psp = static_cast<SevNode&>(file.node()).psp(),
              .data = arg.data,
              .writable = file.writable()};
  const Result<void> done = run(issue, arg.cmd);
  if (issue.answer) arg.error = std::to_underlying(*issue.answer);
  TEEIO_TRY(copy_out(call.memory(), call.argument, arg));
  if (!done) return std::unexpected(done.error());
  return 0;
}

constexpr Word kCommands[] = {TEEIO_WORD(SEV_FACTORY_RESET),   TEEIO_WORD(SEV_PLATFORM_STATUS),
                              TEEIO_WORD(SEV_PEK_GEN),         TEEIO_WORD(SEV_PEK_CSR),
                              TEEIO_WORD(SEV_PDH_GEN),         TEEIO_WORD(SEV_PDH_CERT_EXPORT),
                              TEEIO_WORD(SEV_PEK_CERT_IMPORT), TEEIO_WORD(SEV_GET_ID),
                              TEEIO_WORD(SEV_GET_ID2),         TEEIO_WORD(SNP_PLATFORM_STATUS),
                              TEEIO_WORD(SNP_COMMIT),          TEEIO_WORD(SNP_SET_CONFIG),
                              TEEIO_WORD(SNP_VLEK_LOAD)};
constexpr Field kIssue[] = {TEEIO_FIELD(sev_issue_cmd, cmd, kEnum, kCommands),
                            TEEIO_FIELD(sev_issue_cmd, data, kHex),
                            TEEIO_FIELD(sev_issue_cmd, error, kHex)};
constexpr Row kRows[] = {
    {SEV_ISSUE_CMD, "SEV_ISSUE_CMD", ioctl_sev_issue_cmd, kIssue, Support::kPartial,
     "PLATFORM_STATUS, GET_ID, GET_ID2, SNP_PLATFORM_STATUS, SNP_COMMIT, SNP_SET_CONFIG; the "
     "firmware refuses what is SEV's and SEV-ES's (EIO, INVALID_COMMAND), and every VLEK (EIO, "
     "BAD_MEASUREMENT)"}};
static_assert(structs_are_laid_out(kRows));

}  // namespace

std::span<const Row> vendor_node_rows() { return kRows; }

std::unique_ptr<VendorNode> make_sev_node(kvm::PspHost& psp) {
  return std::make_unique<SevNode>(psp);
}

}  // namespace teeio::entry
