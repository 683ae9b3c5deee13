// VFIO by groups and containers: their ends, unbinding of the driver, hot resets.

#include <string>

#include "abi/iommufd.h"
#include "base/check.h"
#include "explore/scenario/stage.h"
#include "explore/scenario/themes.h"
#include "explore/scenario/unexplored.h"
#include "host/vfio/device.h"

namespace teeio::explore {
namespace {

using machine::Config;

/// The group's node of function `number` of the card on the first bus: groups are numbered
/// as the functions are found, the root ports first.
std::string group_of(const Config& design, std::size_t number) {
  return "/dev/vfio/" + std::to_string(design.root_ports.size() + number);
}
std::string pf_group(const Config& design) { return group_of(design, 0); }
std::string vf_group(const Config& design) { return group_of(design, 1); }

constexpr std::uint64_t kNone = 0;

/// A program's descriptors on the way to a device by its group.
struct Files {
  int container = -1, group = -1, device = -1;
};

Result<int> device_fd(machine::Program& program, int group, std::string_view bdf) {
  const std::string name(bdf);
  TEEIO_ASSIGN(
      const std::int64_t fd,
      program.ioctl(group, VFIO_GROUP_GET_DEVICE_FD,
                    program.store(std::as_bytes(std::span(name.c_str(), name.size() + 1)))));
  return static_cast<int>(fd);
}

Result<void> set_container(machine::Program& program, const Files& files) {
  TEEIO_TRY(program.ioctl(files.group, VFIO_GROUP_SET_CONTAINER,
                          program.store(bytes_of(files.container))));
  return {};
}

Result<void> open_group(machine::Program& program, Files& files, std::string_view group,
                        std::string_view container = "/dev/vfio/vfio") {
  TEEIO_ASSIGN(files.container, program.open(container));
  TEEIO_ASSIGN(files.group, program.open(group));
  TEEIO_TRY(set_container(program, files));
  TEEIO_TRY(program.ioctl(files.container, VFIO_SET_IOMMU, std::uint64_t{VFIO_TYPE1v2_IOMMU}));
  return {};
}

Result<void> open_device(machine::Program& program, Files& files, std::string_view group,
                         std::string_view container = "/dev/vfio/vfio") {
  TEEIO_TRY(open_group(program, files, group, container));
  TEEIO_ASSIGN(files.device, device_fd(program, files.group, kVf0Bdf));
  return {};
}

Result<std::int64_t> map_page(machine::Program& program, int container) {
  abi::vfio_iommu_type1_dma_map arg{.argsz = sizeof(arg),
                                    .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                                    .vaddr = program.memory().map(kPageSize),
                                    .iova = 0x10000,
                                    .size = kPageSize};
  return program.ioctl(container, VFIO_IOMMU_MAP_DMA, arg);
}

Result<std::int64_t> unset_container(machine::Program& program, int group) {
  return program.ioctl(group, VFIO_GROUP_UNSET_CONTAINER, kNone);
}

bool in_use(Stage& stage, std::string_view bdf) {
  const Unexplored looking;
  return stage.machine().census()["in use by VFIO " + std::string(bdf)] == "yes";
}

// --- Ends ---

void close_at_once(const Config& design, std::string_view container) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Vmm& vmm = stage.vmm();
  Files files;
  must(open_device(vmm, files, vf_group(design), container));
  TEEIO_CHECK(map_page(vmm, files.container).has_value(), "a page cannot be mapped");
  stage.play({{"container", [&] { (void)vmm.close(files.container); }},
              {"group", [&] { (void)vmm.close(files.group); }},
              {"device", [&] { (void)vmm.close(files.device); }}});
  TEEIO_CHECK(!in_use(stage, kVf0Bdf), "every descriptor is closed, and VFIO has the device");
}

/// The group's file is KVM's too, and the VM's file the device's.
void close_with_vm(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Vmm& vmm = stage.vmm();
  must(vmm.make_vm(kOrdinaryVm));
  Files files;
  must(open_group(vmm, files, vf_group(design)));
  vmm.vfio = files.group;
  must(vmm.associate());
  files.device = device_fd(vmm, files.group, kVf0Bdf).value_or(-1);
  must(vmm.close(files.container));
  stage.play({{"vm", [&] { vmm.close_vm_files(); }},
              {"group", [&] { (void)vmm.close(files.group); }},
              {"device", [&] { (void)vmm.close(files.device); }}});
  TEEIO_CHECK(!in_use(stage, kVf0Bdf), "every descriptor is closed, and VFIO has the device");
}

/// Linux looks the container's IOMMU up without a lock (vfio_fops_unl_ioctl()).
void map_against_unset(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Vmm& vmm = stage.vmm();
  Files files;
  must(open_group(vmm, files, vf_group(design)));
  stage.play({{"mapper", [&] { (void)map_page(vmm, files.container); }},
              {"leaver", [&] { (void)unset_container(vmm, files.group); }}});
}

void device_against_unset(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Vmm& vmm = stage.vmm();
  Files files;
  must(open_group(vmm, files, vf_group(design)));
  Result<int> device;
  Result<std::int64_t> left;
  stage.play({{"opener", [&] { device = device_fd(vmm, files.group, kVf0Bdf); }},
              {"leaver", [&] { left = unset_container(vmm, files.group); }}});
  TEEIO_CHECK(device.has_value() != left.has_value(),
              "a group left its container and has a device in it, or neither");
}

// --- Who excludes whom ---

void group_against_node(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Vmm& by_node = stage.vmm();
  Vmm& by_group = stage.vmm();
  must(by_node.open_device(kVf0));
  const std::string group = vf_group(design);
  Result<void> bound, opened;
  Files files;
  stage.play({{"node", [&] { bound = by_node.bind_iommufd(); }},
              {"group", [&] { opened = open_device(by_group, files, group); }}});
  TEEIO_CHECK(!(bound.has_value() && opened.has_value()),
              "a device is open through its node and through its group");
  TEEIO_CHECK(bound.has_value() || opened.has_value(), "neither of two programs got the device");
}

// --- The driver is unbound ---

constexpr std::string_view kUnbind = "/sys/bus/pci/drivers/vfio-pci/unbind";

void bind_again(Stage& stage) {
  const Unexplored after;
  const auto bound = stage.root().echo(kVf0Bdf, "/sys/bus/pci/drivers/vfio-pci/bind");
  TEEIO_CHECK(bound.has_value(), "vfio-pci does not take the function again");
}

void unbind_against_group(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Vmm& vmm = stage.vmm();
  Files files;
  Result<void> opened;
  Result<std::size_t> unbound;
  const std::string group = vf_group(design);
  stage.mount_sysfs();
  stage.play({{"vmm", [&] { opened = open_group(vmm, files, group); }},
              {"root", [&] { unbound = stage.root().echo(kVf0Bdf, kUnbind); }}});
  TEEIO_CHECK(unbound.has_value(), "no device was open, and the driver could not be unbound");
  bind_again(stage);
}

void unbind_against_device(const Config& design, std::string_view container) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Vmm& vmm = stage.vmm();
  Files files;
  must(open_group(vmm, files, vf_group(design), container));
  Result<int> device;
  Result<std::size_t> unbound;
  stage.mount_sysfs();
  stage.play({{"vmm", [&] { device = device_fd(vmm, files.group, kVf0Bdf); }},
              {"root", [&] { unbound = stage.root().echo(kVf0Bdf, kUnbind); }, true}});
  TEEIO_CHECK(unbound.has_value(), "no device is open any more, and its driver stays");
  bind_again(stage);
}

// --- Hot resets ---

Result<std::int64_t> hot_reset(Vmm& vmm, const Files& files) {
  struct {
    std::uint32_t argsz, flags, count;
    std::int32_t group;
  } arg{sizeof(arg), 0, 1, files.group};
  return vmm.ioctl(files.device, VFIO_DEVICE_PCI_HOT_RESET, arg);
}

/// The design's card without VFs, whose bus is then the PF's alone.
Config lone_card(const Config& design) {
  Config lone = design;
  for (machine::CardConfig& card : lone.cards) card.vfs = 0;
  return lone;
}

/// A group whose container is an iommufd can bind its device too: nobody tells the ids,
/// but the IOAS has the first and the device the second.
void hot_reset_against_bind(const Config& design) {
  const Config lone = lone_card(design);
  Stage stage(lone);
  Vmm& vmm = stage.vmm();
  must(vmm.make_vm(stage.vm_type()));
  Files files;
  must(open_group(vmm, files, pf_group(lone), "/dev/iommu"));
  vmm.vfio = files.group;
  must(vmm.associate());
  files.device = device_fd(vmm, files.group, kPfBdf).value_or(-1);
  vmm.vfio = files.device;
  vmm.iommufd = files.container;
  vmm.dev_id = 2;
  must(vmm.make_viommu());
  if (!stage.vdevice_binds()) must(vmm.make_vdevice());
  Result<void> bound;
  Result<std::int64_t> reset;
  stage.play({{"vmm", [&] { bound = stage.bind(vmm); }},
              {"resetter", [&] { reset = hot_reset(vmm, files); }}});
  TEEIO_CHECK(bound.has_value() || reset.has_value(), "neither a bind nor a reset came through");
}

void hot_reset_against_close(const Config& design) {
  const Config lone = lone_card(design);
  Stage stage(lone, Stage::Card::kAsAtBoot);
  Vmm& vmm = stage.vmm();
  Files files;
  must(open_group(vmm, files, pf_group(lone)));
  files.device = device_fd(vmm, files.group, kPfBdf).value_or(-1);
  stage.play({{"resetter", [&] { (void)hot_reset(vmm, files); }},
              {"group", [&] { (void)vmm.close(files.group); }},
              {"device", [&] { (void)vmm.close(files.device); }}});
}

}  // namespace

void add_group_scenarios(std::vector<MachineScenario>& all) {
  all.push_back({.name = "group/close-at-once",
                 .description = "container, group and device are closed at the same time",
                 .body = [](const Config& d) { close_at_once(d, "/dev/vfio/vfio"); }});
  all.push_back({.name = "group/close-iommufd-at-once",
                 .description = "likewise, and the container is an iommufd",
                 .body = [](const Config& d) { close_at_once(d, "/dev/iommu"); }});
  all.push_back({.name = "group/close-with-vm",
                 .description = "VM, group and device are closed; KVM has the group",
                 .body = close_with_vm});
  all.push_back({.name = "group/map-against-unset",
                 .description = "MAP_DMA of a container against the last group's leaving",
                 .body = map_against_unset});
  all.push_back({.name = "group/device-against-unset",
                 .description = "GET_DEVICE_FD against UNSET_CONTAINER",
                 .body = device_against_unset});
  all.push_back({.name = "group/open-against-node",
                 .description = "one program opens a device by its group, another by its node",
                 .body = group_against_node});
  all.push_back({.name = "group/unbind-against-open",
                 .description = "the driver is unbound while a program opens the group",
                 .body = unbind_against_group});
  all.push_back({.name = "group/unbind-against-device",
                 .description = "the driver is unbound while a group gives its device",
                 .body = [](const Config& d) { unbind_against_device(d, "/dev/vfio/vfio"); }});
  all.push_back({.name = "group/unbind-against-device-of-iommufd",
                 .description = "likewise, and the container is an iommufd",
                 .body = [](const Config& d) { unbind_against_device(d, "/dev/iommu"); }});
  all.push_back({.name = "group/hot-reset-against-bind",
                 .description = "a hot reset by groups against a TSM bind of the same function",
                 .body = hot_reset_against_bind});
  all.push_back({.name = "group/hot-reset-against-close",
                 .description = "a hot reset by groups against the closes of group and device",
                 .body = hot_reset_against_close});
}

}  // namespace teeio::explore
