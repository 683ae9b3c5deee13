#pragma once

#include "hw/amd_iommu/amd_iommu.h"
#include "hw/amd_iommu/registers.h"
#include "hw/physical_memory.h"

namespace teeio::hw::test {

/// Tables, a command buffer and an event log in memory, as a driver has them. The device
/// table has entries for bus 0 only.
class AmdTables {
 public:
  AmdTables(PhysicalMemory& memory, AmdIommu& iommu)
      : memory_(memory), iommu_(iommu), devices_(page()) {
    (void)page();  // of the device table: 256 entries of 32 bytes are two pages
    commands_ = page();
    events_ = page();
    iommu.write_register(amd::kDeviceTable, raw(devices_) | 1U);
    iommu.write_register(amd::kCommandBase, raw(commands_) | std::uint64_t{8} << 56U);
    iommu.write_register(amd::kEventBase, raw(events_) | std::uint64_t{8} << 56U);
    iommu.write_register(amd::kControl,
                         amd::kIommuEnable | amd::kEventLogEnable | amd::kCommandEnable);
  }

  Hpa page() { return *memory_.alloc_page(); }
  void set(Hpa at, std::uint64_t value) { (void)memory_.write_u64(at, value); }
  [[nodiscard]] std::uint64_t get(Hpa at) { return *memory_.read_u64(at); }

  static constexpr std::uint64_t kReadWrite = amd::kDteRead | amd::kDteWrite;
  static constexpr std::uint64_t kAttached =
      amd::kDteValid | amd::kDteTranslationValid | kReadWrite;
  [[nodiscard]] Hpa device(std::uint16_t rid) const { return devices_ + rid * amd::kDteBytes; }
  void attach(std::uint16_t rid, Hpa root, unsigned mode, std::uint16_t domain,
              std::uint64_t flags = kAttached) {
    set(device(rid) + 8, domain);
    set(device(rid), raw(root) | std::uint64_t{mode} << amd::kDteMode | flags);
  }

  static std::uint64_t table_entry(Hpa to, unsigned next_level, std::uint64_t rights = kReadWrite) {
    return raw(to) | std::uint64_t{next_level} << amd::kPteNextLevel | amd::kPtePresent | rights;
  }
  /// The entry of `address` in a table of `level`.
  static Hpa slot(Hpa table, Iova address, unsigned level) {
    return table + (raw(address) >> (3 + 9 * level) & 0x1ffU) * 8;
  }
  /// The entry of a page in a table of `level`, through tables of each level below `mode`.
  Hpa leaf(Hpa root, Iova address, unsigned mode, unsigned level = 1) {
    Hpa table = root;
    for (unsigned at = mode; at > level; --at) {
      const Hpa entry = slot(table, address, at);
      if (get(entry) == 0) set(entry, table_entry(page(), at - 1));
      table = Hpa{get(entry) & amd::kAddressField};
    }
    return slot(table, address, level);
  }

  /// Queues a command and has it carried out.
  void command(std::uint64_t low, std::uint64_t high) {
    const std::uint64_t tail = iommu_.read_register(amd::kCommandTail);
    set(commands_ + tail, low);
    set(commands_ + tail + 8, high);
    iommu_.write_register(amd::kCommandTail, (tail + amd::kCommandBytes) % kPageSize);
  }
  static constexpr std::uint64_t opcode(amd::Command command) {
    return std::uint64_t{std::to_underlying(command)} << 60U;
  }
  void invalidate_device(std::uint16_t rid) {
    command(opcode(amd::Command::kInvalidateDevtabEntry) | rid, 0);
  }
  /// `high`: the address with its size bits.
  void invalidate_pages(std::uint16_t domain, std::uint64_t high) {
    command(opcode(amd::Command::kInvalidateIommuPages) | std::uint64_t{domain} << 32U, high);
  }
  [[nodiscard]] Hpa commands() const { return commands_; }
  [[nodiscard]] Hpa events() const { return events_; }

 private:
  PhysicalMemory& memory_;
  AmdIommu& iommu_;
  const Hpa devices_;
  Hpa commands_{0}, events_{0};
};

}  // namespace teeio::hw::test
