#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/iommu/vtd/driver.h"
#include "host/pci_tsm/ide_streams.h"
#include "host/sysfs/system.h"
#include "hw/capabilities.h"
#include "hw/root_port.h"
#include "unit/host/test_mailbox.h"

namespace teeio::sysfs::test {

/// A function that is nothing but its registers.
class FakeFunction final : public hw::PciFunction {
 public:
  FakeFunction(Bdf at, FakeFunction* pf) : bdf_(at), pf_(pf) {}
  [[nodiscard]] Bdf bdf() const override { return bdf_; }
  std::uint32_t config_read(std::uint16_t offset, unsigned size) override {
    return mailbox ? mailbox->read(offset, size) : config.read(offset, size);
  }
  void config_write(std::uint16_t offset, unsigned size, std::uint32_t value) override {
    config.write(offset, size, value);
    if (mailbox) mailbox->write(offset, size, value);
  }
  [[nodiscard]] const std::array<hw::Bar, hw::kBarCount>& bars() const override { return bar; }
  void reset(hw::ResetKind) override {}
  [[nodiscard]] hw::PciFunction* physical_function() override { return pf_; }
  void attach(hw::DmaPort&) override {}

  hw::ConfigSpace config;
  std::optional<hw::TestMailbox> mailbox;
  std::array<hw::Bar, hw::kBarCount> bar{};

 private:
  const Bdf bdf_;
  FakeFunction* const pf_;
};

inline constexpr Bdf kPort{.device = 1};
inline constexpr Bdf kCard{.bus = 1};
inline constexpr Bdf kVf{.bus = 1, .function = 1};
inline constexpr Bdf kPlain{.bus = 2};

/// Ports that answer with nothing, and count.
class FakePorts final : public hw::MmioTarget {
 public:
  void mmio_read(std::uint64_t, std::span<std::byte> out) override {
    std::ranges::fill(out, std::byte{0xff});
    ++accesses;
  }
  void mmio_write(std::uint64_t, ByteView) override { ++accesses; }
  int accesses = 0;
};

/// A TSM that connects by configuring one stream.
class FakeTsm final : public tsm::Driver {
 public:
  explicit FakeTsm(hw::RootPort& port) : port_(port) {}
  [[nodiscard]] std::string_view name() const override { return "fake"; }
  [[nodiscard]] std::string_view platform_device() const override { return "faux/fake_host"; }
  [[nodiscard]] tsm::TvmArch arch() const override { return tsm::TvmArch::kTdx; }
  Result<void> connect(hw::PciFunction& pf0) override {
    if (fail_connect) return fail(Errno::kIo, "the device does not answer");
    TEEIO_ASSIGN(stream_, streams().alloc(pf0, port_));
    TEEIO_TRY(streams().enter(*stream_, 5));
    streams().enter_tsm(*stream_, number());
    tsm::set_up_stream(stream_->endpoint, 5);
    tsm::set_up_stream(stream_->port, 5);
    return tsm::enable_stream(stream_->endpoint, 5);
  }
  void disconnect(hw::PciFunction&) override { streams().release(*stream_); }
  Result<void> bind(hw::PciFunction&, const tsm::Tdi&, kvm::Vm&) override { return {}; }
  void unbind(hw::PciFunction&, const tsm::Tdi&, kvm::Vm&, tsm::TeardownHandlers&) override {}
  tsm::GuestOutcome guest_request(hw::PciFunction&, const tsm::Tdi&, kvm::Vm&,
                                  const tsm::GuestRequest&) override {
    return fail(Errno::kInval, "no requests");
  }
  bool fail_connect = false;

 private:
  hw::RootPort& port_;
  tsm::IdeStream* stream_ = nullptr;
};

/// A root port with a TEE-I/O card that has one VF, and a plain card on the root
/// bus's second bus.
class FakeHost : public Host {
 public:
  FakeHost() {
    make_card();
    make_vf();
    make_plain();
    present_ = {
        {.pci = &port, .driver = "pcieport", .group = 0, .iommu = &*driver_},
        {.pci = &card, .driver = "vfio-pci", .group = 1, .iommu = &*driver_, .vfio_minor = 0},
        {.pci = &vf, .driver = "vfio-pci", .group = 2, .iommu = &*driver_, .vfio_minor = 1},
        {.pci = &plain, .driver = "", .group = 3, .iommu = &*driver_}};
    for (const Function& function : present_) tsm_.add_function(*function.pci);
  }

  [[nodiscard]] std::vector<Function> functions() override { return present_; }
  [[nodiscard]] bool has(Bdf bdf) override {
    return std::ranges::any_of(present_, [bdf](const Function& f) { return f.pci->bdf() == bdf; });
  }
  [[nodiscard]] tsm::PciTsm& tsm() override { return tsm_; }
  [[nodiscard]] object::Trace& trace() override { return trace_; }
  [[nodiscard]] unsigned cpus() override { return 2; }
  [[nodiscard]] bool in_use(Bdf bdf) override { return bdf == used; }
  [[nodiscard]] bool shows_kvm() override { return true; }
  [[nodiscard]] bool has_type1() override { return true; }
  [[nodiscard]] std::shared_ptr<void> keep_awake(Bdf) override { return nullptr; }
  Result<void> reset(Bdf bdf) override {
    calls.push_back("reset " + bdf.str());
    if (fail_reset) return fail(Errno::kBusy, "the function is bound");
    return {};
  }
  void reach(Bdf bdf, const std::function<void(bool bound)>& access) override {
    access(!tsm_.bound_to(bdf).empty());
  }
  void with_device_lock(Bdf, const std::function<void()>& change) override { change(); }
  Result<std::size_t> read_rom(Bdf, std::uint64_t, std::span<std::byte>) override {
    return fail(Errno::kIo, "there is none");
  }
  Result<void> map_bar(Bdf bdf, std::size_t bar, mm::MappedFile&, std::uint64_t offset,
                       std::uint64_t length) override {
    calls.push_back("map " + bdf.str() + " BAR" + std::to_string(bar) + " " +
                    std::to_string(offset) + "+" + std::to_string(length));
    return {};
  }
  void unmap_bar(mm::MappedFile&) override { calls.emplace_back("unmap"); }
  void remove(Bdf bdf) override {
    calls.push_back("remove " + bdf.str());
    std::erase_if(present_, [&](const Function& f) { return f.pci->bdf() == bdf; });
  }
  Result<void> bind_vfio(Bdf bdf) override {
    at(bdf).driver = "vfio-pci";
    at(bdf).vfio_minor = 7;
    return {};
  }
  Result<void> unbind_vfio(Bdf bdf) override {
    at(bdf).driver.clear();
    at(bdf).vfio_minor.reset();
    return {};
  }

  [[nodiscard]] bool has_native_driver() override { return native; }
  Result<void> bind_native(Bdf bdf) override {
    at(bdf).driver = "native";
    return {};
  }
  Result<void> unbind_native(Bdf bdf) override {
    at(bdf).driver.clear();
    return {};
  }
  std::vector<Bdf> rescan(std::optional<Bdf> bus) override {
    calls.push_back(bus ? "rescan " + bus->str() : "rescan");
    return {};
  }
  Result<bool> set_virtual_functions(Bdf bdf, std::uint16_t count, bool vfio_may) override {
    calls.push_back("set " + std::to_string(count) + " VFs of " + bdf.str() +
                    (vfio_may ? "" : ", not through vfio-pci"));
    return true;
  }

  Function& at(Bdf bdf) {
    return *std::ranges::find_if(present_, [&](auto& f) { return f.pci->bdf() == bdf; });
  }

 private:
  object::Trace trace_;
  hw::PhysicalMemory memory_{std::uint64_t{1} << 20U};
  hw::VtdIommu iommu_{memory_, trace_, 0};
  std::unique_ptr<vtd::Driver> driver_ =
      *vtd::Driver::create(memory_, iommu_, vtd::DefaultDomain::kTranslated);
  tsm::PciTsm tsm_{trace_};
  std::vector<Function> present_;

  static hw::RootPort::Options port_options() {
    hw::RootPort::Options made;
    made.bdf = kPort;
    made.header.identity = {.vendor = 0x8086, .device = 0x352a, .class_code = 0x060400};
    made.header.secondary = 1;
    made.header.subordinate = 1;
    made.header.memory = {.base = 0xe000'0000, .last = 0xe0ff'ffff};
    made.header.prefetchable = {.base = 0x38'0000'0000, .last = 0x38'3fff'ffff};
    made.ide_streams = 4;
    made.tee_io = true;
    return made;
  }
  static hw::Identity identity() {
    return {.vendor = 0x1af4,
            .device = 0x10c9,
            .class_code = 0x088000,
            .revision = 1,
            .subsystem_vendor = 0x1af4,
            .subsystem = 0x1100};
  }
  void make_card() {
    card.bar[0] = {.kind = hw::Bar::Kind::kMemory32, .size = 0x10000, .base = Hpa{0xe000'0000}};
    card.bar[2] = {.kind = hw::Bar::Kind::kMemory64,
                   .prefetchable = true,
                   .size = 0x100000,
                   .base = Hpa{0x38'0000'0000}};
    hw::add_endpoint_header(card.config, identity(), card.bar);
    hw::add_power_management(card.config);
    hw::add_pci_express(card.config, {.function_level_reset = true, .tee_io = true});
    ide_ = std::make_unique<hw::IdePort>(card.config, 2);
    // There are no keys: whatever is enabled counts as Secure.
    card.config.set(static_cast<std::uint16_t>(ide_->offset() + 0x0c + 8), 4, 2);
    card.mailbox.emplace(card.config);
    const std::uint16_t sriov = card.config.add_extended_capability(0x10, 1, 0x40);
    card.config.set(static_cast<std::uint16_t>(sriov + 0x0e), 2, 1);       // TotalVFs
    card.config.set(static_cast<std::uint16_t>(sriov + 0x10), 2, 1);       // NumVFs
    card.config.set(static_cast<std::uint16_t>(sriov + 0x14), 2, 1);       // first offset
    card.config.set(static_cast<std::uint16_t>(sriov + 0x16), 2, 1);       // stride
    card.config.set(static_cast<std::uint16_t>(sriov + 0x1a), 2, 0x10ca);  // VF device
  }
  void make_vf() {
    vf.bar[0] = {.kind = hw::Bar::Kind::kMemory32, .size = 0x1000, .base = Hpa{0xe010'0000}};
    hw::Identity id = identity();
    id.vendor = id.device = 0xffff;
    hw::add_endpoint_header(vf.config, id, {});
    hw::add_pci_express(vf.config, {.function_level_reset = true, .tee_io = true});
  }
  void make_plain() {
    hw::add_endpoint_header(plain.config, identity(), {});
    hw::add_pci_express(plain.config, {});
  }

 public:
  hw::RootPort port{trace_, port_options()};
  FakeFunction card{kCard, nullptr};
  FakeFunction vf{kVf, &card};
  FakePorts ports;
  FakeFunction plain{kPlain, nullptr};
  Bdf used{.domain = 0xffff};
  bool fail_reset = false;
  bool native = false;
  std::vector<std::string> calls;

 private:
  std::unique_ptr<hw::IdePort> ide_;
};

inline const std::string kPortDir = "/sys/devices/pci0000:00/0000:00:01.0";
inline const std::string kCardDir = kPortDir + "/0000:01:00.0";
inline const std::string kVfDir = kPortDir + "/0000:01:00.1";
inline const std::string kPlainDir = "/sys/devices/pci0000:00/0000:02:00.0";

/// The text of an attribute; the errno's name, or "-" without one.
inline std::string show(System& system, const std::string& path) {
  const auto node = system.tree().find(path);
  if (!node || !node->attribute || !node->attribute->show) return "-";
  const auto text = node->attribute->show();
  return text ? *text : std::string(errno_name(text.error().code));
}

/// "ok", the errno's name, or "-" when there is nothing to write to.
inline std::string store(System& system, const std::string& path, std::string_view text) {
  const auto node = system.tree().find(path);
  if (!node || !node->attribute || !node->attribute->store) return "-";
  const auto stored = node->attribute->store(text);
  return stored ? "ok" : std::string(errno_name(stored.error().code));
}

inline bool exists(System& system, const std::string& path) {
  return system.tree().find(path).has_value();
}

}  // namespace teeio::sysfs::test
