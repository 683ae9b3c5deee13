#include "cli/commands.h"
#include "cli/options.h"
#include "cli/print.h"
#include "cli/probes.h"

namespace teeio::cli {
namespace {

std::string_view verdict(const Finding& finding) {
  if (finding.present) return "ok";
  return finding.need == Need::kRequired ? "MISSING" : "absent";
}

/// 0 when `teeio run` can work here, 1 when something that it needs is missing.
int doctor() {
  bool works = true;
  for (const Finding& finding : probe_kernel()) {
    works = works && (finding.present || finding.need == Need::kHelpful);
    print("{:<8} {}{}{}\n", verdict(finding), finding.name, finding.detail.empty() ? "" : ": ",
          finding.detail);
    if (!finding.present) print("         {}\n", finding.meaning);
  }
  print("teeio run {} here\n", works ? "works" : "does not work");
  return works ? 0 : 1;
}

}  // namespace

void add_doctor_command(Command& root) {
  root.command("doctor", "Say what this kernel offers, and what is missing").runs(doctor);
}

}  // namespace teeio::cli
