#include "host/sysfs/config_attribute.h"

#include <fmt/format.h>

#include "hw/capabilities.h"
#include "hw/find_capability.h"

namespace teeio::sysfs {
namespace {

constexpr std::uint64_t kConventionalSize = 256;

/// The size of the next register access of [at, at + left): natural alignment,
/// four bytes where there are four.
unsigned access_size(std::uint64_t at, std::uint64_t left) {
  if ((at & 1U) != 0 || left < 2) return 1;
  if ((at & 2U) != 0 || left < 4) return 2;
  return 4;
}

std::size_t read_config(hw::PciFunction& function, std::uint64_t offset, std::span<std::byte> out) {
  for (std::size_t done = 0; done < out.size();) {
    const unsigned size = access_size(offset + done, out.size() - done);
    const std::uint32_t value =
        function.config_read(static_cast<std::uint16_t>(offset + done), size);
    for (unsigned i = 0; i < size; ++i) out[done + i] = static_cast<std::byte>(value >> 8 * i);
    done += size;
  }
  return out.size();
}

/// Whether the write does something to the device, registers apart that nothing
/// but software looks at and those that keep what they had.
bool has_effect(hw::PciFunction& function, std::uint16_t at, unsigned size, std::uint32_t before,
                std::uint32_t value) {
  constexpr std::uint16_t kCacheLineSize = 0x0c, kInterruptLine = 0x3c;
  if (size == 1 && (at == kCacheLineSize || at == kInterruptLine)) return false;
  const auto express = hw::find_capability(function, hw::kCapabilityPcie);
  if (express && hw::flr_requested(*express, at, size, value)) return true;
  return function.config_read(at, size) != before;
}

/// pci_write_config() asks nobody: R4 judges it.
void write_register(const Environment& environment, hw::PciFunction& function, std::uint16_t at,
                    unsigned size, std::uint32_t value) {
  const Bdf bdf = function.bdf();
  environment.host.reach(bdf, [&](bool bound) {
    const std::uint32_t before = function.config_read(at, size);
    function.config_write(at, size, value);
    if (!bound || !has_effect(function, at, size, before, value)) return;
    environment.host.trace().fact(
        object::Lane::kVmm, object::Fact::kHostTouched, "config written through sysfs",
        {.function = bdf, .a = static_cast<std::uint64_t>(object::HostTouch::kConfigWrite)});
  });
  environment.host.tsm().program_wrote_config(function, at);
}

std::size_t write_config(const Environment& environment, hw::PciFunction& function,
                         std::uint64_t offset, ByteView in) {
  for (std::size_t done = 0; done < in.size();) {
    const auto at = static_cast<std::uint16_t>(offset + done);
    const unsigned size = access_size(at, in.size() - done);
    std::uint32_t value = 0;
    for (unsigned i = 0; i < size; ++i)
      value |= std::to_integer<std::uint32_t>(in[done + i]) << 8 * i;
    write_register(environment, function, at, size, value);
    done += size;
  }
  return in.size();
}

}  // namespace

void add_config(NodeList& list, const Environment& environment, const std::string& path,
                hw::PciFunction& function) {
  const bool express = hw::find_capability(function, hw::kCapabilityPcie).has_value();
  list.binary(
      path, 0644, express ? hw::ConfigSpace::kSize : kConventionalSize,
      [&environment, &function](std::uint64_t offset,
                                std::span<std::byte> out) -> Result<std::size_t> {
        const auto awake = environment.host.keep_awake(function.bdf());
        return read_config(function, offset, out);
      },
      [&environment, &function](std::uint64_t offset, ByteView in) -> Result<std::size_t> {
        const auto awake = environment.host.keep_awake(function.bdf());
        return write_config(environment, function, offset, in);
      });
}

void add_doe_features(NodeList& list, const Environment& environment, const std::string& directory,
                      Bdf bdf) {
  const auto features = environment.host.tsm().doe_features(bdf);
  if (features.empty()) return;
  list.directory(directory + "/doe_features");
  for (const tsm::DoeFeature& one : features) {
    const std::string number = fmt::format("{:04x}:{:02x}", one.vendor, one.type);
    const std::string name = one == tsm::kDoeDiscovery ? "doe_discovery" : number;
    list.text(directory + "/doe_features/" + name, 0444,
              [number]() -> Result<std::string> { return number + "\n"; });
  }
}

}  // namespace teeio::sysfs
