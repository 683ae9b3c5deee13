#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "device/dsm.h"
#include "device/tdi.h"
#include "hw/capabilities.h"
#include "hw/find_capability.h"
#include "hw/msi.h"
#include "hw/msix.h"
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

/// What a root port passes on: memory, memory below 4 GiB, ports.
std::string windows_of(const Config& config, Bdf port) {
  const auto at = std::ranges::find(config.root_ports, port, &RootPortConfig::bdf);
  if (at == config.root_ports.end()) return {};
  std::string text;
  const auto add = [&](std::string_view what, Hpa base, std::uint64_t bytes) {
    if (bytes != 0) text += fmt::format("    {} {:#x} size {:#x}\n", what, raw(base), bytes);
  };
  add("window", at->window, at->window_bytes);
  add("window below 4 GiB", at->memory_window, at->memory_window_bytes);
  add("window of ports", at->io_window, at->io_window_bytes);
  return text;
}

/// How a function interrupts, and how wide its PASIDs are.
std::string interrupts_of(hw::PciFunction& function) {
  std::vector<std::string> words;
  const auto word_at = [&](unsigned at) {
    return function.config_read(static_cast<std::uint16_t>(at), 2);
  };
  if (const std::uint32_t pin = function.config_read(hw::kInterruptPin, 1); pin != 0)
    words.push_back(fmt::format("INT{:c}", static_cast<char>('A' + pin - 1)));
  if (const auto msi = hw::find_capability(function, hw::kCapabilityMsi))
    words.push_back(fmt::format("MSI ×{}", 1U << (word_at(*msi + 2U) >> 1U & 7U)));
  if (const auto msix = hw::find_capability(function, hw::kCapabilityMsix))
    words.push_back(fmt::format("MSI-X ×{}", (word_at(*msix + 2U) & 0x7ffU) + 1));
  if (const auto pasid = hw::find_extended_capability(function, hw::kExtendedPasid))
    words.push_back(fmt::format("PASID of {} bits", word_at(*pasid + 4U) >> 8U & 0x1fU));
  return words.empty() ? std::string() : fmt::format("    {}\n", fmt::join(words, ", "));
}

}  // namespace

std::vector<std::string_view> Machine::fault_names(schedule::FaultPlace place) const {
  if (place != schedule::FaultPlace::kFirmware) return device::message_names();
  std::vector<std::string_view> names;
  // Operations of one command may have a row each.
  for (const std::string_view name : impl_->platform->firmware_commands())
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  return names;
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
    text += windows_of(impl_->config, pci.bdf());
    text += interrupts_of(pci);
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
