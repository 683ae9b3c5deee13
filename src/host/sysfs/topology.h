#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "host/sysfs/host.h"
#include "host/sysfs/settings.h"

namespace teeio::sysfs {

inline constexpr std::string_view kBus = "/sys/bus/pci";
inline constexpr std::string_view kVfioDriver = "vfio-pci";
/// Linux 7.3's choice of a major for vfio-dev when nothing else took it.
inline constexpr std::uint32_t kVfioMajor = 251;

/// Where in /sys/devices each function of one view of the machine is.
class Topology {
 public:
  explicit Topology(std::vector<Host::Function> functions) : functions_(std::move(functions)) {}

  [[nodiscard]] const std::vector<Host::Function>& functions() const { return functions_; }
  /// "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0"
  [[nodiscard]] std::string directory(Bdf bdf) const;
  /// The bridge on whose secondary side `bdf` is; nullptr on the root bus.
  [[nodiscard]] const Host::Function* bridge_above(Bdf bdf) const;
  /// A physical function's VFs, in order.
  [[nodiscard]] std::vector<Bdf> virtual_functions(const Host::Function& physical) const;
  [[nodiscard]] static std::string host_bridge(std::uint16_t domain);

 private:
  std::vector<Host::Function> functions_;
};

/// What the callbacks of attributes use.
/// Lifetime: the System's; outlives every open attribute.
struct Environment {
  Host& host;
  Settings& settings;
  /// Makes the tree follow the machine. Without any lock.
  std::function<void()> refresh;
};

}  // namespace teeio::sysfs
