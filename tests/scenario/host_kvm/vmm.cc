// A VMM with a vCPU of the host's real KVM and a function of teeio's card, for
// `teeio run --host-kvm`. The guest writes into BAR2, which is a memslot, drives the DMA
// engine by BAR0, which is an exit for each register, and waits for an interrupt that comes
// from VFIO's eventfd by KVM_IRQFD. Exit status 77: /dev/kvm does not work.
//
//   vmm BDF [--tsm]    the whole, or, with --tsm, up to a TSM bind, which must be refused
//   vmm --rate N       N ends of KVM_RUN, without a device; prints how many a second
#include <fcntl.h>
#include <linux/iommufd.h>
#include <linux/kvm.h>
#include <linux/teeio_proposed.h>
#include <linux/vfio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

extern "C" {
extern const unsigned char guest_start[], guest_end[], guest_interrupt[], guest_rate[];
}

namespace {

constexpr std::size_t kRam = 2 << 20;
constexpr std::uint64_t kCode = 0x1000;
constexpr std::uint64_t kBar0 = 0xd0000000;
constexpr std::uint64_t kBar2 = 0xe0000000;
constexpr std::uint32_t kIrq = 5;
constexpr std::uint32_t kVector = 0x25;
constexpr std::uint32_t kFirstWord = 0x12345678;
constexpr std::uint32_t kOnes = 0xffffffff;
constexpr unsigned kMsix = 2;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "vmm: %s\n", what.c_str());
  std::exit(1);
}
[[noreturn]] void skip(const std::string& why) {
  std::printf("skipped: %s\n", why.c_str());
  std::exit(77);
}
void expect(bool is, const std::string& what) {
  if (!is) die("not so: " + what + " (errno " + std::to_string(errno) + ")");
}
int call(int fd, unsigned long request, void* argument, const char* name) {
  const int result = ioctl(fd, request, argument);
  if (result < 0) die(std::string(name) + ": " + std::strerror(errno));
  return result;
}
#define CALL(fd, request, argument) call(fd, request, argument, #request)

std::uint64_t address_of(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

struct Vm {
  int kvm = -1, vm = -1, vcpu = -1;
  std::uint8_t* ram = nullptr;
  kvm_run* run = nullptr;

  void add_memory(std::uint32_t slot, std::uint64_t where, void* bytes, std::uint64_t size) const {
    kvm_userspace_memory_region region{};
    region.slot = slot;
    region.guest_phys_addr = where;
    region.memory_size = size;
    region.userspace_addr = address_of(bytes);
    CALL(vm, KVM_SET_USER_MEMORY_REGION, &region);
  }
  /// KVM_RUN; 0 or -1 and errno.
  [[nodiscard]] int enter() const {
    int result = 0;
    do result = ioctl(vcpu, KVM_RUN, 0);
    while (result < 0 && errno == EINTR);
    return result;
  }
};

/// Real mode, with what the segments reach set to 4 GiB.
void start_at(const Vm& vm, std::uint64_t ip) {
  kvm_sregs sregs{};
  CALL(vm.vcpu, KVM_GET_SREGS, &sregs);
  sregs.cs.base = 0;
  sregs.cs.selector = 0;
  for (kvm_segment* segment : {&sregs.ds, &sregs.es, &sregs.fs, &sregs.gs, &sregs.ss}) {
    segment->base = 0;
    segment->selector = 0;
    segment->limit = 0xffffffff;
    segment->g = 1;
  }
  CALL(vm.vcpu, KVM_SET_SREGS, &sregs);
  kvm_regs regs{};
  regs.rip = ip;
  regs.rsp = 0x3000;
  regs.rflags = 2;
  CALL(vm.vcpu, KVM_SET_REGS, &regs);
}

Vm make_vm(bool interrupts) {
  Vm vm;
  vm.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (vm.kvm < 0) skip("/dev/kvm cannot be opened: " + std::string(std::strerror(errno)));
  vm.vm = ioctl(vm.kvm, KVM_CREATE_VM, 0);
  if (vm.vm < 0) skip("KVM makes no VM: " + std::string(std::strerror(errno)));
  void* ram = mmap(nullptr, kRam, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (ram == MAP_FAILED) die("no memory");
  vm.ram = static_cast<std::uint8_t*>(ram);
  std::uint64_t identity = 0xfffbc000;
  CALL(vm.vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
  if (ioctl(vm.vm, KVM_SET_TSS_ADDR, 0xfffbd000) < 0) die("KVM_SET_TSS_ADDR");
  if (interrupts) CALL(vm.vm, KVM_CREATE_IRQCHIP, nullptr);
  vm.add_memory(0, 0, vm.ram, kRam);
  vm.vcpu = ioctl(vm.vm, KVM_CREATE_VCPU, 0);
  if (vm.vcpu < 0) skip("KVM makes no vCPU: " + std::string(std::strerror(errno)));
  const int size = ioctl(vm.kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  void* run =
      mmap(nullptr, static_cast<std::size_t>(size), PROT_READ | PROT_WRITE, MAP_SHARED, vm.vcpu, 0);
  if (run == MAP_FAILED) die("kvm_run");
  vm.run = static_cast<kvm_run*>(run);
  std::memcpy(vm.ram + kCode, guest_start, static_cast<std::size_t>(guest_end - guest_start));
  const auto handler = static_cast<std::uint16_t>(kCode + (guest_interrupt - guest_start));
  std::memcpy(vm.ram + kVector * 4U, &handler, sizeof(handler));
  return vm;
}

struct Region {
  std::uint64_t size, offset;
};

/// A function of the card, as VFIO's character device.
struct Function {
  int iommufd = -1, vfio = -1;
  std::uint32_t device_id = 0, ioas = 0, hwpt = 0;

  explicit Function(const std::string& bdf) {
    const std::string names = "/sys/bus/pci/devices/" + bdf + "/vfio-dev";
    std::string path;
    for (const auto& entry : std::filesystem::directory_iterator(names))
      path = "/dev/vfio/devices/" + entry.path().filename().string();
    iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
    vfio = open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (iommufd < 0 || vfio < 0) die("no /dev/iommu, or no " + path);
  }
  void bind() {
    vfio_device_bind_iommufd arg{};
    arg.argsz = sizeof(arg);
    arg.iommufd = iommufd;
    CALL(vfio, VFIO_DEVICE_BIND_IOMMUFD, &arg);
    device_id = arg.out_devid;
  }
  void attach(const Vm& vm) {
    iommu_ioas_alloc alloc{};
    alloc.size = sizeof(alloc);
    CALL(iommufd, IOMMU_IOAS_ALLOC, &alloc);
    ioas = alloc.out_ioas_id;
    iommu_hwpt_alloc table{};
    table.size = sizeof(table);
    table.flags = IOMMU_HWPT_ALLOC_NEST_PARENT;
    table.dev_id = device_id;
    table.pt_id = ioas;
    CALL(iommufd, IOMMU_HWPT_ALLOC, &table);
    hwpt = table.out_hwpt_id;
    vfio_device_attach_iommufd_pt attach{};
    attach.argsz = sizeof(attach);
    attach.pt_id = hwpt;
    CALL(vfio, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
    iommu_ioas_map map{};
    map.size = sizeof(map);
    map.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
    map.ioas_id = ioas;
    map.user_va = address_of(vm.ram);
    map.length = kRam;
    map.iova = 0;
    CALL(iommufd, IOMMU_IOAS_MAP, &map);
  }
  [[nodiscard]] Region region(unsigned index) const {
    vfio_region_info info{};
    info.argsz = sizeof(info);
    info.index = index;
    CALL(vfio, VFIO_DEVICE_GET_REGION_INFO, &info);
    return {info.size, info.offset};
  }
  void command(std::uint16_t value) const {
    const Region config = region(VFIO_PCI_CONFIG_REGION_INDEX);
    if (pwrite(vfio, &value, sizeof(value), static_cast<off_t>(config.offset + 4)) != 2)
      die("Command register");
  }
  void interrupt_by(int event) const {
    std::vector<char> bytes(sizeof(vfio_irq_set) + sizeof(event));
    auto* const set = reinterpret_cast<vfio_irq_set*>(bytes.data());
    set->argsz = static_cast<std::uint32_t>(bytes.size());
    set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    set->index = kMsix;
    set->start = 0;
    set->count = 1;
    std::memcpy(set->data, &event, sizeof(event));
    CALL(vfio, VFIO_DEVICE_SET_IRQS, set);
  }
};

int file_call(int device, std::uint64_t attribute, int fd) {
  std::int32_t number = fd;
  kvm_device_attr attr{};
  attr.group = KVM_DEV_VFIO_FILE;
  attr.attr = attribute;
  attr.addr = address_of(&number);
  return ioctl(device, KVM_SET_DEVICE_ATTR, &attr);
}

/// The KVM VFIO device of a real VM, with a file of teeio's in it.
void tell_kvm(const Vm& vm, const Function& function) {
  kvm_create_device device{};
  device.type = KVM_DEV_TYPE_VFIO;
  device.flags = KVM_CREATE_DEVICE_TEST;
  CALL(vm.vm, KVM_CREATE_DEVICE, &device);
  device.flags = 0;
  CALL(vm.vm, KVM_CREATE_DEVICE, &device);
  const int made = static_cast<int>(device.fd);
  const int same_vm = dup(vm.vm);
  kvm_create_device second = device;
  expect(ioctl(same_vm, KVM_CREATE_DEVICE, &second) < 0 && errno == EBUSY,
         "a VM has one KVM VFIO device, by whichever descriptor: EBUSY");
  close(same_vm);
  const int other_vm = ioctl(vm.kvm, KVM_CREATE_VM, 0);
  kvm_create_device others = device;
  CALL(other_vm, KVM_CREATE_DEVICE, &others);
  close(static_cast<int>(others.fd));
  close(other_vm);
  kvm_create_device unknown{};
  unknown.type = 4711;
  expect(ioctl(vm.vm, KVM_CREATE_DEVICE, &unknown) < 0 && errno == ENODEV,
         "other types are KVM's own to refuse: ENODEV");

  kvm_device_attr attr{};
  attr.group = KVM_DEV_VFIO_FILE;
  attr.attr = KVM_DEV_VFIO_FILE_ADD;
  CALL(made, KVM_HAS_DEVICE_ATTR, &attr);
  expect(file_call(made, KVM_DEV_VFIO_FILE_ADD, function.vfio) == 0, "FILE_ADD");
  expect(file_call(made, KVM_DEV_VFIO_FILE_ADD, function.vfio) < 0 && errno == EEXIST, "EEXIST");
  expect(file_call(made, KVM_DEV_VFIO_FILE_DEL, function.vfio) == 0, "FILE_DEL");
  expect(file_call(made, KVM_DEV_VFIO_FILE_DEL, function.vfio) < 0 && errno == ENOENT, "ENOENT");
  expect(file_call(made, KVM_DEV_VFIO_FILE_ADD, vm.vcpu) < 0 && errno == EINVAL,
         "a file of KVM's is no VFIO file: EINVAL");
  const int low = dup2(made, 100);
  expect(file_call(low, KVM_DEV_VFIO_FILE_ADD, function.vfio) == 0, "FILE_ADD by a low number");
  close(low);
}

/// What the guest reports until it has said `count` words; its accesses of BAR0 are carried out.
class Guest {
 public:
  Guest(const Vm& vm, const Function& function)
      : vm_(vm), function_(function), bar0_(function.region(VFIO_PCI_BAR0_REGION_INDEX)) {}

  std::uint32_t report() {
    for (;;) {
      expect(vm_.enter() == 0, "KVM_RUN");
      if (vm_.run->exit_reason == KVM_EXIT_IO) return word();
      answer();
    }
  }
  /// What it reads from BAR2 while memory space is off: nothing of the card's.
  std::uint32_t report_without_memory() {
    for (;;) {
      if (vm_.enter() < 0) {
        expect(errno == EFAULT, "a memslot without memory behind it: EFAULT");
        function_.command(6);
      } else if (vm_.run->exit_reason == KVM_EXIT_IO) {
        return word();
      } else {
        answer();
      }
    }
  }

 private:
  [[nodiscard]] std::uint32_t word() const {
    std::uint32_t value = 0;
    std::memcpy(&value, reinterpret_cast<char*>(vm_.run) + vm_.run->io.data_offset, sizeof(value));
    return value;
  }
  void answer() {
    auto& mmio = vm_.run->mmio;
    if (vm_.run->exit_reason != KVM_EXIT_MMIO)
      die("KVM_RUN ended for reason " + std::to_string(vm_.run->exit_reason));
    if (mmio.phys_addr >= kBar2) {  // while it is off, where KVM gives this and not EFAULT
      std::memset(mmio.data, 0xff, sizeof(mmio.data));
      return;
    }
    expect(mmio.phys_addr >= kBar0 && mmio.phys_addr - kBar0 < bar0_.size, "an access of BAR0");
    const auto at = static_cast<off_t>(bar0_.offset + mmio.phys_addr - kBar0);
    const ssize_t done = mmio.is_write ? pwrite(function_.vfio, mmio.data, mmio.len, at)
                                       : pread(function_.vfio, mmio.data, mmio.len, at);
    expect(done == static_cast<ssize_t>(mmio.len), "an access of BAR0");
  }

  const Vm& vm_;
  const Function& function_;
  const Region bar0_;
};

void whole(const std::string& bdf) {
  const Vm vm = make_vm(true);
  Function function(bdf);
  tell_kvm(vm, function);
  function.bind();
  function.attach(vm);
  function.command(6);
  const Region bar2 = function.region(VFIO_PCI_BAR2_REGION_INDEX);
  void* bytes = mmap(nullptr, bar2.size, PROT_READ | PROT_WRITE, MAP_SHARED, function.vfio,
                     static_cast<off_t>(bar2.offset));
  if (bytes == MAP_FAILED) die("mmap of BAR2");
  vm.add_memory(1, kBar2, bytes, bar2.size);
  const int event = eventfd(0, EFD_CLOEXEC);
  kvm_irqfd irqfd{};
  irqfd.fd = static_cast<std::uint32_t>(event);
  irqfd.gsi = kIrq;
  CALL(vm.vm, KVM_IRQFD, &irqfd);
  function.interrupt_by(event);

  start_at(vm, kCode);
  Guest guest(vm, function);
  const std::uint32_t error = guest.report(), status = guest.report(), count = guest.report(),
                      wrong = guest.report();
  std::printf("guest: ERROR %u, status %u, %u interrupt, %u words wrong\n", error, status, count,
              wrong);
  expect(error == 0 && status == 1 && count == 1 && wrong == 0, "the guest's DMA works");
  function.command(4);
  const std::uint32_t without = guest.report_without_memory();
  function.command(6);
  const std::uint32_t with = guest.report();
  std::printf("guest: BAR2 off %08x, on %08x\n", without, with);
  expect(without == kOnes || without == kFirstWord, "what BAR2 gives while it is off");
  expect(with == kFirstWord, "BAR2 is there again");
}

void try_bind(const std::string& bdf) {
  const Vm vm = make_vm(false);
  Function function(bdf);
  kvm_create_device device{};
  device.type = KVM_DEV_TYPE_VFIO;
  CALL(vm.vm, KVM_CREATE_DEVICE, &device);
  expect(file_call(static_cast<int>(device.fd), KVM_DEV_VFIO_FILE_ADD, function.vfio) == 0,
         "FILE_ADD");
  function.bind();
  function.attach(vm);
  iommu_viommu_alloc viommu{};
  viommu.size = sizeof(viommu);
  viommu.type = IOMMU_VIOMMU_TYPE_TSM;
  viommu.dev_id = function.device_id;
  viommu.hwpt_id = function.hwpt;
  CALL(function.iommufd, IOMMU_VIOMMU_ALLOC, &viommu);
  iommu_vdevice_alloc vdevice{};
  vdevice.size = sizeof(vdevice);
  vdevice.viommu_id = viommu.out_viommu_id;
  vdevice.dev_id = function.device_id;
  vdevice.virt_id = 0x0101;
  CALL(function.iommufd, IOMMU_VDEVICE_ALLOC, &vdevice);
  vfio_pci_tsm_bind bind{};
  bind.argsz = sizeof(bind);
  bind.vdevice_id = vdevice.out_vdevice_id;
  const int bound = ioctl(function.vfio, VFIO_DEVICE_TSM_BIND, &bind);
  std::printf("TSM_BIND: %s\n", bound == 0 ? "done" : strerrorname_np(errno));
}

void rate(long ends) {
  const Vm vm = make_vm(false);
  start_at(vm, kCode + static_cast<std::uint64_t>(guest_rate - guest_start));
  const auto begin = std::chrono::steady_clock::now();
  for (long i = 0; i < ends; ++i) {
    expect(vm.enter() == 0, "KVM_RUN");
    expect(vm.run->exit_reason == KVM_EXIT_IO, "an OUT");
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("%.0f KVM_RUN/s\n", static_cast<double>(ends) / took.count());
}

}  // namespace

int main(int count, char** words) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const std::vector<std::string> arguments(words + 1, words + count);
  if (arguments.size() == 2 && arguments[0] == "--rate")
    rate(std::atol(arguments[1].c_str()));
  else if (arguments.size() == 2 && arguments[1] == "--tsm")
    try_bind(arguments[0]);
  else if (arguments.size() == 1)
    whole(arguments[0]);
  else
    die("vmm BDF [--tsm] | vmm --rate N");
}
