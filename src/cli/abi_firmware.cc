#include "cli/abi_firmware.h"

#include <cctype>
#include <string>

#include "cli/print.h"
#include "firmware/rmm/rows.h"
#include "firmware/sev/rows.h"
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

std::string_view api_text(const tdx::Row& row) {
  if (!row.only) return "";
  return *row.only == tdx::Api::kG2 ? ", of `tdx_api = \"g2\"`" : ", of `tdx_api = \"g3\"`";
}

void print_row(const tdx::Row& row) {
  print("### {}{}{}\n\n`{}`{} · {}\n\n", row.name, row.detail.empty() ? "" : ": ", row.detail,
        row.number, api_text(row), row.source);
  print("| | refused with | when |\n|---|---|---|\n");
  unsigned number = 0;
  for (const tdx::Check& check : row.checks)
    print("| {} | {} | {}{} |\n", ++number, status_text(check), check.refused_when,
          check.unmet.empty() ? "" : fmt::format(" (never met: {})", check.unmet));
  print("\n{}.\n\n", capital(row.effect));
  if (!row.differs.empty()) print("Differs from the source: {}.\n\n", row.differs);
}

/// What rows of both kinds have alike.
template <class Checks>
void print_sev_row(std::string_view name, unsigned number, std::uint32_t length,
                   std::string_view source, const Checks& checks, std::string_view effect) {
  print("### {}\n\n`{:#04x}`, {} bytes · {}\n\n", name, number, length, source);
  if (!checks.empty()) print("| | refused with | when | source |\n|---|---|---|---|\n");
  unsigned position = 0;
  for (const auto& check : checks)
    print("| {} | {} | {} | {} |\n", ++position, sev::status_name(check.status), check.why,
          check.source);
  print("\n{}.\n\n", capital(effect));
}

void print_row(const sev::Row& row) {
  print_sev_row(row.name, row.number, row.length, row.source, row.checks, row.effect);
  if (!row.differs.empty()) print("Differs from the source: {}.\n\n", row.differs);
}

void print_row(const sev::TioRow& row) {
  print_sev_row(row.name, static_cast<unsigned>(row.command), sev::tio_length(row.command),
                row.source, sev::tio_checks(row.command), row.effect);
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
      "TF-RMM at commit 9a7f8ef46378, which itself drives the same card: docs/tf-rmm.md. A command "
      "that the explorer makes busy gives RMI_BUSY before its first check.\n\n");
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
      "# AMD's secure processor: SEV-SNP and SEV-TIO\n\nMade by `teeio abi --firmware sev` from "
      "the rows of src/firmware/sev/rows_platform.cc, rows_guest.cc, tio_checks.cc and "
      "tio_rows.cc, which the commands themselves refuse by; a test makes each check fail alone. "
      "AMD has published the firmware of its 4th-generation EPYC (\"ASPFW\": amd/AMD-ASPFW, "
      "fw/psp_bl_uapps/sev_uapp/src/sev_mcmd.c), whose order of checks the platform's and guests' "
      "commands have; it is older than SEV-TIO, whose source is closed. Names and numbers of "
      "statuses are public, buffers are those of AMD's drivers (\"Linux\": "
      "drivers/crypto/ccp/sev-dev-tio.c of 7.3; \"AMD\": the same file of AMDESE/linux-kvm), and "
      "where a row says so what a driver expects; where no source is named, which status goes with "
      "which check, and the order, are the model's choice. Where several checks of one of "
      "SEV-TIO's commands fail whose order is that, the first of the list answers, and an "
      "exploration tries the answer of each, but in scenarios with `fail` and in `meddle/` "
      "(docs/explore.md). A buffer that is not readable "
      "is refused before any check, with SEV_RET_INVALID_ADDRESS, and one of SEV-TIO's that names "
      "another length than its own with SEV_RET_INCORRECT_BUFFER_LENGTH; a command that the "
      "explorer "
      "makes fail gives SEV_RET_RESOURCE_LIMIT; any other number SEV_RET_INVALID_COMMAND: SEV's "
      "and "
      "SEV-ES's own commands but two, moving, swapping and unsmashing of pages, debugging, "
      "migration and the download of firmware.\n\n");
  const auto rows = sev::rows();
  const auto tio_rows = sev::tio_rows();
  std::size_t checks = 0;
  for (const sev::Row* row : rows) checks += row->checks.size();
  for (const sev::TioRow& row : tio_rows) checks += sev::tio_checks(row.command).size();
  print("{} commands, {} checks.\n\n", rows.size() + tio_rows.size(), checks);
  print("## The platform and its guests\n\n");
  for (const sev::Row* row : rows) print_row(*row);
  print("## SEV-TIO\n\n");
  for (const sev::TioRow& row : tio_rows) print_row(row);
}

}  // namespace teeio::cli
