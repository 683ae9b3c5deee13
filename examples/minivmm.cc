// minivmm: a small VMM for confidential VMs with assigned devices.
//
// It shows the order in which Linux's iommufd, VFIO, KVM and TSM interfaces are
// used to give a PCIe function to a TD, and talks to nothing else. The guest's
// side of it is in guest/.
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <vector>

#include "minivmm/device.h"
#include "minivmm/options.h"
#include "minivmm/session.h"
#include "minivmm/steps.h"

namespace {

std::vector<Function> choose_functions(const Options& options) {
  std::vector<Function> chosen;
  for (const Function& function : assignable_functions()) {
    const bool wanted = !options.device.empty() ? function.bdf == options.device
                        : options.two_vfs       ? function.is_virtual
                                                : true;
    if (wanted) chosen.push_back(function);
  }
  const std::size_t needed = options.two_vfs ? 2 : 1;
  if (chosen.size() < needed)
    throw std::runtime_error(
        "no such function with a TSM is under VFIO; try `teeio run -- minivmm`");
  chosen.resize(needed);
  return chosen;
}

// All VMs get to where the device is theirs before the first gives it back.
bool run(const Options& options) {
  std::vector<std::unique_ptr<Session>> sessions;
  for (const Function& function : choose_functions(options)) {
    const std::string prefix = options.two_vfs ? "[" + function.bdf + "] " : "";
    sessions.push_back(std::make_unique<Session>(options, function, prefix));
  }
  for (auto& session : sessions) session->build();

  bool good = true;
  for (auto& session : sessions) session->run_to_checkpoint();
  for (auto& session : sessions) good = session->run_to_end() && good;
  for (auto& session : sessions) session->close();
  return good;
}

}  // namespace

int main(int argc, char** argv) try {
  const Options options = parse_options(argc, argv);
  if (options.help) return std::fputs(kUsage, stdout) < 0;
  if (options.list_steps) return list_steps(), 0;
  die_at(options.die_at, options.die_signal);
  return run(options) ? 0 : 1;
} catch (const std::invalid_argument& error) {
  std::fprintf(stderr, "minivmm: %s\n", error.what());
  return 2;
} catch (const std::exception& error) {
  std::fprintf(stderr, "minivmm: %s\n", error.what());
  return 1;
}
