// SR-IOV: VFs that come and go against their PF's driver and removal, and against who opens them;
// the PF's token.

#include <fcntl.h>

#include <string>
#include <string_view>

#include "base/check.h"
#include "explore/scenario/stage.h"
#include "explore/scenario/themes.h"
#include "explore/scenario/unexplored.h"
#include "host/vfio/vf_token.h"

namespace teeio::explore {
namespace {

using machine::Config;

std::string pf_file(std::string_view name) { return std::string(kCard).append("/").append(name); }

/// vfio-pci's parameter, off at boot: without it nobody changes the VFs of a PF that it has.
void allow_sriov(Stage& stage, bool allowed) {
  constexpr std::string_view kEnable = "/sys/module/vfio_pci/parameters/enable_sriov";
  TEEIO_CHECK(stage.root().echo(allowed ? "Y\n" : "N\n", kEnable).has_value(),
              "enable_sriov cannot be written");
}
bool set_vfs(Stage& stage, std::string_view count) {
  return stage.root().echo(count, pf_file("sriov_numvfs")).has_value();
}

// --- Coming and going ---

void remove_pf(Stage& stage) {
  stage.machine().remove_function(stage.machine().config().cards.front().bdf);
}

/// An attribute that is open already: what is explored is the write alone.
class Opened {
 public:
  Opened(Stage& stage, std::string_view path) : root_(stage.root()) {
    const auto fd = root_.open(path, O_WRONLY);
    TEEIO_CHECK(fd.has_value(), "an attribute cannot be opened");
    fd_ = *fd;
  }
  bool write(std::string_view text) {
    return root_.pwrite(fd_, 0, std::as_bytes(std::span(text))).has_value();
  }
  void close() { must(root_.close(fd_)); }

 private:
  machine::Program& root_;
  int fd_ = -1;
};

void removal_against_sriov(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  allow_sriov(stage, true);
  Opened numvfs(stage, pf_file("sriov_numvfs"));
  stage.play({{"root", [&] { remove_pf(stage); }}, {"admin", [&] { (void)numvfs.write("0\n"); }}});
  const Unexplored after;
  numvfs.close();
  allow_sriov(stage, false);
}

void sriov_off_against_open(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  allow_sriov(stage, true);
  Vmm& vmm = stage.vmm();
  Result<void> bound;
  bool off = false;
  stage.play({{"vmm",
               [&] {
                 bound = vmm.open_device(kVf0);
                 if (bound) bound = vmm.bind_iommufd();
               }},
              {"root", [&] { off = set_vfs(stage, "0\n"); }, true}});
  const Unexplored after;
  TEEIO_CHECK(off, "VFs that nobody has any more cannot be switched off");
  TEEIO_CHECK(!stage.vmm().open_device(kVf0), "a VF that was switched off has a node");
  allow_sriov(stage, false);
}

/// Linux's device_lock(): the second of two numbers finds the first one's VFs.
void two_numbers(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  allow_sriov(stage, true);
  TEEIO_CHECK(set_vfs(stage, "0\n"), "the VFs of boot cannot be switched off");
  Opened first(stage, pf_file("sriov_numvfs")), second(stage, pf_file("sriov_numvfs"));
  bool one = false, two = false;
  stage.play(
      {{"one", [&] { one = first.write("1\n"); }}, {"two", [&] { two = second.write("2\n"); }}});
  const Unexplored after;
  first.close();
  second.close();
  TEEIO_CHECK(one != two, "of two numbers of VFs not one is refused");
  const auto number = stage.root().cat(pf_file("sriov_numvfs"));
  TEEIO_CHECK(number && *number == (one ? "1\n" : "2\n"), "the number is not the one that was set");
  TEEIO_CHECK(set_vfs(stage, "0\n"), "the VFs cannot be taken away");
  allow_sriov(stage, false);
}

/// Of vfio-pci.
std::string driver_file(std::string_view what) {
  return std::string("/sys/bus/pci/drivers/vfio-pci/").append(what);
}

/// Likewise: VFs do not stay when their PF has no driver any more.
void sriov_against_unbind(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  allow_sriov(stage, true);
  TEEIO_CHECK(set_vfs(stage, "0\n"), "the VFs of boot cannot be switched off");
  Opened driver(stage, driver_file("unbind")), numvfs(stage, pf_file("sriov_numvfs"));
  bool unbound = false;
  stage.play({{"unbind", [&] { unbound = driver.write(kPfBdf); }},
              {"sriov", [&] { (void)numvfs.write("2\n"); }}});
  const Unexplored after;
  driver.close();
  numvfs.close();
  TEEIO_CHECK(unbound, "a PF that nobody has does not leave its driver");
  const auto number = stage.root().cat(pf_file("sriov_numvfs"));
  TEEIO_CHECK(number && *number == "0\n", "VFs stay of a PF without driver");
  TEEIO_CHECK(stage.root().echo(kPfBdf, driver_file("bind")).has_value(),
              "the PF does not come back to its driver");
  allow_sriov(stage, false);
}

/// A program that opens the PF in the middle of that is waited for: the unbinding neither
/// fails nor leaves a PF whose VFs alone have gone.
void unbind_against_open(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Vmm& vmm = stage.vmm();
  Opened driver(stage, driver_file("unbind"));
  bool unbound = false;
  stage.play({{"vmm",
               [&] {
                 if (vmm.open_device(kPf)) (void)vmm.bind_iommufd();
               }},
              {"root", [&] { unbound = driver.write(kPfBdf); }, true}});
  const Unexplored after;
  driver.close();
  TEEIO_CHECK(unbound, "a PF that nobody has any more does not leave its driver");
  TEEIO_CHECK(!stage.vmm().open_device(kPf), "a PF without driver has a node");
  const auto number = stage.root().cat(pf_file("sriov_numvfs"));
  TEEIO_CHECK(number && *number == "0\n", "VFs stay of a PF without driver");
  TEEIO_CHECK(stage.root().echo(kPfBdf, driver_file("bind")).has_value(),
              "the PF does not come back to its driver");
}

// --- Tokens ---

constexpr vfio::Uuid kFirst{std::byte{1}}, kSecond{std::byte{2}};

Result<void> bind_with(Vmm& vmm, const vfio::Uuid& token) {
  if (vmm.iommufd < 0) {
    TEEIO_ASSIGN(vmm.iommufd, vmm.open("/dev/iommu"));
  }
  abi::vfio_device_bind_iommufd bind{};
  bind.argsz = sizeof(bind);
  bind.flags = VFIO_DEVICE_BIND_FLAG_TOKEN;
  bind.iommufd = vmm.iommufd;
  bind.token_uuid_ptr = vmm.store(token);
  TEEIO_TRY(vmm.ioctl(vmm.vfio, VFIO_DEVICE_BIND_IOMMUFD, bind));
  return {};
}

Result<void> set_token(Vmm& vmm, const vfio::Uuid& token) {
  struct {
    std::uint32_t argsz, flags;
    vfio::Uuid token;
  } arg{sizeof(arg), VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PCI_VF_TOKEN, token};
  TEEIO_TRY(vmm.ioctl(vmm.vfio, VFIO_DEVICE_FEATURE, arg));
  return {};
}

/// VFs that vfio-pci's own PF made, and that so need its token.
void token_against_bind(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  allow_sriov(stage, true);
  TEEIO_CHECK(set_vfs(stage, "0\n") && set_vfs(stage, "2\n"), "VFs cannot be made anew");
  Vmm& owner = stage.vmm();
  Vmm& user = stage.vmm();
  Vmm& late = stage.vmm();
  must(owner.open_device(kPf));
  must(bind_with(owner, kFirst));
  must(user.open_device(kVf0));
  Result<void> bound, set;
  stage.play({{"owner", [&] { set = set_token(owner, kSecond); }},
              {"user", [&] { bound = bind_with(user, kFirst); }}});
  const Unexplored after;
  TEEIO_CHECK(set.has_value(), "the PF's token could not be changed");
  TEEIO_CHECK(bound.has_value() || bound.error().code == Errno::kAcces,
              "a VF was refused for another reason than its token");
  must(late.open_device(kVf1));
  TEEIO_CHECK(!bind_with(late, kFirst).has_value(), "the old token still opens a VF");
  must(bind_with(late, kSecond));
  for (Vmm* vmm : {&late, &user, &owner}) vmm->exit();
  TEEIO_CHECK(set_vfs(stage, "0\n"), "the VFs cannot be taken away");
  allow_sriov(stage, false);
}

}  // namespace

void add_sriov_scenarios(std::vector<MachineScenario>& all) {
  all.push_back({.name = "bus/removal-against-sriov",
                 .description = "the PF's removal against `echo 0 > sriov_numvfs`",
                 .body = removal_against_sriov});
  all.push_back({.name = "bus/sriov-off-against-open",
                 .description = "`echo 0 > sriov_numvfs` against open and bind of a VF",
                 .body = sriov_off_against_open});
  all.push_back({.name = "bus/two-numbers-of-vfs",
                 .description = "two numbers into sriov_numvfs at once: one is EBUSY",
                 .body = two_numbers});
  all.push_back({.name = "bus/unbind-against-sriov",
                 .description = "the PF's driver goes while VFs are made",
                 .body = sriov_against_unbind});
  all.push_back({.name = "bus/unbind-against-open",
                 .description = "the PF's driver goes, and its VFs, while it is opened and bound",
                 .body = unbind_against_open});
  all.push_back({.name = "bus/token-against-bind",
                 .description = "the PF's token is changed while a VF is bound with the old one",
                 .body = token_against_bind});
}

}  // namespace teeio::explore
