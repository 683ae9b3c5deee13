#include <fmt/format.h>

#include "device/dsm.h"
#include "device/tdi.h"
#include "hw/find_capability.h"
#include "machine/parts.h"
#include "machine/tdi_config.h"

namespace teeio::machine {
namespace {

std::string_view kind_of(hw::PciFunction& function) {
  if (hw::is_bridge(function)) return "root port";
  if (function.physical_function() != nullptr) return "VF";
  return tsm::is_tsm_pf0(function) ? "PF, DSM" : "PF";
}

/// A line a namespace of an NVMe card's function.
std::string namespaces_of(const Config& config, Bdf function) {
  std::string text;
  for (const CardConfig& card : config.cards) {
    unsigned number = 0;
    for (const NamespaceConfig& space : card.namespaces) {
      if (card.bdf.rid() + space.function != function.rid()) continue;
      text += fmt::format("    namespace {} {}{}\n", ++number,
                          space.file.empty() ? "in memory" : space.file,
                          space.bytes == 0 ? std::string(", all of it")
                                           : fmt::format(", {} MiB", space.bytes >> 20U));
    }
  }
  return text;
}

/// What a [[card.tdi]] says of a function's report.
std::string report_of(const Config& config, Bdf function) {
  for (const CardConfig& card : config.cards)
    for (const TdiConfig& tdi : card.tdis)
      if (card.bdf.rid() + tdi.function == function.rid()) return report_text(tdi.report);
  return {};
}

}  // namespace

std::vector<std::string_view> Machine::fault_names(schedule::FaultPlace place) const {
  return place == schedule::FaultPlace::kFirmware ? impl_->platform->firmware_commands()
                                                  : device::message_names();
}

std::map<std::string, std::string> Machine::census() {
  std::map<std::string, std::string> result;
  std::uint64_t frames = impl_->memory.pages_in_use();
  for (const auto& driver : impl_->iommu_drivers) frames -= driver->kept_frames();
  result["frames in use"] = fmt::format("{}", frames);
  for (const auto& port : impl_->ports)
    result["free IDE streams of " + port->bdf().str()] = fmt::format("{}", port->free_streams());
  for (const auto& card : impl_->tee_cards) {
    const auto functions = card->functions();
    for (std::size_t i = 0; i < functions.size(); ++i)
      result["TDI state of " + functions[i]->bdf().str()] =
          std::string(device::tdi_state_name(card->tdi(i).state()));
  }
  for (const auto& function : impl_->functions()) {
    const Bdf bdf = function.pci->bdf();
    result["driver of " + bdf.str()] = function.driver;
    result["TSM of " + bdf.str()] = impl_->pci_tsm.connected_to(bdf);
    result["bound TSM of " + bdf.str()] = impl_->pci_tsm.bound_to(bdf);
    result["in use by VFIO " + bdf.str()] = impl_->in_use(bdf) ? "yes" : "no";
    result["command register of " + bdf.str()] =
        fmt::format("{:#06x}", function.pci->config_read(0x04, 2));
  }
  impl_->platform->census(result);
  return result;
}

std::string Machine::show() {
  const std::string_view variant = impl_->platform->variant();
  std::string text =
      fmt::format("machine {}: TSM {}{}, {} IOMMU(s), {} MiB\n", impl_->config.name,
                  impl_->platform->driver() != nullptr ? impl_->platform->driver()->name() : "none",
                  variant.empty() ? "" : fmt::format(" ({})", variant), impl_->config.iommus,
                  impl_->config.memory_bytes >> 20U);
  for (const auto& function : impl_->functions()) {
    hw::PciFunction& pci = *function.pci;
    const bool port = hw::is_bridge(pci);
    text += fmt::format("{}{} [{:04x}:{:04x}] {}{}{} driver={} group={} iommu={}\n",
                        port ? "" : "  ", pci.bdf().str(), pci.config_read(0, 2),
                        pci.config_read(2, 2), kind_of(pci), tsm::has_tee(pci) ? ", TEE-I/O" : "",
                        hw::find_extended_capability(pci, hw::kExtendedIde) ? ", IDE" : "",
                        function.driver.empty() ? "none" : function.driver,
                        function.group.value_or(0), function.iommu->sysfs().device);
    for (std::size_t i = 0; i < hw::kBarCount; ++i) {
      const hw::Bar& bar = pci.bars()[i];
      if (bar.kind == hw::Bar::Kind::kNone) continue;
      if (bar.kind == hw::Bar::Kind::kIo) {
        text += fmt::format("    BAR{} ports {:#x} size {:#x}\n", i, raw(bar.base), bar.size);
        continue;
      }
      text += fmt::format("    BAR{} {:#x} size {:#x}{}{}\n", i, raw(bar.base), bar.size,
                          bar.prefetchable ? " prefetchable" : "",
                          bar.plain_memory ? " memory" : " registers");
    }
    if (const hw::Bar* rom = pci.rom(); rom != nullptr)
      text += fmt::format("    ROM {:#x} size {:#x}\n", raw(rom->base), rom->size);
    text += namespaces_of(impl_->config, pci.bdf());
    text += report_of(impl_->config, pci.bdf());
  }
  return text;
}

}  // namespace teeio::machine
