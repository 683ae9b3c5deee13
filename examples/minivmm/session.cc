#include "session.h"

#include <linux/teeio_proposed.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstring>
#include <span>
#include <vector>

#include "../guest/failure.h"
#include "../guest/platform.h"
#include "files.h"
#include "guest_image.h"
#include "steps.h"

namespace {

constexpr std::uint32_t kRamSlot = 0;
constexpr std::uint32_t kResetSlot = 1;
constexpr std::uint32_t kBarSlot = 2;
constexpr unsigned kBars[] = {0, 2};
constexpr std::uint64_t kBarAddress[] = {platform::kBar0, platform::kBar2};

unsigned long vm_type(const Options& options) {
  if (options.vm_type != 0) return options.vm_type;
  if (options.arch == Arch::kSev) return KVM_X86_SNP_VM;
  return options.arch == Arch::kTdx ? KVM_X86_TDX_VM : KVM_VM_TYPE_ARM_REALM;
}

Mapping anonymous(std::size_t size) { return Mapping(size, -1, MAP_SHARED | MAP_ANONYMOUS); }

}  // namespace

Session::Session(const Options& options, const Function& function, std::string prefix)
    : options_(options), prefix_(std::move(prefix)), function_(function) {}

void Session::build() {
  begin(Step::kConnect, prefix_);
  connect_tsm(function_);
  begin(Step::kOpen, prefix_);
  device_.emplace(function_, options_.abi);
  create_vm();
  give_memory();
  // VFIO takes the VM from this association when it is bound to the iommufd,
  // and the vIOMMU takes it from VFIO: no other order makes a secure vIOMMU.
  begin(Step::kAssociate, prefix_);
  vm_->associate(device_->vfio());
  begin(Step::kBindIommufd, prefix_);
  device_->bind_iommufd();
  begin(Step::kSharedDma, prefix_);
  // Of an SNP guest's memory the host maps what is shared, and the private pages later.
  const std::uint64_t shared = options_.arch == Arch::kSev ? platform::kSharedRam : 0;
  device_->attach_shared_dma(ram_.bytes().subspan(shared), shared);
  begin(Step::kVdevice, prefix_);
  device_->allocate_viommu();
  // In v7 that would bind, and the guest has not asked for it yet.
  if (options_.abi == Abi::kTeeio)
    if (const int error = device_->allocate_vdevice(); error != 0)
      fail("IOMMU_VDEVICE_ALLOC", error);
  begin(Step::kExport, prefix_);
  add_bar_slots(Sharing::kShared);
  switch (options_.arch) {
    case Arch::kTdx:
      return load_guest();
    case Arch::kSev:
      return load_snp_guest();
    case Arch::kCca:
      return load_realm_guest();
  }
}

void Session::create_vm() {
  begin(Step::kCreateVm, prefix_);
  vm_.emplace(vm_type(options_));
  begin(Step::kInitTd, prefix_);
  if (options_.arch == Arch::kTdx) vm_->init_td();
  if (options_.arch == Arch::kSev) vm_->start_snp();
  if (options_.arch == Arch::kCca) vm_->forward_host_calls(options_.rhi_continue);
}

void Session::give_memory() {
  begin(Step::kGuestMemory, prefix_);
  ram_ = anonymous(platform::kRamSize);
  vm_->add_ram(kRamSlot, 0, ram_);
  vm_->set_private(0, platform::kSharedRam, true);
  if (options_.arch == Arch::kCca) return;  // begins where it is loaded
  reset_page_ = anonymous(platform::kPage);
  vm_->add_ram(kResetSlot, platform::kResetPage, reset_page_);
  vm_->set_private(platform::kResetPage, platform::kPage, true);
}

void Session::load_guest() {
  begin(Step::kLoadGuest, prefix_);
  write_board();
  vm_->add_vcpu();
  vm_->init_td_vcpu(platform::kBoard);
  const auto image = guest_image();
  const std::size_t body = image.size() - platform::kPage;
  vm_->load(platform::kImage, image.first(body));
  vm_->load(platform::kResetPage, image.subspan(body));
  vm_->finalize();
}

void Session::write_board() {
  platform::Board board{};
  board.magic = platform::Board::kMagic;
  board.function_id = function_.requester_id();
  if (!options_.unbind) board.flags |= platform::kKeepBound;
  if (options_.fresh_evidence) board.flags |= platform::kWantsFresh;
  if (options_.invalidate_dma) board.flags |= platform::kInvalidatesDma;
  if (!options_.token_file.empty()) board.flags |= platform::kGivesToken;
  if (!options_.root.empty()) {
    const sha384::Digest root = digest_of_file(options_.root);
    std::memcpy(board.root, root.bytes, sizeof board.root);
    board.flags |= platform::kHasRoot;
  }
  board.bar0_size = device_->bar(0).size;
  board.bar2_size = device_->bar(2).size;
  std::memcpy(ram_.bytes().data() + platform::kBoard, &board, sizeof board);
}

// While the device is shared BAR0 is emulated, access by access, and BAR2 is
// mapped; as private MMIO both are mapped. Memslots of MMIO are made anew from a
// new export each time, never converted.
void Session::add_bar_slots(Sharing sharing) {
  const bool is_private = sharing == Sharing::kPrivate;
  for (std::uint32_t i = 0; i < 2; ++i) {
    const std::uint64_t size = device_->bar(kBars[i]).size;
    vm_->set_private(kBarAddress[i], size, is_private);
    if (!is_private && i == 0) continue;
    bar_files_[i] = device_->export_bar(kBars[i]);
    vm_->add_mmio(kBarSlot + i, kBarAddress[i], size, bar_files_[i]);
  }
  has_bar_slots_ = true;
}

std::uint64_t Session::bar_address(std::uint32_t index) { return kBarAddress[index]; }

void Session::map_bar(std::uint32_t index) {
  vm_->pre_fault(kBarAddress[index], device_->bar(kBars[index]).size);
}

void Session::remove_bar_slots() {
  if (!has_bar_slots_) return;
  for (std::uint32_t i = 0; i < 2; ++i) {
    if (!bar_files_[i]) continue;
    vm_->remove_slot(kBarSlot + i);
    bar_files_[i].close();
  }
  has_bar_slots_ = false;
}

void Session::run_to_checkpoint() {
  begin(Step::kRun, prefix_);
  while (run_once() == Next::kContinue) {
  }
}

bool Session::run_to_end() {
  while (!exit_code_ && run_once() != Next::kEnd) {
  }
  begin(Step::kGuestEnds, prefix_);
  if (exit_code_ == platform::kSuccess) {
    if (!options_.token_file.empty()) keep_token();
    return true;
  }
  const std::uint32_t code = exit_code_.value_or(0);
  std::fprintf(stderr, "minivmm: %sguest gave up with code %u: %s\n", prefix_.c_str(), code,
               failure_text(code));
  device_->explain_other_abi();
  return false;
}

int Session::bind() {
  begin(Step::kLockOut, prefix_);
  remove_bar_slots();
  begin(Step::kBind, prefix_);
  if (const int error = device_->bind_tdi(options_.door, options_.arch); error != 0) {
    add_bar_slots(Sharing::kShared);
    return error;
  }
  if (options_.arch == Arch::kCca)
    if (const int error = lock(); error != 0) return error;
  begin(Step::kPrivateSlots, prefix_);
  add_bar_slots(Sharing::kPrivate);
  return 0;
}

// A realm has asked to lock: a bind of the host's may leave that to do, and in v7 does.
int Session::lock() {
  Device::TdiState state = Device::TdiState::kUnlocked;
  if (options_.abi == Abi::kTeeio)
    if (const int error = device_->get_tdi_state(options_.arch, state); error != 0) return error;
  if (state != Device::TdiState::kUnlocked) return 0;
  return device_->set_tdi_state(options_.arch, Device::TdiState::kLocked);
}

int Session::unbind() {
  // By the guest's own request the host learns nothing of an unbind, so what is
  // mapped must be gone before.
  if (options_.door == Door::kGuest) remove_bar_slots();
  begin(Step::kUnbind, prefix_);
  if (const int error = device_->unbind_tdi(options_.door, options_.arch); error != 0) return error;
  begin(Step::kSharedSlots, prefix_);
  remove_bar_slots();
  add_bar_slots(Sharing::kShared);
  return 0;
}

void Session::close() {
  Step step = Step::kCloseFirst;
  for (const Closing what : options_.close_order) {
    begin(step, prefix_);
    step = static_cast<Step>(static_cast<int>(step) + 1);
    switch (what) {
      case Closing::kVfio:
        vm_->dissociate(device_->vfio());
        for (Fd& file : bar_files_) file.close();
        device_->close_vfio();
        break;
      case Closing::kIommufd:
        device_->close_iommufd();
        break;
      case Closing::kVm:
        vm_->close();
        break;
    }
  }
  begin(Step::kDone, prefix_);
}
