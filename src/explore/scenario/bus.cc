// What happens on the bus while programs have a function: removal, power states.

#include <fcntl.h>

#include <span>
#include <string>

#include "base/check.h"
#include "explore/scenario/opponents.h"
#include "explore/scenario/stage.h"
#include "explore/scenario/themes.h"
#include "explore/scenario/unexplored.h"
#include "host/mm/plain_files.h"
#include "host/vfio/device.h"
#include "schedule/task.h"

namespace teeio::explore {
namespace {

using machine::Config;

// --- Removal ---

/// A program whose VM has the card's PF does `act` while it is removed.
struct Busy {
  std::string_view name, words;
  void (*act)(Vmm& vmm);
};

void map_bar(Vmm& vmm) {
  (void)vmm.mmap(vmm.vfio, std::uint64_t{2} << vfio::kRegionShift, kPageSize);
}
void read_bar(Vmm& vmm) { (void)works_as_shared(vmm); }
void export_buffer(Vmm& vmm) { (void)vmm.export_bar(2, kPageSize); }
void reset_pf(Vmm& vmm) { (void)vmm.ioctl(vmm.vfio, VFIO_DEVICE_RESET, std::uint64_t{0}); }
void close_pf(Vmm& vmm) {
  (void)vmm.associate(KVM_DEV_VFIO_FILE_DEL);  // which holds the file too
  (void)vmm.close(vmm.vfio);
}
void exit_program(Vmm& vmm) { vmm.exit(); }
void stay_in_d3(Vmm& vmm) {
  constexpr std::uint16_t kInD3Hot = 3, kInD0 = 0;
  const auto at = power_control(vmm);
  if (!at) return;
  (void)write_config(vmm, *at, kInD3Hot);
  (void)write_config(vmm, *at, kInD0);
}
void open_vf(Vmm& vmm) {
  const auto vf = vmm.open(kVf0);
  if (vf) (void)vmm.close(*vf);
}

constexpr Busy kBusy[] = {
    {"mmap", "mmap of a BAR", map_bar},
    {"bar", "a read of a register", read_bar},
    {"dma-buf", "the export of a dma-buf", export_buffer},
    {"reset", "VFIO_DEVICE_RESET", reset_pf},
    {"close", "the last close", close_pf},
    {"exit", "the end of the process", exit_program},
    {"d3", "a stay in D3hot", stay_in_d3},
    {"vf", "the opening of a VF", open_vf},
};

void remove_card(Stage& stage) {
  stage.machine().remove_function(stage.machine().config().cards.front().bdf);
}

void must_be_gone(Stage& stage) {
  const Unexplored after;
  const auto node = stage.root().open(kPf);
  TEEIO_CHECK(!node && node.error().code == Errno::kNoEnt, "a removed function has a node");
}

void removal_against(const Config& design, const Busy& busy) {
  Stage stage(design);
  Vmm& vmm = stage.bound();
  stage.play({{"root", [&] { remove_card(stage); }, true}, {busy.name, [&] { busy.act(vmm); }}});
  must_be_gone(stage);
}

void removal_against_open(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Vmm& vmm = stage.vmm();
  stage.play({{"root", [&] { remove_card(stage); }, true}, {"vmm", [&] {
                                                              if (vmm.open_device(kPf))
                                                                (void)vmm.bind_iommufd();
                                                            }}});
  must_be_gone(stage);
}

/// The function is free and bound by a VMM while it is removed.
void removal_against_bind(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.ready();
  stage.play(
      {{"root", [&] { remove_card(stage); }, true}, {"binder", [&] { (void)stage.bind(vmm); }}});
  must_be_gone(stage);
}

constexpr std::string_view kUnbindDriver = "/sys/bus/pci/drivers/vfio-pci/unbind";
constexpr std::string_view kBindDriver = "/sys/bus/pci/drivers/vfio-pci/bind";

/// `echo ADDRESS > unbind`, of which the write alone is explored.
class Unbinding {
 public:
  explicit Unbinding(Stage& stage) : root_(stage.root()) {
    const auto fd = root_.open(kUnbindDriver, O_WRONLY);
    TEEIO_CHECK(fd.has_value(), "the driver's unbind cannot be opened");
    fd_ = *fd;
  }
  void operator()() { (void)root_.pwrite(fd_, 0, std::as_bytes(std::span(kPfBdf))); }

 private:
  machine::Program& root_;
  int fd_ = -1;
};

/// Two who want the same function gone: the second finds nothing to do.
void removal_against_unbind_of_driver(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Vmm& vmm = stage.vmm();
  must(vmm.open_device(kPf));
  must(vmm.bind_iommufd());
  Unbinding unbind(stage);
  stage.play({{"root", [&] { remove_card(stage); }, true},
              {"admin", [&] { unbind(); }, true},
              {"reader", [&] { (void)works_as_shared(vmm); }}});
  must_be_gone(stage);
}

/// Until its user lets go of it the function works, whoever takes its driver away.
void unbind_of_driver_against_bar(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Vmm& vmm = stage.vmm();
  must(vmm.open_device(kPf));
  must(vmm.bind_iommufd());
  Unbinding unbind(stage);
  bool works = false;
  stage.play({{"root", [&] { unbind(); }, true}, {"vmm", [&] { works = works_as_shared(vmm); }}});
  const Unexplored after;
  TEEIO_CHECK(works, "an open function does not answer while its driver leaves");
  TEEIO_CHECK(stage.root().echo(kPfBdf, kBindDriver).has_value(),
              "the PF does not come back to its driver");
}

/// VFIO_PCI_REQ_ERR_IRQ_INDEX, at once and every ten seconds.
void removal_asks(const Config& design) {
  constexpr std::uint64_t kSecondNs = 1'000'000'000;
  Stage stage(design, Stage::Card::kAsAtBoot);
  Vmm& vmm = stage.vmm();
  must(vmm.open_device(kPf));
  must(vmm.bind_iommufd());
  const auto event = object::Ref<mm::PlainEventFd>::adopt(new mm::PlainEventFd);
  const auto fd = vmm.install(object::Ref<object::File>(event));
  TEEIO_CHECK(fd.has_value(), "an eventfd cannot be had");
  struct {
    std::uint32_t argsz, flags, index, start, count;
    std::int32_t eventfd;
  } request{.argsz = sizeof(request),
            .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
            .index = abi::VFIO_PCI_REQ_IRQ_INDEX,
            .start = 0,
            .count = 1,
            .eventfd = *fd};
  TEEIO_CHECK(vmm.ioctl(vmm.vfio, VFIO_DEVICE_SET_IRQS, request).has_value(),
              "the device takes no request eventfd");
  std::uint64_t asked = 0;
  stage.may_take(40);
  stage.play({{"root", [&] { remove_card(stage); }, true}, {"vmm", [&] {
                                                              schedule::pause(25 * kSecondNs);
                                                              asked = event->take();
                                                            }}});
  TEEIO_CHECK(asked == 3, "in 25 seconds a program is asked three times to let go");
  must_be_gone(stage);
}

// --- DMA ---

constexpr std::uint64_t kRingIova = 0x10'0000, kDataIova = 0x20'0000;

void write_register(Vmm& vmm, std::uint64_t at, std::uint32_t value) {
  (void)vmm.pwrite(vmm.vfio, at, bytes_of(value));
}

Result<std::uint64_t> map_at(Vmm& vmm, std::uint64_t iova) {
  abi::iommu_ioas_map map{};
  map.size = sizeof(map);
  map.flags = 7;  // fixed, readable and writeable
  map.ioas_id = vmm.ioas_id;
  map.user_va = vmm.memory().map(kPageSize);
  map.length = kPageSize;
  map.iova = iova;
  TEEIO_TRY(vmm.ioctl(vmm.iommufd, IOMMU_IOAS_MAP, map));
  return map.user_va;
}

/// One descriptor that fills memory: docs/devices/dma-engine.md.
Result<std::uint64_t> ready_engine(Vmm& vmm) {
  TEEIO_TRY(vmm.open_device(kPf));
  TEEIO_TRY(vmm.bind_iommufd());
  abi::iommu_ioas_alloc ioas{};
  ioas.size = sizeof(ioas);
  TEEIO_TRY(vmm.ioctl(vmm.iommufd, IOMMU_IOAS_ALLOC, ioas));
  vmm.ioas_id = ioas.out_ioas_id;
  abi::vfio_device_attach_iommufd_pt attach{};
  attach.argsz = sizeof(attach);
  attach.pt_id = vmm.ioas_id;
  TEEIO_TRY(vmm.ioctl(vmm.vfio, VFIO_DEVICE_ATTACH_IOMMUFD_PT, attach));
  TEEIO_ASSIGN(const std::uint64_t ring, map_at(vmm, kRingIova));
  TEEIO_ASSIGN(const std::uint64_t data, map_at(vmm, kDataIova));
  struct {
    std::uint32_t flags, length;
    std::uint64_t source, destination;
    std::uint32_t status, reserved;
  } const descriptor{2, 8, 0x1122'3344'5566'7788, kDataIova, 0, 0};
  TEEIO_TRY(vmm.memory().write(ring, bytes_of(descriptor)));
  TEEIO_TRY(write_config(vmm, kCommandRegister, kCommandMaster | kCommandMemory));
  write_register(vmm, 0x10, static_cast<std::uint32_t>(kRingIova));
  write_register(vmm, 0x14, 0);
  write_register(vmm, 0x18, 2);
  write_register(vmm, 0x08, 1);
  return data;
}

void d3_against_dma(const Config& design) {
  constexpr std::uint64_t kDoorbell = 0x24;
  Stage stage(design, Stage::Card::kAsAtBoot);
  Vmm& vmm = stage.vmm();
  const auto data = ready_engine(vmm);
  TEEIO_CHECK(data.has_value(), "the DMA engine cannot be set up");
  stage.play({{"driver", [&] { write_register(vmm, kDoorbell, 1); }},
              {"sleeper", [&] { stay_in_d3(vmm); }}});
  const Unexplored after;
  std::uint64_t filled = 0;
  must(vmm.memory().read(*data, writable_bytes_of(filled)));
  TEEIO_CHECK(filled == 0 || filled == 0x1122'3344'5566'7788, "a transfer was done by half");
  TEEIO_CHECK(works_as_shared(vmm), "the function slept and does not work");
}

}  // namespace

void add_bus_scenarios(std::vector<MachineScenario>& all) {
  for (const Busy& busy : kBusy)
    all.push_back({.name = "bus/removal-against-" + std::string(busy.name),
                   .description = "a bound function's removal against " + std::string(busy.words),
                   .body = [&busy](const Config& design) { removal_against(design, busy); }});
  all.push_back({.name = "bus/removal-against-open",
                 .description = "the function's removal against open and bind",
                 .body = removal_against_open});
  all.push_back({.name = "bus/removal-against-bind",
                 .description = "the function's removal against a TSM bind",
                 .body = removal_against_bind});
  all.push_back(
      {.name = "bus/removal-against-unbind-of-driver",
       .description = "a function's removal, and its driver's unbinding, while it is open",
       .body = removal_against_unbind_of_driver});
  all.push_back({.name = "bus/unbind-against-bar",
                 .description = "the unbinding of a function's driver against a register's read",
                 .body = unbind_of_driver_against_bar});
  all.push_back({.name = "bus/removal-asks",
                 .description = "a function's removal asks its user every ten seconds to let go",
                 .body = removal_asks});
  all.push_back({.name = "bus/d3-against-dma",
                 .description = "a stay in D3hot against a transfer of the DMA engine",
                 .body = d3_against_dma});
}

}  // namespace teeio::explore
