#include "cli/abi_firmware.h"

#include <cctype>
#include <string>

#include "cli/print.h"
#include "firmware/rmm/rows.h"
#include "firmware/sev/attestation.h"
#include "firmware/sev/tio_checks.h"
#include "firmware/tdx/rows.h"

namespace teeio::cli {
namespace {

constexpr unsigned kFirstHostCall = 0xC400'0150;
constexpr unsigned kFirstRealmCall = 0xC400'0190;
constexpr unsigned kFirstPowerCall = 0x8400'0000;

unsigned first_number(const rmm::Row& row) {
  if (row.of_psci()) return kFirstPowerCall;
  return row.of_realm() ? kFirstRealmCall : kFirstHostCall;
}

std::string capital(std::string_view sentence) {
  std::string text(sentence);
  if (!text.empty())
    text.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(text.front())));
  return text;
}

void print_row(const rmm::Row& row) {
  print("### {}\n\n`{:#x}` · {}\n\n", row.name, first_number(row) + row.number, row.source);
  if (!row.checks.empty()) print("| | refused with | when |\n|---|---|---|\n");
  unsigned number = 0;
  for (const rmm::Check& check : row.checks)
    print("| {} | {} | {}{} |\n", ++number, row.status_name(check.code), check.refused_when,
          check.reached ? "" : " (never reached: a check above is always first)");
  print("\n{}.\n\n", capital(row.effect));
  if (!row.differs.empty()) print("Differs from the source: {}.\n\n", row.differs);
}

std::string status_text(const tdx::Check& check) {
  if (check.operand == tdx::Operand::kRax) return std::string(tdx::code_name(check.code));
  return fmt::format("{}({})", tdx::code_name(check.code), tdx::operand_name(check.operand));
}

void print_row(const tdx::Row& row) {
  print("### {}{}{}\n\n`{}` · {}\n\n", row.name, row.detail.empty() ? "" : ": ", row.detail,
        row.number, row.source);
  print("| | refused with | when |\n|---|---|---|\n");
  unsigned number = 0;
  for (const tdx::Check& check : row.checks)
    print("| {} | {} | {}{} |\n", ++number, status_text(check), check.refused_when,
          check.unmet.empty() ? "" : fmt::format(" (never met: {})", check.unmet));
  print("\n{}.\n\n", capital(row.effect));
  if (!row.differs.empty()) print("Differs from the source: {}.\n\n", row.differs);
}

void print_row(const sev::TioRow& row) {
  print(
      "### {}\n\n`{:#04x}`, {} bytes · {}\n\n| | refused with | when | source "
      "|\n|---|---|---|---|\n",
      row.name, static_cast<unsigned>(row.command), sev::tio_length(row.command), row.source);
  unsigned number = 0;
  for (const sev::TioCheck& check : sev::tio_checks(row.command))
    print("| {} | {} | {} | {} |\n", ++number, sev::status_name(check.status), check.why,
          check.source);
  print("\n{}.\n\n", capital(row.effect));
}

}  // namespace

void print_tdx_page() {
  print(
      "# The TDX module\n\nMade by `teeio abi --firmware tdx` from the rows of "
      "src/firmware/tdx/rows_*.cc, which the leaves themselves refuse by; a test makes each check "
      "fail alone. The source is intel/tdx-module: its branch tdxio at commits 1666adc494db, "
      "6e66b9d2070a and a56a9173cda3 for what TDX Connect adds, its tag TDX_1.5.01 for the rest. "
      "In brackets is what the status's lower half names. A leaf that the explorer makes busy "
      "gives TDX_OPERAND_BUSY before its first check.\n\n");
  const auto rows = tdx::rows();
  print("{} leaves, {} checks.\n\n", rows.size(), [&] {
    std::size_t checks = 0;
    for (const tdx::Row* row : rows) checks += row->checks.size();
    return checks;
  }());
  print("## Leaves of the host\n\n");
  for (const tdx::Row* row : rows)
    if (!row->of_guest()) print_row(*row);
  print("## Leaves of guests\n\n");
  for (const tdx::Row* row : rows)
    if (row->of_guest()) print_row(*row);
}

void print_rmm_page() {
  print(
      "# Arm's RMM\n\nMade by `teeio abi --firmware rmm` from the rows of "
      "src/firmware/rmm/rows_*.cc, "
      "which the commands themselves refuse by; a test makes each check fail alone. The source is "
      "TF-RMM at commit 9a7f8ef46378. A command that the explorer makes busy gives RMI_BUSY before "
      "its first check.\n\n");
  const auto rows = rmm::rows();
  print("{} commands and calls, {} checks.\n\n", rows.size(), [&] {
    std::size_t checks = 0;
    for (const rmm::Row* row : rows) checks += row->checks.size();
    return checks;
  }());
  print("## Commands of the host\n\n");
  for (const rmm::Row* row : rows)
    if (!row->of_realm()) print_row(*row);
  print("## Calls of the realm\n\n");
  for (const rmm::Row* row : rows)
    if (row->of_realm()) print_row(*row);
}

void print_sev_page() {
  print(
      "# AMD's secure processor: SEV-TIO\n\nMade by `teeio abi --firmware sev` from the rows of "
      "src/firmware/sev/tio_checks.cc and tio_rows.cc, which the commands themselves refuse by; a "
      "test makes each check fail alone. The firmware's source is closed. Names and numbers of "
      "statuses are public, buffers are those of AMD's drivers (\"Linux\": "
      "drivers/crypto/ccp/sev-dev-tio.c of 7.3; \"AMD\": the same file of AMDESE/linux-kvm), and "
      "where a row says so what a driver expects; which status goes with which check, and the "
      "order, are the model's choice. A buffer of another length is refused before any check, with "
      "SEV_RET_INCORRECT_BUFFER_LENGTH; a command that the explorer makes fail gives "
      "SEV_RET_RESOURCE_LIMIT.\n\n");
  const auto rows = sev::tio_rows();
  print("{} commands, {} checks.\n\n", rows.size(), [&] {
    std::size_t checks = 0;
    for (const sev::TioRow& row : rows) checks += sev::tio_checks(row.command).size();
    return checks;
  }());
  print("## Commands of the host\n\n");
  for (const sev::TioRow& row : rows) print_row(row);
  print(
      "## Guests' requests about themselves\n\n### SNP_GUEST_REQUEST\n\n`{:#x}` · 56860, "
      "SNP_GUEST_REQUEST; struct sev_data_snp_guest_request\n\n| | refused with | when | source "
      "|\n|---|---|---|---|\n",
      sev::kSnpGuestRequest);
  unsigned number = 0;
  for (const sev::Attestation::Check& check : sev::Attestation::checks())
    print("| {} | {} | {} | {} |\n", ++number, sev::status_name(check.status), check.why,
          check.source);
  print(
      "\nMSG_REPORT_REQ is answered with an attestation report, version 2, that the chip's VCEK "
      "has signed. Its status is 16h for a VMPL above the guest's own or a reserved byte, 27h for "
      "the VLEK, which there is not.\n\n");
}

}  // namespace teeio::cli
