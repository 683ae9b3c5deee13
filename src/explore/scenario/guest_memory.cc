// Who may reach which memory while something changes: guest_memfd, private MMIO,
// mmaped BARs, IOVAs.

#include <linux/falloc.h>

#include <string>
#include <utility>

#include "base/check.h"
#include "explore/scenario/stage.h"
#include "explore/scenario/themes.h"
#include "host/mm/plain_caller.h"
#include "host/vfio/device.h"

namespace teeio::explore {
namespace {

using machine::Config;

constexpr Gpa kRam{0x10'0000};
constexpr std::uint64_t kMappedBar = std::uint64_t{2} << vfio::kRegionShift;

/// A VMM with a VM that may run, or is about to be built, and a page of private RAM, not
/// mapped yet.
struct PrivateRam {
  explicit PrivateRam(Stage& stage) : PrivateRam(stage, stage.vendor().make_runnable) {}
  PrivateRam(Stage& stage, Result<void> (*get_ready)(Vmm&)) : vmm(stage.vmm()) {
    must(vmm.make_vm(stage.vm_type()));
    must(get_ready(vmm));
    abi::kvm_create_guest_memfd create{};
    create.size = kPageSize;
    const auto made = vmm.ioctl(vmm.vm, KVM_CREATE_GUEST_MEMFD, create);
    TEEIO_CHECK(made.has_value(), "a guest_memfd can be made");
    gmem = static_cast<int>(*made);
    abi::kvm_userspace_memory_region2 region{};
    region.slot = 3;
    region.flags = KVM_MEM_GUEST_MEMFD;
    region.guest_phys_addr = raw(kRam);
    region.memory_size = kPageSize;
    region.userspace_addr = source = vmm.memory().map(kPageSize);
    region.guest_memfd = static_cast<std::uint32_t>(gmem);
    must(vmm.set_region(region));
    must(vmm.set_private(kRam, kPageSize));
  }
  void punch_hole() {
    mm::PlainCaller caller(vmm.process());
    const auto file = vmm.file(gmem);
    TEEIO_CHECK(file.has_value(), "the guest_memfd is open");
    must(vmm.machine().system_calls().fallocate(
        caller, **file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kPageSize));
  }
  Vmm& vmm;
  int gmem = -1;
  std::uint64_t source = 0;  ///< a page of the program's
};

/// The page that a hole gives back is the next one that another VM gets.
void punch_hole_against_fault(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  PrivateRam one(stage), other(stage);
  must(one.vmm.pre_fault(kRam));
  Result<void> faulted;
  stage.play({{"puncher", [&] { one.punch_hole(); }},
              {"other-vm", [&] { faulted = other.vmm.pre_fault(kRam); }}});
  TEEIO_CHECK(faulted.has_value(), "a VM was given a page that another one still has");
}

/// kvm_gmem_populate() holds filemap_invalidate_lock: a hole comes before a page is the
/// guest's or after it, and what it gives back is the next one that another VM gets.
void populate_against_punch_hole(const Config& design) {
  Config builds = design;
  builds.guest_code = design.tsm == machine::TsmKind::kCca;  // else a realm is active at once
  Stage stage(builds, Stage::Card::kAsAtBoot);
  // A realm that has code of its own is active, and may use devices, from its first run on.
  if (builds.guest_code) stage.has_no_next_life();
  const Vendor& vendor = stage.vendor();
  PrivateRam one(stage, vendor.begin_populate), other(stage, vendor.begin_populate);
  Result<void> populated;
  stage.play({{"builder", [&] { populated = vendor.populate(one.vmm, kRam, one.source); }},
              {"puncher", [&] { one.punch_hole(); }}});
  TEEIO_CHECK(populated.has_value(), "a hole kept a page from being populated");
  TEEIO_CHECK(vendor.populate(other.vmm, kRam, other.source).has_value(),
              "a VM was given a page that another one still has");
}

// --- A VM that is being built ---

/// KVM_TDX_FINALIZE_VM, KVM_SEV_SNP_LAUNCH_FINISH. Precondition: it has its vCPU.
Result<void> finish_launch(Vmm& vmm, machine::TsmKind tsm) {
  if (tsm == machine::TsmKind::kTdx) return vmm.tdx(vmm.vm, abi::KVM_TDX_FINALIZE_VM, 0);
  return vmm.sev(abi::KVM_SEV_SNP_LAUNCH_FINISH,
                 vmm.store(bytes_of(abi::kvm_sev_snp_launch_finish{})));
}

Result<void> (*begin_launch(machine::TsmKind tsm))(Vmm&) {
  if (tsm != machine::TsmKind::kTdx) return [](Vmm& vmm) { return vmm.make_vcpu(); };
  return [](Vmm& vmm) -> Result<void> {
    TEEIO_TRY(vmm.make_vcpu());
    return vmm.tdx(vmm.vcpu, abi::KVM_TDX_INIT_VCPU, 0);
  };
}

/// A page is measured before the launch ends, or not at all.
void populate_against_finish(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  const Vendor& vendor = stage.vendor();
  PrivateRam ram(stage, begin_launch(design.tsm));
  Result<void> finished;
  stage.play({{"builder", [&] { (void)vendor.populate(ram.vmm, kRam, ram.source); }},
              {"finisher", [&] { finished = finish_launch(ram.vmm, vendor.tsm); }}});
  TEEIO_CHECK(finished.has_value(), "a page kept a launch from its end");
  TEEIO_CHECK(!vendor.populate(ram.vmm, kRam, ram.source).has_value(),
              "a VM that is launched takes a further first page");
}

void populate_twice(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  const Vendor& vendor = stage.vendor();
  PrivateRam ram(stage, begin_launch(design.tsm));
  Result<void> one, two;
  stage.play({{"one", [&] { one = vendor.populate(ram.vmm, kRam, ram.source); }},
              {"two", [&] { two = vendor.populate(ram.vmm, kRam, ram.source); }}});
  TEEIO_CHECK(one.has_value() != two.has_value(), "a page was populated twice, or never");
}

void finish_twice(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  PrivateRam ram(stage, begin_launch(design.tsm));
  const machine::TsmKind tsm = design.tsm;
  Result<void> one, two;
  stage.play({{"one", [&] { one = finish_launch(ram.vmm, tsm); }},
              {"two", [&] { two = finish_launch(ram.vmm, tsm); }}});
  TEEIO_CHECK(one.has_value() != two.has_value(), "a launch ended twice, or never");
}

void vcpu_against_finish(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  PrivateRam ram(stage, begin_launch(design.tsm));
  Result<void> finished;
  stage.play({{"maker",
               [&] {
                 const auto fd = ram.vmm.ioctl(ram.vmm.vm, KVM_CREATE_VCPU, std::uint64_t{1});
                 if (fd && design.tsm == machine::TsmKind::kTdx)
                   (void)ram.vmm.tdx(static_cast<int>(*fd), abi::KVM_TDX_INIT_VCPU, 0);
               }},
              {"finisher", [&] { finished = finish_launch(ram.vmm, design.tsm); }}});
  TEEIO_CHECK(finished.has_value(), "a vCPU kept a launch from its end");
}

void fail_private_ram(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  PrivateRam ram(stage);
  stage.play();
  must(ram.vmm.pre_fault(kRam));
  ram.punch_hole();
}

/// Private MMIO that no fault has mapped yet.
Result<void> prepare_mmio(Vmm& vmm) {
  TEEIO_ASSIGN(vmm.mmio_buffer, vmm.export_bar(2, kPageSize));
  TEEIO_TRY(vmm.set_mmio_slot());
  return vmm.set_private(kMmioGpa, kPageSize);
}

void fault_against_unbind(const Config& design) {
  Stage stage(design);
  stage.vm_may_die();  // a guest that touches private MMIO of a TDI that is unbound
  Vmm& vmm = stage.locked();
  must(stage.make_runnable(vmm));
  must(prepare_mmio(vmm));
  stage.play({{"vCPU", [&] { (void)vmm.pre_fault(kMmioGpa); }},
              {"unbinder", [&] { (void)stage.unbind(vmm); }}});
}

/// The program may map a BAR again as soon as memory is enabled.
void memory_enable_against_bind(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.ready();
  must(vmm.mmap(vmm.vfio, kMappedBar, kPageSize));
  constexpr std::uint64_t kCommand = (std::uint64_t{vfio::kConfigRegion} << vfio::kRegionShift) + 4;
  std::uint16_t command = 0;
  TEEIO_CHECK(vmm.pread(vmm.vfio, kCommand, writable_bytes_of(command)).has_value(),
              "the command register can be read");
  const auto write = [&](std::uint16_t value) {
    return vmm.pwrite(vmm.vfio, kCommand, bytes_of(value));
  };
  constexpr std::uint16_t kMemory = 2;
  const auto off = static_cast<std::uint16_t>(command & ~kMemory);
  const auto on = static_cast<std::uint16_t>(command | kMemory);
  TEEIO_CHECK(write(off).has_value(), "memory can be switched off");
  stage.play({{"binder", [&] { (void)stage.bind(vmm); }}, {"program", [&] { (void)write(on); }}});
}

void dma_buf_after_reset(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.ready();
  const auto early = vmm.export_bar(2, kPageSize);
  TEEIO_CHECK(early.has_value(), "a BAR can be exported");
  Result<int> meanwhile;
  stage.play({{"resetter", [&] { (void)vmm.ioctl(vmm.vfio, VFIO_DEVICE_RESET, std::uint64_t{0}); }},
              {"exporter", [&] { meanwhile = vmm.export_bar(2, kPageSize); }}});
  TEEIO_CHECK(meanwhile.has_value(), "a BAR can be exported while its function is reset");
  for (const int buffer : {*early, *meanwhile}) {
    vmm.mmio_buffer = buffer;
    TEEIO_CHECK(vmm.set_mmio_slot().has_value() && vmm.set_mmio_slot(Vmm::kMmioSlot, 0).has_value(),
                "a reset is over, and a BAR's dma-buf stays revoked");
  }
}

void iova_at_the_end(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Vmm& vmm = stage.vmm();
  const auto fd = vmm.open("/dev/iommu");
  TEEIO_CHECK(fd.has_value(), "/dev/iommu can be opened");
  abi::iommu_ioas_alloc ioas{};
  ioas.size = sizeof(ioas);
  TEEIO_CHECK(vmm.ioctl(*fd, IOMMU_IOAS_ALLOC, ioas).has_value(), "an IOAS can be made");
  // The last two pages that are ever given out.
  abi::iommu_iova_range last{};
  last.start = 0xffff'ffff'ffff'd000;
  last.last = 0xffff'ffff'ffff'efff;
  abi::iommu_ioas_allow_iovas allow{};
  allow.size = sizeof(allow);
  allow.ioas_id = ioas.out_ioas_id;
  allow.num_iovas = 1;
  allow.allowed_iovas = vmm.store(bytes_of(last));
  TEEIO_CHECK(vmm.ioctl(*fd, IOMMU_IOAS_ALLOW_IOVAS, allow).has_value(), "two pages are allowed");
  constexpr std::uint64_t kThreePages = 3 * kPageSize;
  abi::iommu_ioas_map map{};
  map.size = sizeof(map);
  map.flags = abi::IOMMU_IOAS_MAP_READABLE;
  map.ioas_id = ioas.out_ioas_id;
  map.length = kThreePages;
  map.user_va = vmm.memory().map(8 * kPageSize);
  const auto mapped = [&] { return vmm.ioctl(*fd, IOMMU_IOAS_MAP, map); };
  Result<std::int64_t> one;
  stage.play({{"first", [&] { one = mapped(); }}});
  TEEIO_CHECK(!one.has_value() || (map.iova >= last.start && map.iova <= last.last),
              "IOAS_MAP gave an IOVA that is not allowed");
}

}  // namespace

void add_guest_memory_scenarios(std::vector<MachineScenario>& all) {
  all.push_back({.name = "memory/punch-hole-against-fault",
                 .description = "a hole in a guest_memfd against another VM's next private page",
                 .body = punch_hole_against_fault,
                 .firmware = {machine::TsmKind::kTdx}});
  all.push_back({.name = "memory/populate-against-punch-hole",
                 .description = "a VM's page is populated against a hole in its guest_memfd",
                 .body = populate_against_punch_hole});
  const auto launch = [&](std::string name, std::string description,
                          void (*body)(const Config& design)) {
    all.push_back({.name = "launch/" + std::move(name),
                   .description = std::move(description),
                   .body = body,
                   // A realm's launch ends with its first run.
                   .firmware = {machine::TsmKind::kTdx, machine::TsmKind::kSev},
                   .fits = has_every_door});
  };
  launch("populate-against-finish", "a VM's first page against the end of its launch",
         populate_against_finish);
  launch("populate-twice", "one first page of a VM twice at once", populate_twice);
  launch("finish-twice", "two ends of one launch", finish_twice);
  launch("vcpu-against-finish", "a further vCPU against the end of the launch",
         vcpu_against_finish);
  all.push_back({.name = "failure/private-ram",
                 .description = "each step of a private page's life fails once",
                 .body = fail_private_ram,
                 .firmware = {machine::TsmKind::kTdx},
                 .failures = 1});
  all.push_back({.name = "memory/private-mmio-fault-against-unbind",
                 .description = "a guest's first touch of private MMIO against the unbind",
                 .body = fault_against_unbind});
  all.push_back(
      {.name = "memory/memory-enable-against-bind",
       .description = "a program enables the memory of a BAR that it has mapped, during bind",
       .body = memory_enable_against_bind});
  all.push_back({.name = "memory/dma-buf-after-reset",
                 .description = "after a function-level reset a BAR's dma-bufs can be used again",
                 .body = dma_buf_after_reset});
  all.push_back({.name = "memory/iova-at-the-end",
                 .description = "IOAS_MAP where rounding up would pass the last address",
                 .body = iova_at_the_end});
}

}  // namespace teeio::explore
