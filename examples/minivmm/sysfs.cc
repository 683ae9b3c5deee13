#include <algorithm>
#include <filesystem>

#include "device.h"

namespace fs = std::filesystem;

namespace {

const fs::path kDevices = "/sys/bus/pci/devices";

// PF0 of the card that `function` is on.
std::string pf0_of(const fs::path& function) {
  fs::path physical = function;
  if (fs::exists(function / "physfn"))
    physical = kDevices / fs::read_symlink(function / "physfn").filename();
  std::string name = physical.filename();
  name.back() = '0';
  return name;
}

std::string vfio_name(const fs::path& function) {
  if (!fs::exists(function / "vfio-dev")) return {};
  for (const auto& entry : fs::directory_iterator(function / "vfio-dev")) {
    const std::string name = entry.path().filename();
    if (name.starts_with("vfio")) return name;
  }
  return {};
}

}  // namespace

std::uint16_t Function::requester_id() const {
  // dddd:bb:dd.f
  const unsigned long bus = std::stoul(bdf.substr(5, 2), nullptr, 16);
  const unsigned long slot = std::stoul(bdf.substr(8, 2), nullptr, 16);
  const unsigned long number = std::stoul(bdf.substr(11, 1), nullptr, 16);
  return static_cast<std::uint16_t>(bus << 8 | slot << 3 | number);
}

std::vector<Function> assignable_functions() {
  std::vector<Function> found;
  for (const auto& entry : fs::directory_iterator(kDevices)) {
    Function function;
    function.bdf = entry.path().filename();
    function.pf0 = pf0_of(entry.path());
    function.is_virtual = fs::exists(entry.path() / "physfn");
    const std::string vfio = vfio_name(entry.path());
    if (vfio.empty() || !fs::exists(kDevices / function.pf0 / "tsm" / "connect")) continue;
    function.vfio_path = "/dev/vfio/devices/" + vfio;
    found.push_back(function);
  }
  std::sort(found.begin(), found.end(),
            [](const Function& a, const Function& b) { return a.bdf < b.bdf; });
  return found;
}

void connect_tsm(const Function& function) {
  const fs::path attribute = kDevices / function.pf0 / "tsm" / "connect";
  if (read_file(attribute).starts_with("tsm")) return;
  std::string tsm;
  for (const auto& entry : fs::directory_iterator("/sys/class/tsm"))
    if (tsm.empty() || entry.path().filename() < tsm) tsm = entry.path().filename();
  if (tsm.empty()) fail("no TSM in /sys/class/tsm", ENXIO);
  write_file(attribute, tsm);
}
