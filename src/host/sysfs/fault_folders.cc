#include "host/sysfs/fault_folders.h"

#include <fmt/format.h>

#include <string>

#include "host/sysfs/text.h"
#include "object/fail_nth.h"

namespace teeio::sysfs {
namespace {

constexpr std::uint32_t kMode = 0600;

/// debugfs_create_bool()
void add_truth(NodeList& list, const std::string& path, schedule::Atomic<bool>& value) {
  list.text(
      path, kMode, [&value]() -> Result<std::string> { return value.load() ? "Y\n" : "N\n"; },
      [&value](std::string_view text) -> Result<void> {
        // debugfs_write_file_bool() takes anything, and ignores what is no truth value.
        if (const auto on = parse_truth(text)) value.store(*on);
        return {};
      });
}

/// debugfs_create_ul(), debugfs_create_u32()
void add_number(NodeList& list, const std::string& path, schedule::Atomic<std::uint64_t>& value) {
  list.text(
      path, kMode, [&value]() -> Result<std::string> { return fmt::format("{}\n", value.load()); },
      [&value](std::string_view text) -> Result<void> {
        const auto number = parse_unsigned(text);
        if (!number) return fail(Errno::kInval, "not a number");
        value.store(*number);
        return {};
      });
}

std::string add_folder(NodeList& list, object::FailNth::Folder& folder) {
  const std::string path = fmt::format("{}/{}", kDebugfs, folder.name);
  list.directory(path);
  add_number(list, path + "/verbose", folder.verbose);
  return path;
}

}  // namespace

void add_fault_folders(NodeList& list, const Environment& environment) {
  object::FailNth* const faults = environment.host.fail_nth();
  if (faults == nullptr) return;
  list.directory(std::string(kDebugfs));
  const std::string slab = add_folder(list, faults->slab());
  add_truth(list, slab + "/ignore-gfp-wait", faults->slab().ignores_wait);
  const std::string page = add_folder(list, faults->page());
  add_truth(list, page + "/ignore-gfp-wait", faults->page().ignores_wait);
  add_truth(list, page + "/ignore-gfp-highmem", faults->page().ignores_highmem);
  add_number(list, page + "/min-order", faults->page().min_order);
  add_folder(list, faults->iommufd());
}

}  // namespace teeio::sysfs
