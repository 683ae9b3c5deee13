#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "host/iommu/vtd/driver.h"
#include "host/iommufd/context.h"
#include "host/iommufd/hwpt.h"
#include "host/iommufd/vdevice.h"
#include "host/iommufd/viommu.h"
#include "host/kvm/kvm.h"
#include "host/mm/plain_files.h"
#include "host/mm/plain_memory.h"
#include "host/pci_tsm/pci_tsm.h"
#include "hw/capabilities.h"
#include "hw/find_capability.h"
#include "hw/vtd/vtd_iommu.h"
#include "unit/host/test_mailbox.h"

namespace teeio::iommufd {

/// A function whose card has a DSM, as far as config space says so.
class TestFunction final : public hw::PciFunction {
 public:
  explicit TestFunction(Bdf bdf) : bdf_(bdf) {
    hw::add_endpoint_header(config_, {.vendor = 0x1af4, .device = 1}, bars_);
    hw::add_pci_express(config_, {.tee_io = true});
  }
  [[nodiscard]] Bdf bdf() const override { return bdf_; }
  std::uint32_t config_read(std::uint16_t offset, unsigned size) override {
    return mailbox_.read(offset, size);
  }
  void config_write(std::uint16_t offset, unsigned size, std::uint32_t value) override {
    mailbox_.write(offset, size, value);
  }
  [[nodiscard]] const std::array<hw::Bar, hw::kBarCount>& bars() const override { return bars_; }
  void reset(hw::ResetKind) override {}
  [[nodiscard]] hw::PciFunction* physical_function() override { return nullptr; }
  void attach(hw::DmaPort&) override {}

 private:
  const Bdf bdf_;
  std::array<hw::Bar, hw::kBarCount> bars_{};
  hw::ConfigSpace config_;
  hw::TestMailbox mailbox_{config_};
};

/// What a program gives that has nothing for its IOMMU's driver.
struct NoData final : iommu::UserData {
  explicit NoData(std::uint32_t type = 0, std::uint32_t length = 0) : UserData(type, length, 1) {}
  Result<void> read(std::uint32_t, std::uint32_t, std::span<std::byte>) override {
    return fail(Errno::kFault, "there is no data");
  }
  Result<void> write(ByteView) override { return fail(Errno::kFault, "there is no data"); }
};
inline NoData no_data;

/// A TSM that says yes, and remembers what it was asked.
class TestTsm final : public tsm::Driver {
 public:
  [[nodiscard]] std::string_view name() const override { return "test"; }
  [[nodiscard]] std::string_view platform_device() const override { return "faux/test_host"; }
  [[nodiscard]] tsm::TvmArch arch() const override { return tsm::TvmArch::kTdx; }
  Result<void> connect(hw::PciFunction&) override { return {}; }
  void disconnect(hw::PciFunction&) override {}
  Result<void> bind(hw::PciFunction&, const tsm::Tdi& tdi, kvm::Vm&) override {
    if (fail_bind) return fail(Errno::kIo, "the firmware refuses");
    bound.push_back(tdi.tdi_id);
    return {};
  }
  void unbind(hw::PciFunction&, const tsm::Tdi& tdi, kvm::Vm&, tsm::TeardownHandlers&) override {
    unbound.push_back(tdi.tdi_id);
  }
  tsm::GuestOutcome guest_request(hw::PciFunction&, const tsm::Tdi&, kvm::Vm&,
                                  const tsm::GuestRequest&) override {
    return {Bytes{std::byte{1}}, 7};
  }
  bool fail_bind = false;
  std::vector<std::uint32_t> bound, unbound;
};

class TestDevice final : public DeviceHandle {
 public:
  TestDevice(Bdf bdf, std::uint32_t group, iommu::Iommu& iommu)
      : bdf_(bdf), group_(group), iommu_(iommu) {}
  [[nodiscard]] Bdf bdf() const override { return bdf_; }
  [[nodiscard]] std::uint32_t iommu_group() const override { return group_; }
  [[nodiscard]] iommu::Iommu& iommu() const override { return iommu_; }

 private:
  const Bdf bdf_;
  const std::uint32_t group_;
  iommu::Iommu& iommu_;
};

/// Two functions of one card in a group each, a third in the second's group, an
/// IOMMU, a TSM that is connected, and a program.
struct Machine {
  static constexpr Bdf kFirst{0, 1, 0, 0};
  static constexpr Bdf kSecond{0, 1, 0, 1};
  static constexpr Bdf kThird{0, 1, 0, 2};

  explicit Machine(Policies policies = {}) : environment{memory, trace, &pci_tsm, policies} {
    trace.keep_events(true);
    for (const auto& [bdf, group] : {std::pair{kFirst, 1U}, {kSecond, 2U}, {kThird, 2U}}) {
      EXPECT_TRUE(driver->probe(bdf, group).has_value());
      pci_tsm.add_function(*functions.emplace_back(std::make_unique<TestFunction>(bdf)));
    }
    pci_tsm.register_tsm(tsm);
    EXPECT_TRUE(pci_tsm.connect(kFirst, "tsm0").has_value());
  }

  /// Where a T=0 request of `device` arrives, or nullopt for a fault.
  std::optional<Hpa> reach(Bdf device, std::uint64_t iova,
                           hw::DmaAccess access = hw::DmaAccess::kRead) {
    const auto found = iommu.translate(device.rid(), hw::TBit::kShared, Iova{iova}, access);
    return found.has_value() ? std::optional(found->address) : std::nullopt;
  }
  std::optional<std::byte> dma_read(Bdf device, std::uint64_t iova) {
    const auto at = reach(device, iova);
    std::byte value{};
    if (!at || !memory.read(*at, {&value, 1}).has_value()) return std::nullopt;
    return value;
  }
  object::Ref<object::File> make_vm() { return *kvm.create_vm(0, 1); }
  std::size_t count(object::Fact fact) const {
    std::size_t n = 0;
    for (const object::Event& event : trace.events()) n += event.fact == fact;
    return n;
  }

  hw::PhysicalMemory memory{std::uint64_t{16} << 20U};
  object::Trace trace;
  hw::VtdIommu iommu{memory, trace, 0};
  std::unique_ptr<vtd::Driver> driver =
      *vtd::Driver::create(memory, iommu, vtd::DefaultDomain::kTranslated);
  kvm::Kvm kvm{memory, nullptr, trace};
  std::vector<std::unique_ptr<TestFunction>> functions;
  TestTsm tsm;
  tsm::PciTsm pci_tsm{trace};
  Environment environment;
  mm::PlainMemory program;
  TestDevice first{kFirst, 1, *driver};
  TestDevice second{kSecond, 2, *driver};
  TestDevice third{kThird, 2, *driver};
};

inline constexpr std::uint32_t kReadWrite = Context::kMapReadable | Context::kMapWriteable;
inline constexpr std::uint32_t kFixed = kReadWrite | Context::kMapFixedIova;

template <class T>
Errno error_of(const Result<T>& result) {
  EXPECT_FALSE(result.has_value());
  return result.has_value() ? Errno{} : result.error().code;
}

}  // namespace teeio::iommufd
