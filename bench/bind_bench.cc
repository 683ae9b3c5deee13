// bind + unbind of one TDI while N TDIs of the machine are bound, through the
// system calls of an in-process machine: the time must not grow with N.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "abi/iommufd.h"
#include "abi/kvm.h"
#include "abi/proposed.h"
#include "abi/vfio.h"
#include "host/mm/plain_caller.h"
#include "machine/config.h"
#include "machine/machine.h"

namespace teeio {
namespace {

constexpr unsigned kVfsPerCard = 120;
constexpr std::uint64_t kWindowBytes = 256ULL << 20U;

/// A TDX machine with at least `tdis` VFs, each card behind its own root port.
std::string machine_with(unsigned tdis) {
  std::string text = "name = \"bench\"\ntsm = \"tdx\"\nmemory_mib = 65536\n";
  const unsigned cards = (tdis + kVfsPerCard - 1) / kVfsPerCard;
  for (unsigned i = 0; i < cards; ++i) {
    const std::uint64_t window = 0x380000000000ULL + i * kWindowBytes;
    const unsigned vfs = std::min(kVfsPerCard, tdis - i * kVfsPerCard);
    text += fmt::format(
        "[[root_port]]\nbdf = \"0000:00:{:02x}.{}\"\nbus = {}\nwindow = {:#x}\nwindow_mib = 256\n"
        "ide_streams = 1\ntee_io = true\n",
        1 + i / 8, i % 8, i + 1, window);
    text += fmt::format(
        "[[card]]\nmodel = \"dma-engine\"\nbdf = \"0000:{:02x}:00.0\"\nwindow = {:#x}\nvfs = {}\n",
        i + 1, window, vfs);
  }
  return text;
}

/// A VMM of one process: every VF of the machine open and given to one TD.
class Vmm {
 public:
  explicit Vmm(unsigned tdis) : process_(1), caller_(process_) {
    auto config = machine::parse_config(machine_with(tdis), "bench");
    if (!config) die(config.error());
    auto made = machine::Machine::create(*config);
    if (!made) die(std::string(made.error().why));
    machine_ = std::move(*made);
    scratch_ = process_.memory().map(kPageSize);
    if (const auto connected = machine_->connect_cards(); !connected)
      die(std::string(connected.error().why));
    make_td();
    iommufd_ = open("/dev/iommu");
    for (unsigned vf = 0; vf < tdis; ++vf) add(vf);
  }
  ~Vmm() {
    const object::DelayedPuts puts;
    process_.files().close_all();
  }
  Vmm(const Vmm&) = delete;
  Vmm& operator=(const Vmm&) = delete;

  void bind(unsigned vf) { op(vf, abi::IOMMU_VDEVICE_TSM_BIND); }
  void unbind(unsigned vf) { op(vf, abi::IOMMU_VDEVICE_TSM_UNBIND); }

 private:
  [[noreturn]] static void die(const std::string& why) {
    fmt::print(stderr, "bind_bench: {}\n", why);
    std::exit(1);
  }
  int open(const std::string& path) {
    auto file = machine_->system_calls().open(caller_, path, O_RDWR);
    if (!file) die(path + ": " + std::string(file.error().why));
    return *process_.files().install(std::move(*file));
  }
  std::int64_t call(int fd, std::uint32_t command, std::uint64_t argument) {
    const auto file = *process_.files().get(fd);
    const auto result = machine_->system_calls().ioctl(caller_, *file, command, argument);
    if (!result) die(fmt::format("ioctl {:#x}: {}", command, result.error().why));
    return *result;
  }
  template <class T>
  T exchange(int fd, std::uint32_t command, T arg) {
    (void)process_.memory().write(scratch_, bytes_of(arg));
    (void)call(fd, command, scratch_);
    (void)process_.memory().read(scratch_, writable_bytes_of(arg));
    return arg;
  }

  void make_td() {
    kvm_ = open("/dev/kvm");
    vm_ = static_cast<int>(call(kvm_, KVM_CREATE_VM, 5));
    abi::kvm_tdx_init_vm init{};
    (void)process_.memory().write(scratch_ + 1024, bytes_of(init));
    abi::kvm_tdx_cmd command{};
    command.id = abi::KVM_TDX_INIT_VM;
    command.data = scratch_ + 1024;
    (void)exchange(vm_, KVM_MEMORY_ENCRYPT_OP, command);
    abi::kvm_create_device create{};
    create.type = abi::KVM_DEV_TYPE_VFIO;
    vfio_device_ = static_cast<int>(exchange(vm_, KVM_CREATE_DEVICE, create).fd);
  }

  void add(unsigned vf) {
    // PF0 of each card is a vfio device as well: skip it in the numbering.
    const int fd = open(fmt::format("/dev/vfio/devices/vfio{}", vf + vf / kVfsPerCard + 1));
    const std::int32_t number = fd;
    (void)process_.memory().write(scratch_ + 512, bytes_of(number));
    abi::kvm_device_attr attr{};
    attr.group = KVM_DEV_VFIO_FILE;
    attr.attr = KVM_DEV_VFIO_FILE_ADD;
    attr.addr = scratch_ + 512;
    (void)exchange(vfio_device_, KVM_SET_DEVICE_ATTR, attr);
    abi::vfio_device_bind_iommufd bind{};
    bind.argsz = sizeof(bind);
    bind.iommufd = iommufd_;
    const std::uint32_t device = exchange(fd, VFIO_DEVICE_BIND_IOMMUFD, bind).out_devid;
    (void)process_.files().close(fd);  // KVM's VFIO device holds the file
    if (viommu_ == 0) make_viommu(device);
    abi::iommu_vdevice_alloc vdevice{};
    vdevice.size = sizeof(vdevice);
    vdevice.viommu_id = viommu_;
    vdevice.dev_id = device;
    vdevice.virt_id = vf;
    vdevices_.push_back(exchange(iommufd_, IOMMU_VDEVICE_ALLOC, vdevice).out_vdevice_id);
  }

  void make_viommu(std::uint32_t device) {
    abi::iommu_ioas_alloc ioas{};
    ioas.size = sizeof(ioas);
    abi::iommu_hwpt_alloc hwpt{};
    hwpt.size = sizeof(hwpt);
    hwpt.flags = abi::IOMMU_HWPT_ALLOC_NEST_PARENT;
    hwpt.dev_id = device;
    hwpt.pt_id = exchange(iommufd_, IOMMU_IOAS_ALLOC, ioas).out_ioas_id;
    abi::iommu_viommu_alloc viommu{};
    viommu.size = sizeof(viommu);
    viommu.type = IOMMU_VIOMMU_TYPE_TSM;
    viommu.dev_id = device;
    viommu.hwpt_id = exchange(iommufd_, IOMMU_HWPT_ALLOC, hwpt).out_hwpt_id;
    viommu_ = exchange(iommufd_, IOMMU_VIOMMU_ALLOC, viommu).out_viommu_id;
  }

  void op(unsigned vf, std::uint32_t type) {
    abi::iommu_vdevice_tsm_op arg{};
    arg.size = sizeof(arg);
    arg.type = type;
    arg.vdevice_id = vdevices_[vf];
    (void)exchange(iommufd_, IOMMU_VDEVICE_TSM_OP, arg);
  }

  std::unique_ptr<machine::Machine> machine_;
  mm::PlainProcess process_;
  mm::PlainCaller caller_;
  std::uint64_t scratch_ = 0;  ///< where arguments lie
  int kvm_ = -1, vm_ = -1, vfio_device_ = -1, iommufd_ = -1;
  std::uint32_t viommu_ = 0;
  std::vector<std::uint32_t> vdevices_;
};

void BM_BindUnbind(benchmark::State& state) {
  const auto tdis = static_cast<unsigned>(state.range(0));
  Vmm vmm(tdis);
  for (unsigned vf = 1; vf < tdis; ++vf) vmm.bind(vf);
  for (auto _ : state) {
    vmm.bind(0);
    vmm.unbind(0);
  }
  for (unsigned vf = 1; vf < tdis; ++vf) vmm.unbind(vf);
}
BENCHMARK(BM_BindUnbind)->RangeMultiplier(10)->Range(1, 10'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace teeio
