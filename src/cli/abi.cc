#include <fmt/format.h>

#include <memory>

#include "cli/abi_firmware.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/print.h"
#include "entry/support.h"

namespace teeio::cli {
namespace {

std::string_view support_text(entry::Support support) {
  switch (support) {
    case entry::Support::kComplete:
      return "complete";
    case entry::Support::kPartial:
      return "partial";
    case entry::Support::kRefused:
      return "refused";
  }
  return "?";
}

std::string reason(const entry::SupportRow& row) {
  std::string out(row.why);
  if (row.support != entry::Support::kRefused) return out;
  return fmt::format("{}{}{}", errno_name(row.refused_with), out.empty() ? "" : ": ", out);
}

/// The one vendor's node that has ioctls goes by its own name.
std::string_view file_name(object::FileKind kind) {
  return kind == object::FileKind::kVendorNode ? "sev" : object::file_kind_name(kind);
}

void print_text(const std::vector<entry::SupportRow>& rows) {
  std::size_t supported = 0;
  std::string_view kind;
  for (const entry::SupportRow& row : rows) {
    if (row.support != entry::Support::kRefused) ++supported;
    if (const auto name = file_name(row.kind); name != kind) {
      print("{}{}\n", kind.empty() ? "" : "\n", name);
      kind = name;
    }
    print("  {:#010x} {:<38} {:<8} {}\n", row.command, row.name, support_text(row.support),
          reason(row));
  }
  print("\n{} ioctls, {} of them supported\n", rows.size(), supported);
}

void print_markdown(const std::vector<entry::SupportRow>& rows) {
  print("| file | ioctl | number | support | why |\n|---|---|---|---|---|\n");
  for (const entry::SupportRow& row : rows)
    print("| {} | `{}` | {:#x} | {} | {} |\n", file_name(row.kind), row.name, row.command,
          support_text(row.support), reason(row));
}

}  // namespace

void add_abi_command(Command& root) {
  struct Arguments {
    std::string profile = "teeio";
    bool markdown = false;
    std::string firmware;
  };
  auto arguments = std::make_shared<Arguments>();
  Command& abi = root.command("abi", "Print which system calls are supported");
  std::vector<std::string> profiles;
  for (const abi::AbiProfile profile : abi::kAbiProfiles)
    profiles.emplace_back(abi::profile_name(profile));
  abi.option("--profile", arguments->profile, "Numbers of the proposed ioctls")
      .choices(std::move(profiles))
      .shows_default();
  abi.flag("--markdown", arguments->markdown, "As a Markdown table");
  abi.option("--firmware", arguments->firmware, "A firmware's commands and their checks instead")
      .choices({"rmm", "sev", "tdx"})
      .alone_but_for({});
  abi.runs([arguments] {
    if (!arguments->firmware.empty()) {
      if (arguments->firmware == "tdx") print_tdx_page();
      if (arguments->firmware == "rmm") print_rmm_page();
      if (arguments->firmware == "sev") print_sev_page();
      return 0;
    }
    const abi::AbiProfile profile = *abi::parse_profile(arguments->profile);
    const auto rows = entry::support_table(profile);
    if (arguments->markdown)
      print_markdown(rows);
    else
      print_text(rows);
    if (!arguments->markdown) print("proposed: {}\n", abi::profile_source(profile));
    return 0;
  });
}

}  // namespace teeio::cli
