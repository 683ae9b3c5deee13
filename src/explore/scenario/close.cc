// The ends of descriptors: all orders of closing, and VFIO's close against IOMMU_DESTROY.

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "explore/scenario/stage.h"
#include "explore/scenario/themes.h"
#include "explore/scenario/unexplored.h"

namespace teeio::explore {
namespace {

using machine::Config;

enum class Fd : std::uint8_t { kVm, kIommufd, kVfio };
using Order = std::array<Fd, 3>;

std::string_view name_of(Fd fd) {
  switch (fd) {
    case Fd::kVm:
      return "vm";
    case Fd::kIommufd:
      return "iommufd";
    case Fd::kVfio:
      return "vfio";
  }
  return "?";
}

void close_one(Vmm& vmm, Fd fd) {
  switch (fd) {
    case Fd::kVm:
      return vmm.close_vm_files();
    case Fd::kIommufd:
      (void)vmm.close(vmm.iommufd);
      return;
    case Fd::kVfio:
      (void)vmm.close(vmm.vfio);
      return;
  }
}

/// Bound means private MMIO too: its memslot's dma-buf is open until the end.
Vmm& vmm_of(Stage& stage, bool bound) { return bound ? stage.with_mmio() : stage.ready(); }

/// KVM's device and VFIO hold each other's files; the end of both must break it.
void check_given_up(Stage& stage) {
  const Unexplored looking;
  TEEIO_CHECK(!stage.is_bound(kPfBdf), "every descriptor is closed, and the TDI is still bound");
  TEEIO_CHECK(stage.machine().census()["in use by VFIO " + std::string(kPfBdf)] == "no",
              "every descriptor is closed, and VFIO still has the device");
}

void close_in_order(const Config& design, const Order& order, bool bound) {
  Stage stage(design);
  Vmm& vmm = vmm_of(stage, bound);
  stage.play();
  for (const Fd fd : order) close_one(vmm, fd);
  check_given_up(stage);
}

void close_at_once(const Config& design, bool bound) {
  Stage stage(design);
  Vmm& vmm = bound ? stage.bound() : stage.ready();
  stage.play({{"vm", [&] { close_one(vmm, Fd::kVm); }},
              {"iommufd", [&] { close_one(vmm, Fd::kIommufd); }},
              {"vfio", [&] { close_one(vmm, Fd::kVfio); }}});
  check_given_up(stage);
}

void destroy_against_close(const Config& design, bool bound) {
  Stage stage(design);
  Vmm& vmm = bound ? stage.bound() : stage.ready();
  must(vmm.associate(KVM_DEV_VFIO_FILE_DEL));
  stage.play({{"destroyer", [&] { (void)vmm.destroy(vmm.vdevice_id); }},
              {"closer", [&] { (void)vmm.close(vmm.vfio); }}});
}

/// The vDEVICE's id is a tombstone after the idevice's end, and a second destroy
/// of a live one finds nothing.
void destroy_twice(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.bound();
  Result<void> done[2];
  stage.play({{"first", [&] { done[0] = vmm.destroy(vmm.vdevice_id); }},
              {"second", [&] { done[1] = vmm.destroy(vmm.vdevice_id); }}});
  TEEIO_CHECK(!(done[0].has_value() && done[1].has_value()), "one vDEVICE was destroyed twice");
}

void exit_against_disconnect(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.with_mmio();
  stage.play(
      {{"vmm", [&] { vmm.exit(); }}, {"root", [&] { (void)stage.machine().disconnect_cards(); }}});
}

/// Two references on the VFIO file: the program's and KVM's.
void dissociate_against_close(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.bound();
  stage.play({{"kvm", [&] { (void)vmm.associate(KVM_DEV_VFIO_FILE_DEL); }},
              {"closer", [&] { (void)vmm.close(vmm.vfio); }}});
}

void add_orders(std::vector<MachineScenario>& all, bool bound) {
  Order order{Fd::kVm, Fd::kIommufd, Fd::kVfio};
  const std::string prefix = bound ? "close/bound" : "close/idle";
  do {
    std::string name = prefix;
    for (const Fd fd : order) name.append("-").append(name_of(fd));
    all.push_back({.name = std::move(name),
                   .description = bound
                                      ? "one of the six orders of closing, with private MMIO mapped"
                                      : "one of the six orders of closing, before bind",
                   .body = [order, bound](const Config& d) { close_in_order(d, order, bound); }});
  } while (std::next_permutation(order.begin(), order.end()));
  all.push_back({.name = prefix + "-at-once",
                 .description = "VM, iommufd and VFIO are closed at the same time",
                 .body = [bound](const Config& d) { close_at_once(d, bound); }});
}

}  // namespace

void add_close_scenarios(std::vector<MachineScenario>& all) {
  add_orders(all, false);
  add_orders(all, true);
  all.push_back({.name = "close/destroy-against-vfio",
                 .description = "IOMMU_DESTROY of a vDEVICE against the last close of VFIO",
                 .body = [](const Config& d) { destroy_against_close(d, false); }});
  all.push_back({.name = "close/destroy-bound-against-vfio",
                 .description = "IOMMU_DESTROY of a bound vDEVICE against the last close of VFIO",
                 .body = [](const Config& d) { destroy_against_close(d, true); }});
  all.push_back({.name = "close/destroy-twice",
                 .description = "two IOMMU_DESTROY of one bound vDEVICE",
                 .body = destroy_twice});
  all.push_back({.name = "close/exit-against-disconnect",
                 .description = "the end of a process with private MMIO against tsm/disconnect",
                 .body = exit_against_disconnect});
  all.push_back({.name = "close/dissociate-against-vfio",
                 .description = "KVM_DEV_VFIO_FILE_DEL against the program's close: who is last?",
                 .body = dissociate_against_close});
}

}  // namespace teeio::explore
