#include "host/sysfs/interrupt_attributes.h"

#include <fmt/format.h>

#include <string_view>

#include "hw/intx.h"

namespace teeio::sysfs {
namespace {

/// Linux's numbers are the lowest free; here each device has as many of its own as MSI-X can
/// have.
std::uint32_t first_msi_irq(const Host::Function& function) {
  constexpr std::uint32_t kFirst = 24, kMost = 2048;
  return kFirst + kMost * function.vfio_minor.value_or(0);
}

}  // namespace

void add_interrupts(NodeList& list, const Host::Function& function, const std::string& directory) {
  const std::uint32_t first = first_msi_irq(function);
  const bool msi = function.vectors != 0 && function.vectors_are_msi;
  // The first of MSI, else INTx.
  list.text(directory + "/irq", 0444, [&pci = *function.pci, first, msi]() -> Result<std::string> {
    return fmt::format("{}\n", msi ? first : hw::intx_irq(pci));
  });
  if (function.vectors == 0) return;
  list.directory(directory + "/msi_irqs");
  const std::string_view mode = msi ? "msi\n" : "msix\n";
  for (std::uint32_t vector = 0; vector < function.vectors; ++vector)
    list.text(fmt::format("{}/msi_irqs/{}", directory, first + vector), 0444,
              [mode]() -> Result<std::string> { return std::string(mode); });
}

}  // namespace teeio::sysfs
