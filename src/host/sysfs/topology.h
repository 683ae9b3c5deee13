#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "host/sysfs/host.h"
#include "host/sysfs/settings.h"

namespace teeio::sysfs {

inline constexpr std::string_view kBus = "/sys/bus/pci";
inline constexpr std::string_view kDebugfs = "/sys/kernel/debug";
inline constexpr std::string_view kVfioDriver = "vfio-pci";
inline constexpr std::string_view kNativeDriver = "native";

/// Where in /sys/devices each function of one view of the machine is.
///
/// Lifetime: points into its own functions; neither copied nor moved.
class Topology {
 public:
  /// Preconditions: `functions` is in order of BDF.
  explicit Topology(std::vector<Host::Function> functions);
  Topology(const Topology&) = delete;
  Topology& operator=(const Topology&) = delete;

  [[nodiscard]] const std::vector<Host::Function>& functions() const { return functions_; }
  /// nullptr when there is none at `bdf`.
  [[nodiscard]] const Host::Function* find(Bdf bdf) const;
  /// "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0"
  [[nodiscard]] std::string directory(Bdf bdf) const;
  /// The bridge on whose secondary side `bdf` is; nullptr on the root bus.
  [[nodiscard]] const Host::Function* bridge_above(Bdf bdf) const;
  /// The number of the bus right behind a bridge; 0: it is none, or has none.
  [[nodiscard]] std::uint8_t bus_behind(Bdf bdf) const;
  /// A physical function's VFs, in order.
  [[nodiscard]] const std::vector<hw::PciFunction*>& virtual_functions(
      const Host::Function& physical) const;
  /// Whether no other function is on the bus of `bdf`.
  [[nodiscard]] bool is_alone_on_bus(Bdf bdf) const;
  [[nodiscard]] static std::string host_bridge(std::uint16_t domain);

 private:
  struct Bridge {
    const Host::Function* function;
    std::uint32_t secondary, subordinate;  ///< the range of buses behind it
  };

  const std::vector<Host::Function> functions_;
  std::vector<Bridge> bridges_;  ///< in order of BDF: an inner one after its outer one
  std::map<const hw::PciFunction*, std::vector<hw::PciFunction*>> virtual_functions_;  ///< by PF
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
