// Two who want the same: one TDI bound twice, one device for two VMs, one card
// connected twice.

#include "base/check.h"
#include "explore/scenario/opponents.h"
#include "explore/scenario/themes.h"

namespace teeio::explore {
namespace {

using machine::Config;

void bind_twice(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.ready();
  Result<void> done[2];
  stage.play({{"first", [&] { done[0] = stage.bind(vmm); }},
              {"second", [&] { done[1] = stage.bind(vmm); }}});
  TEEIO_CHECK(done[0].has_value() || done[1].has_value(), "of two binds at once none succeeded");
}

bool both_doors_open(const Config& design) { return design.bind_owner == iommufd::BindOwner::kAny; }

/// A guest's request to lock binds what is unbound, and takes that back where the
/// firmware refuses it (TDX). It takes back nobody else's bind.
void bind_against_the_guests_door(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.ready();
  Result<void> bound;
  stage.play({{"guest", [&] { (void)stage.ask_state(vmm, abi::TSM_TDI_LOCKED); }},
              {"binder", [&] { bound = vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND); }}});
  TEEIO_CHECK(!bound || stage.is_bound(kPfBdf),
              "a bind succeeded, and a guest's refused request has undone it");
}

void bind_by_two_doors(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.ready();
  stage.play({{"vfio", [&] { (void)vmm.vfio_bind(); }},
              {"iommufd", [&] { (void)vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND); }}});
  must(stage.unbind(vmm));
}

/// The door that did not bind undoes nothing of the other's.
void unbind_by_two_doors(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.ready();
  must(vmm.vfio_bind());
  stage.play({{"vfio", [&] { (void)vmm.vfio_unbind(); }},
              {"iommufd", [&] { (void)vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_UNBIND); }}});
}

Result<void> take_device(Stage& stage, Vmm& vmm) {
  TEEIO_TRY(vmm.bind_iommufd());
  TEEIO_TRY(vmm.make_viommu());
  if (!stage.vdevice_binds()) TEEIO_TRY(vmm.make_vdevice());
  return stage.bind(vmm);
}

void two_vms(const Config& design) {
  Stage stage(design);
  Vmm* rivals[] = {&stage.vmm(), &stage.vmm()};
  for (Vmm* vmm : rivals) {
    must(vmm->make_vm(stage.vm_type()));
    must(vmm->open_device(kPf));
    must(vmm->associate());
  }
  Result<void> done[2];
  stage.play({{"first", [&] { done[0] = take_device(stage, *rivals[0]); }},
              {"second", [&] { done[1] = take_device(stage, *rivals[1]); }}});
  TEEIO_CHECK(done[0].has_value() != done[1].has_value(), "two VMs have one TDI, or none has it");
}

/// What is bound goes with its vDEVICE, and the next one has another TDI id.
void other_tdi_id(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.bound();
  const std::uint32_t old_id = vmm.vdevice_id;
  constexpr std::uint64_t kOtherVirtId = 0x18;
  stage.play({{"remaker",
               [&] {
                 if (vmm.destroy(old_id)) (void)vmm.make_vdevice(kOtherVirtId);
               }},
              {"binder", [&] { (void)vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND, old_id); }}});
}

/// The id that IOMMU_VDEVICE_ALLOC is about to give is no vDEVICE before it is whole.
void bind_before_visible(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.vmm();
  must(vmm.make_vm(stage.vm_type()));
  must(vmm.open_device(kPf));
  must(vmm.associate());
  must(vmm.bind_iommufd());
  must(vmm.make_viommu());
  const std::uint32_t next_id = vmm.viommu_id + 1;
  stage.play({{"maker", [&] { must(vmm.make_vdevice()); }},
              {"binder", [&] { (void)vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND, next_id); }}});
}

// --- The card ---

void connect_twice(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Result<void> done[2];
  stage.play({{"first", [&] { done[0] = stage.machine().connect_cards(); }},
              {"second", [&] { done[1] = stage.machine().connect_cards(); }}});
  TEEIO_CHECK(done[0].has_value() != done[1].has_value(), "one card was connected twice, or never");
}

void connect_against_disconnect(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  stage.mount_sysfs();
  machine::Program& other = stage.vmm();  // another shell
  stage.play({{"first", [&] { (void)connect(stage.root()); }},
              {"second", [&] { (void)disconnect(other); }}});
}

void connect_against_tsm_removal(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  stage.play({{"connector", [&] { (void)stage.machine().connect_cards(); }},
              {"remover", [&] { stage.machine().remove_tsm(); }}});
}

void disconnect_twice(const Config& design) {
  Stage stage(design);
  (void)stage.bound();
  Result<void> done[2];
  stage.play({{"first", [&] { done[0] = stage.machine().disconnect_cards(); }},
              {"second", [&] { done[1] = stage.machine().disconnect_cards(); }}});
  TEEIO_CHECK(done[0].has_value() != done[1].has_value(),
              "one card was disconnected twice, or never");
}

/// Two TDIs of one DSM, in two VMs.
void disconnect_two_bound(const Config& design) {
  Stage stage(design);
  Vmm& first = stage.bound(kVf0);
  Vmm& second = stage.bound(kVf1);
  stage.play({{"root", [&] { (void)stage.machine().disconnect_cards(); }},
              {"unbinder", [&] { (void)stage.unbind(first); }}});
  TEEIO_CHECK(works_as_shared(first) && works_as_shared(second),
              "R10: the card was disconnected, and a function does not work as a shared device");
}

void disconnect_against_second_bind(const Config& design) {
  Stage stage(design);
  (void)stage.bound(kVf0);
  Vmm& second = stage.ready(kVf1);
  stage.play({{"root", [&] { (void)stage.machine().disconnect_cards(); }},
              {"binder", [&] { (void)stage.bind(second); }}});
}

}  // namespace

void add_twice_scenarios(std::vector<MachineScenario>& all) {
  all.push_back(
      {.name = "bind/twice", .description = "two binds of one TDI to one VM", .body = bind_twice});
  all.push_back({.name = "bind/two-doors",
                 .description = "VFIO's bind against iommufd's of the same TDI",
                 .body = bind_by_two_doors,
                 .fits = both_doors_open});
  all.push_back({.name = "bind/guests-door",
                 .description = "iommufd's bind against a guest's request that binds by itself",
                 .body = bind_against_the_guests_door,
                 .fits = both_doors_open});
  all.push_back({.name = "unbind/two-doors",
                 .description = "VFIO's unbind against iommufd's of the same TDI",
                 .body = unbind_by_two_doors,
                 .fits = both_doors_open});
  all.push_back({.name = "bind/two-vms",
                 .description = "two VMs race for one TDI: exactly one has it",
                 .body = two_vms});
  all.push_back({.name = "bind/other-tdi-id",
                 .description = "a vDEVICE is made anew with another virtual id against bind",
                 .body = other_tdi_id});
  all.push_back({.name = "vdevice/bind-before-visible",
                 .description = "bind of an id that IOMMU_VDEVICE_ALLOC has not given yet",
                 .body = bind_before_visible});
  all.push_back({.name = "card/connect-twice",
                 .description = "two who connect one card: exactly one does",
                 .body = connect_twice});
  all.push_back({.name = "card/connect-against-disconnect",
                 .description = "tsm/connect against tsm/disconnect",
                 .body = connect_against_disconnect});
  all.push_back({.name = "card/connect-against-tsm-removal",
                 .description = "connect against the TSM's unregistration",
                 .body = connect_against_tsm_removal});
  all.push_back({.name = "card/disconnect-twice",
                 .description = "two disconnections with a function bound",
                 .body = disconnect_twice});
  all.push_back({.name = "card/disconnect-two-bound",
                 .description = "disconnection with two functions bound, against unbind of one",
                 .body = disconnect_two_bound});
  all.push_back({.name = "card/disconnect-against-second-bind",
                 .description = "disconnection with one function bound, against bind of another",
                 .body = disconnect_against_second_bind});
}

}  // namespace teeio::explore
