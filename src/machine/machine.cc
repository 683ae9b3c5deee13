#include "machine/machine.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "host/sysfs/pci_identity.h"
#include "hw/pasid_capability.h"
#include "hw/ram.h"
#include "machine/parts.h"
#include "machine/root_ports.h"
#include "machine/spdm_setup.h"
#include "machine/tee_cards.h"
#include "machine/vendors.h"
#include "object/file.h"

namespace teeio::machine {

Machine::Impl::~Impl() = default;

Result<void> Machine::Impl::build() {
  const auto vendor = std::ranges::find(vendors(), config.tsm, &Vendor::kind);
  if (vendor == vendors().end()) return fail(Errno::kInval, "there is no such TSM");
  TEEIO_ASSIGN(platform, vendor->make({config, memory, events}));
  TEEIO_TRY(build_hardware());
  TEEIO_TRY(platform->boot(ports));
  TEEIO_TRY(build_kernel());
  TEEIO_TRY(build_cards());
  if (platform->driver() != nullptr) (void)pci_tsm.register_tsm(*platform->driver());
  sysfs_system = std::make_unique<sysfs::System>(*this);
  dispatch = std::make_unique<entry::Dispatch>(*host, *this, *sysfs_system);
  return {};
}

Result<void> Machine::Impl::build_hardware() {
  bridge = std::make_unique<hw::HostBridge>(memory, events, interrupts);
  for (const RootPortConfig& port : config.root_ports) {
    ports.push_back(make_root_port(events, port));
    bridge->add_root_port(*ports.back(), platform->iommu(port.iommu));
  }
  return {};
}

hw::MmioTarget* Machine::Impl::trusted_bar(hw::PciFunction& function, std::size_t number,
                                           std::uint32_t iommu) {
  hw::MmioTarget* const device = function.private_bar(number);
  const hw::RootPort* const port = bridge->root_port_of(function.bdf());
  if (device == nullptr || port == nullptr) return nullptr;
  trusted_bars.push_back(
      std::make_unique<hw::TrustedMmio>(*port, function.bars().at(number).base, *device));
  return platform->trusted_mmio(function.bdf(), iommu, trusted_bars.back().get());
}

/// The functions of every card, on the bus and in the memory map.
void Machine::Impl::add_function(hw::PciFunction& function, std::uint32_t iommu,
                                 CardConfig::Driver driver) {
  bridge->add_function(function, platform->iommu(iommu));
  function.attach(*bridge);
  for (std::size_t number = 0; number < hw::kBarCount; ++number) {
    const hw::Bar& bar = function.bars()[number];
    if (!bar.is_memory() || bar.target == nullptr) continue;
    (void)memory.claim_mmio(bar.base, bar.size, *bar.target, trusted_bar(function, number, iommu));
  }
  if (const hw::Bar* rom = function.rom(); rom != nullptr)
    (void)memory.claim_mmio(rom->base, rom->size, *rom->target);
  pci_tsm.add_function(function);
  const bool vf = function.physical_function() != nullptr;
  const bool native = driver == CardConfig::Driver::kNative;
  const bool sriov = !vf && sysfs::sriov(function).has_value();
  const std::uint32_t group = group_of(function.bdf().bus);
  (void)iommu_drivers[iommu]->probe(function.bdf(), group, hw::pasid_width(function));
  // Linux's drivers enable it in probe_device() where they can use it.
  if (iommu_drivers[iommu]->max_pasids(group) != 0) hw::enable_pasid(function);
  // The driver core's pci_dma_configure().
  if (native)
    TEEIO_CHECK(iommu_drivers[iommu]->use_default_domain(group).has_value(),
                "a group is owned before the machine runs");
  device_locks.try_emplace(function.bdf(), schedule::Rank::kUnranked);
  const schedule::WriteLock lock(bus_lock);
  auto& set = vf ? vf_sets[function.bdf()] : sets[function.bdf().bus];
  if (set == nullptr) set = std::make_unique<vfio::DeviceSet>();
  Slot entry{.function = &function, .iommu = iommu, .group = group, .set = set.get(), .vfio = {}};
  Slot& added = slots.emplace(function.bdf(), std::move(entry)).first->second;
  added.sriov = sriov;
  if (driver == CardConfig::Driver::kVfio) (void)attach_vfio(added);
  added.native = native;
}

Result<void> Machine::Impl::build_kernel() {
  for (std::uint32_t id = 0; id < config.iommus; ++id) {
    TEEIO_ASSIGN(auto driver, platform->iommu_driver(id));
    iommu_drivers.push_back(std::move(driver));
  }
  cpu_factory = platform->cpu_factory();
  kvm = std::make_unique<kvm::Kvm>(memory, cpu_factory.get(), events);
  kvm->add_type(sw_protected);
  for (kvm::VmTypeFactory* type : platform->vm_types()) kvm->add_type(*type);
  iommufd::Policies policies = config.iommufd;
  policies.bind_owner = config.bind_owner;
  iommufd_environment = std::make_unique<iommufd::Environment>(
      memory, events, platform->driver() != nullptr ? &pci_tsm : nullptr, policies,
      config.iommufd_mock ? &pins : nullptr);
  if (config.iommufd_mock) bench = std::make_unique<mock::Bench>(memory, pins);
  host = std::make_unique<entry::Host>(entry::Host{.trace = events,
                                                   .iommufd = *iommufd_environment,
                                                   .kvm = *kvm,
                                                   .tsm = pci_tsm,
                                                   .profile = config.profile,
                                                   .container = config.container,
                                                   .bench = bench.get(),
                                                   .fail_nth = fail_nth()});
  return {};
}

/// pci_device_group(): a function's own, unless the port above it lets functions below it
/// talk to each other.
std::uint32_t Machine::Impl::group_of(std::uint8_t bus) {
  const auto port = std::ranges::find(config.root_ports, bus, &RootPortConfig::bus);
  if (port == config.root_ports.end() || port->acs) return next_group++;
  const schedule::ReadLock lock(bus_lock);
  return slots.at(port->bdf).group;
}

std::uint32_t Machine::Impl::iommu_below(std::uint8_t bus) const {
  const auto port = std::ranges::find(config.root_ports, bus, &RootPortConfig::bus);
  return port == config.root_ports.end() ? 0 : port->iommu;
}

Result<void> Machine::Impl::build_cards() {
  for (std::size_t i = 0; i < ports.size(); ++i) {
    pci_tsm.streams().arrive(*ports[i]);
    device_locks.try_emplace(ports[i]->bdf(), schedule::Rank::kUnranked);
    const schedule::WriteLock lock(bus_lock);
    slots.emplace(ports[i]->bdf(), Slot{.function = ports[i].get(),
                                        .iommu = config.root_ports[i].iommu,
                                        .group = next_group++,
                                        .set = {},
                                        .vfio = {}});
  }
  for (const CardConfig& card : config.cards) {
    const std::uint32_t iommu = iommu_below(card.bdf.bus);
    if (card.model == CardConfig::Model::kPlain) {
      plain_cards.push_back(std::make_unique<device::PlainCard>(
          events, device::PlainCard::Options{.bdf = card.bdf,
                                             .window = card.window,
                                             .io = card.io,
                                             .rom = card.rom,
                                             .rom_bytes = card.rom_bytes}));
      add_function(plain_cards.back()->function(), iommu, card.driver);
      continue;
    }
    TEEIO_ASSIGN(auto made, make_tee_card(events, card, {.spdm = card_spdm(card, config)}));
    tee_cards.push_back(std::move(made));
    for (hw::PciFunction* function : tee_cards.back()->functions())
      add_function(*function, iommu,
                   function->physical_function() == nullptr ? card.driver : card.vf_driver);
  }
  return {};
}

Result<std::unique_ptr<Machine>> Machine::create(const Config& config) {
  if (!hw::ram_fits(config.memory_bytes))
    return fail(Errno::kNoMem,
                "memory_mib is more than this process may map (ulimit -v): give it less, or the "
                "process more");
  auto impl = std::make_unique<Impl>(config);
  TEEIO_TRY(impl->build());
  return std::unique_ptr<Machine>(new Machine(std::move(impl)));
}

Machine::Machine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Machine::~Machine() = default;

entry::SystemCalls& Machine::system_calls() { return *impl_->dispatch; }
object::Trace& Machine::trace() { return impl_->events; }
const Config& Machine::config() const { return impl_->config; }

Result<void> Machine::connect_cards() {
  const std::vector<std::uint32_t> tsms = impl_->pci_tsm.tsms();
  if (tsms.empty()) return fail(Errno::kNxio, "the machine has no TSM");
  const std::string name = fmt::format("tsm{}", tsms.front());
  for (const auto& card : impl_->tee_cards)
    TEEIO_TRY(impl_->pci_tsm.connect(card->functions().front()->bdf(), name));
  impl_->sysfs_system->refresh();
  return {};
}

Result<void> Machine::disconnect_cards() {
  // As in a write to sysfs: a file whose last reference goes on the way is released at the
  // end, not under the locks of who dropped it.
  const object::DelayedPuts puts;
  for (const auto& card : impl_->tee_cards) {
    const Bdf bdf = card->functions().front()->bdf();
    TEEIO_TRY(impl_->pci_tsm.disconnect(bdf, impl_->pci_tsm.connected_to(bdf)));
  }
  impl_->sysfs_system->refresh();
  return {};
}

Result<void> Machine::refresh_keys() {
  for (const auto& card : impl_->tee_cards)
    TEEIO_TRY(impl_->pci_tsm.refresh_keys(card->functions().front()->bdf()));
  return {};
}

void Machine::remove_function(Bdf bdf) {
  const object::DelayedPuts puts;
  impl_->remove(bdf);
  impl_->sysfs_system->refresh();
}

void Machine::remove_tsm() {
  const object::DelayedPuts puts;
  for (const std::uint32_t number : impl_->pci_tsm.tsms()) impl_->pci_tsm.unregister_tsm(number);
  impl_->sysfs_system->refresh();
}

void Machine::restore_tsm() {
  if (impl_->platform->driver() != nullptr && impl_->pci_tsm.tsms().empty())
    (void)impl_->pci_tsm.register_tsm(*impl_->platform->driver());
  impl_->sysfs_system->refresh();
}

bool Machine::has_tsm() { return !impl_->pci_tsm.tsms().empty(); }

void Machine::shut_down() {
  const object::DelayedPuts puts;
  for (const auto& function : impl_->functions()) {
    const Bdf bdf = function.pci->bdf();
    if (impl_->pci_tsm.dsm_of(bdf) == bdf.str())
      (void)impl_->pci_tsm.disconnect(bdf, impl_->pci_tsm.connected_to(bdf));
  }
  impl_->sysfs_system->refresh();
}

void Machine::leave_kvm_to_host() {
  impl_->host_kvm = true;
  impl_->sysfs_system->refresh();
}

}  // namespace teeio::machine
