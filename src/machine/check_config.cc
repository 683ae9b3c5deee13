#include "machine/check_config.h"

#include <fmt/format.h>

#include <bit>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "device/dma_engine_card.h"
#include "device/io_ports.h"
#include "device/mmio_layout.h"
#include "device/nvme/nvme_card.h"
#include "device/plain_card.h"
#include "hw/window_table.h"

namespace teeio::machine {
namespace {

using device::DmaEngineCard;

/// Where a PC's I/O APICs begin; interrupt messages lie behind.
constexpr std::uint64_t kInterruptController = 0xfec0'0000;

/// A stretch of the bus's addresses and whose it is.
struct Range {
  std::uint64_t base;
  std::uint64_t bytes;
  std::string whose;
  std::uint32_t line;

  [[nodiscard]] bool overlaps(const Range& other) const {
    return base - other.base < other.bytes || other.base - base < bytes;
  }
  [[nodiscard]] bool holds(const Range& inner) const {
    return inner.base >= base && inner.base - base <= bytes &&
           bytes - (inner.base - base) >= inner.bytes;
  }
  [[nodiscard]] std::string text() const {
    return fmt::format("{:#x} to {:#x}", base, base + bytes - 1);
  }
};

std::uint64_t bar_bytes(const CardConfig& card) {
  switch (card.model) {
    case CardConfig::Model::kPlain:
      return device::PlainCard::kBarBytes;
    case CardConfig::Model::kNvme:
      return nvme::NvmeCard::window_bytes(card.vfs);
    case CardConfig::Model::kDmaEngine:
      return DmaEngineCard::window_bytes(card.vfs, card.memory_bytes);
  }
  std::unreachable();
}

std::optional<std::uint64_t> splittable_bytes(const CardConfig& card, std::uint8_t bar) {
  return card.model == CardConfig::Model::kNvme ? nvme::NvmeCard::bar_bytes(bar)
                                                : DmaEngineCard::bar_bytes(bar, card.memory_bytes);
}

/// Checks in the order of the file; each gives what is wrong with a table, or nothing.
class Checker {
 public:
  Checker(const Config& config, const ConfigLines& lines) : config_(config), lines_(lines) {}

  struct Problem {
    std::uint32_t line;
    std::string what;
  };

  std::optional<Problem> check() {
    for (std::size_t i = 0; i < config_.root_ports.size(); ++i)
      if (auto what = check_port(config_.root_ports[i], lines_.root_ports.at(i)); !what.empty())
        return Problem{lines_.root_ports[i], std::move(what)};
    for (std::size_t i = 0; i < config_.root_ports.size(); ++i)
      if (auto what = check_function_0(config_.root_ports[i].bdf); !what.empty())
        return Problem{lines_.root_ports[i], std::move(what)};
    for (std::size_t i = 0; i < config_.cards.size(); ++i)
      if (auto problem = check_card(config_.cards[i], lines_.cards.at(i))) return problem;
    return {};
  }

 private:
  std::string check_port(const RootPortConfig& port, std::uint32_t line) {
    const std::string name = "root port " + port.bdf.str();
    if (port.bdf.domain != 0) return name + ": the machine has PCI domain 0000 alone";
    if (port.bdf.bus != 0) return name + ": a root port is on bus 00";
    if (auto what = take(port.bdf, line); !what.empty()) return what;
    const auto [other, is_new] = buses_.emplace(port.bus, line);
    if (!is_new)
      return fmt::format("{}: bus {} is already that of the root port in line {}", name, port.bus,
                         other->second);
    const Range window{raw(port.window), port.window_bytes, name, line};
    if (window.base % DmaEngineCard::kWindowAlignment != 0)
      return name + ": the window is not aligned to 1 MiB";
    if (window.base + window.bytes > raw(hw::WindowTable::kFirst))
      return fmt::format("{}: the window ({}) ends above {:#x}", name, window.text(),
                         raw(hw::WindowTable::kFirst) - 1);
    if (auto what = put(windows_, window); !what.empty()) return what;
    if (auto what = check_small_windows(port, name, line); !what.empty()) return what;
    return {};
  }

  /// Of 32-bit memory and of ports: a bridge's registers have bits 31:20 and 15:12.
  std::string check_small_windows(const RootPortConfig& port, const std::string& name,
                                  std::uint32_t line) {
    constexpr std::uint64_t kMemoryGranule = 1U << 20U, kIoGranule = 1U << 12U;
    const Range memory{raw(port.memory_window), port.memory_window_bytes, name, line};
    const Range io{raw(port.io_window), port.io_window_bytes, name, line};
    if (memory.base % kMemoryGranule != 0)
      return name + ": the memory_window is not aligned to 1 MiB";
    if (memory.bytes != 0 && memory.base + memory.bytes > kInterruptController)
      return fmt::format("{}: the memory_window ({}) ends above {:#x}", name, memory.text(),
                         kInterruptController - 1);
    if (io.base % kIoGranule != 0) return name + ": the io_window is not aligned to 4 KiB";
    if (io.bytes % kIoGranule != 0) return name + ": the io_window_kib is no multiple of 4";
    if (io.base + io.bytes > 0x1'0000) return name + ": the io_window ends above 0xffff";
    if (auto what = memory.bytes == 0 ? "" : put(windows_, memory); !what.empty()) return what;
    return io.bytes == 0 ? "" : put(io_windows_, io);
  }

  /// The expansion ROM and the ports of a card, in its port's windows.
  std::string check_small_bars(const CardConfig& card, const RootPortConfig& port,
                               const std::string& name, std::uint32_t line) {
    if (card.rom_bytes != 0) {
      const Range rom{raw(card.rom), card.rom_bytes, name, line};
      if (!Range{raw(port.memory_window), port.memory_window_bytes, "", 0}.holds(rom))
        return fmt::format("{}: its ROM ({}) is not in a memory_window of {}", name, rom.text(),
                           port.bdf.str());
      if (auto what = put(bars_, rom); !what.empty()) return what;
    }
    if (!card.io) return {};
    const Range io{raw(*card.io), device::IoPorts::kPorts, name, line};
    if (!Range{raw(port.io_window), port.io_window_bytes, "", 0}.holds(io))
      return fmt::format("{}: its ports ({}) are not in an io_window of {}", name, io.text(),
                         port.bdf.str());
    return put(ports_, io);
  }

  /// Nobody looks for the other functions of a device that has none: Linux's pci_scan_slot().
  std::string check_function_0(Bdf port) {
    const Bdf first{port.domain, port.bus, port.device, 0};
    if (taken_.contains(first)) return {};
    return fmt::format("root port {}: there is no function 0 at {}", port.str(), first.str());
  }

  std::optional<Problem> check_card(const CardConfig& card, const ConfigLines::Card& lines) {
    if (auto what = check_place(card, lines.line); !what.empty())
      return Problem{lines.line, std::move(what)};
    auto problem = check_namespaces(card, lines);
    if (!problem) problem = check_tdis(card, lines);
    if (problem) problem->what = fmt::format("card {}: {}", card.bdf.str(), problem->what);
    return problem;
  }

  std::string check_place(const CardConfig& card, std::uint32_t line) {
    const std::string name = "card " + card.bdf.str();
    if (card.bdf.domain != 0) return name + ": the machine has PCI domain 0000 alone";
    if (auto what = take(card.bdf, line); !what.empty()) return what;
    if (card.bdf.function != 0) return name + " is not at function 0";
    const RootPortConfig* port = nullptr;
    for (const RootPortConfig& p : config_.root_ports)
      if (p.bus == card.bdf.bus) port = &p;
    std::string below =
        name + " lies below no root port: " +
        (port == nullptr ? fmt::format("none has bus {}", card.bdf.bus)
                         : fmt::format("the window of {} does not hold", port->bdf.str()));
    if (port == nullptr) return below;
    if (auto what = take_functions(card, line); !what.empty()) return what;
    if (!std::has_single_bit(card.memory_bytes)) return name + ": memory_kib is no power of two";
    const Range bars{raw(card.window), bar_bytes(card), name, line};
    if (bars.base % DmaEngineCard::kWindowAlignment != 0)
      return name + ": window is not aligned to 1 MiB";
    if (!Range{raw(port->window), port->window_bytes, "", 0}.holds(bars))
      return fmt::format("{} its BARs ({})", below, bars.text());
    if (auto what = put(bars_, bars); !what.empty()) return what;
    return check_small_bars(card, *port, name, line);
  }

  /// Whether the files are there is looked at when the machine is made.
  std::optional<Problem> check_namespaces(const CardConfig& card, const ConfigLines::Card& lines) {
    std::map<unsigned, std::size_t> count;
    for (std::size_t i = 0; i < card.namespaces.size(); ++i) {
      const NamespaceConfig& space = card.namespaces[i];
      if (++count[space.function] > nvme::NvmeCard::kMaxNamespaces)
        return Problem{lines.namespaces.at(i),
                       fmt::format("function {} has more than {} namespaces", space.function,
                                   nvme::NvmeCard::kMaxNamespaces)};
      if (!space.file.empty() && !files_.insert(space.file).second)
        return Problem{lines.namespaces.at(i),
                       fmt::format("the file '{}' is two namespaces", space.file)};
    }
    return std::nullopt;
  }

  static std::optional<Problem> check_tdis(const CardConfig& card, const ConfigLines::Card& lines) {
    std::set<unsigned> functions;
    for (std::size_t i = 0; i < card.tdis.size(); ++i) {
      const TdiConfig& tdi = card.tdis[i];
      if (!functions.insert(tdi.function).second)
        return Problem{lines.tdis.at(i),
                       fmt::format("function {} has two [[card.tdi]]", tdi.function)};
      if (auto what = check_ranges(card, tdi.report.ranges); !what.empty())
        return Problem{lines.tdis.at(i), fmt::format("function {}: {}", tdi.function, what)};
    }
    return std::nullopt;
  }

  static std::string check_ranges(const CardConfig& card,
                                  const std::vector<device::ReportOptions::Range>& ranges) {
    // The MSI-X table and PBA are two more, and the other of a card's two BARs one.
    constexpr std::size_t kMost = device::MmioLayout::kMaxParts - 3;
    if (ranges.size() > kMost) return fmt::format("it has more than {} ranges", kMost);
    for (const auto& range : ranges) {
      const auto bytes = splittable_bytes(card, range.bar);
      if (!bytes) return fmt::format("BAR {} cannot be split into ranges", range.bar);
      if (!device::MmioLayout::covers(ranges, range.bar, *bytes))
        return fmt::format("the ranges of BAR {} do not have {} KiB in all", range.bar,
                           *bytes / 1024);
    }
    return {};
  }

  /// VFs have the routing IDs behind their PF's (PCIe 6.0, 9.3.3.9: First VF Offset 1).
  std::string take_functions(const CardConfig& card, std::uint32_t line) {
    const unsigned last = card.bdf.rid() + card.vfs;
    if (last >> 8U != card.bdf.bus)
      return fmt::format("card {}: {} VFs go beyond its bus", card.bdf.str(), card.vfs);
    for (unsigned rid = card.bdf.rid() + 1U; rid <= last; ++rid)
      if (auto what = take(Bdf::from_rid(static_cast<std::uint16_t>(rid), card.bdf.domain), line);
          !what.empty())
        return what;
    return {};
  }

  std::string take(Bdf bdf, std::uint32_t line) {
    const auto [other, is_new] = taken_.emplace(bdf, line);
    if (is_new) return {};
    return fmt::format("two functions at {}, the other of line {}", bdf.str(), other->second);
  }

  static std::string put(std::vector<Range>& all, const Range& range) {
    for (const Range& other : all)
      if (range.overlaps(other))
        return fmt::format("{}: {} overlaps {} of {} in line {}", range.whose, range.text(),
                           other.text(), other.whose, other.line);
    all.push_back(range);
    return {};
  }

  const Config& config_;
  const ConfigLines& lines_;
  std::map<Bdf, std::uint32_t> taken_;           ///< by whom, as a line
  std::map<std::uint8_t, std::uint32_t> buses_;  ///< likewise
  std::set<std::string> files_;                  ///< of namespaces
  std::vector<Range> windows_;
  std::vector<Range> bars_;
  std::vector<Range> io_windows_;
  std::vector<Range> ports_;  ///< of I/O BARs
};

}  // namespace

std::string check_topology(const Config& config, const ConfigLines& lines, std::string_view file) {
  const auto problem = Checker(config, lines).check();
  if (!problem) return {};
  return fmt::format("{}:{}: {}", file, problem->line, problem->what);
}

}  // namespace teeio::machine
