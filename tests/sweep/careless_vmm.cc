// A small VMM that handles every error well, but for the one mistake that its argument
// chooses: 0 is none. Exit status: 0 after "all done", 1 after saying what failed, 3 when it
// sees that it has lost its own books. tests/sweep/planted says what finds each mistake.
#include <dirent.h>
#include <fcntl.h>
#include <linux/iommufd.h>
#include <linux/kvm.h>
#include <linux/teeio_proposed.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

enum Mistake {
  kNone,
  kUncheckedOpen,        // the number is used as it is
  kNoEintrLoop,          // a signal fails the making of the VM
  kUncheckedMmap,        // MAP_FAILED is written to
  kDoubleClose,          // the number is somebody else's by then
  kLeakOnErrorPath,      // what was open stays open
  kWrongUndoOrder,       // the vIOMMU before its vDEVICE
  kWaitsForNobody,       // for a flag that only the failed step would set
  kErrnoOverwritten,     // by what cleans up
  kIgnoredResult,        // of the step that matters
  kNullOnErrorPath,      // the message about it uses what was not made
  kUncheckedOutput,      // a length that was never written
  kPipeHeldOpen,         // so that the death of a child is not seen
  kIgnoresChild,         // whatever became of it
  kBusyCannotBe,         // says an assertion about firmware
  kNoNameWithoutDevice,  // a device that does not answer leaves a null pointer
  kSpawnsHelpers,        // each of which fails in the same way
  kLogsForEver,          // until the disk is full
  kKillsItsGroup,        // itself included
  kInvertedCondition,    // recursion goes on as long as nothing changes
  kUseAfterUnmap,        // memory is wiped after it is gone
  kClosesWhileBound,     // an error after bind forgets that it was
  kKeepsLock,            // an error path leaves it taken
  kUsesRevokedMapping,   // of a device that is bound
  kLeavesHelper,         // which waits for a word that an error never sends
};
Mistake mistake = kNone;

constexpr const char* kConnect = "/sys/bus/pci/devices/0000:01:00.0/tsm/connect";
constexpr std::size_t kMemory = 4096;

int again(int fd, unsigned long request, void* argument) {
  int result = 0;
  do result = ::ioctl(fd, request, argument);
  while (result < 0 && errno == EINTR);
  return result;
}
int again(int fd, unsigned long request, unsigned long value) {
  return again(fd, request, reinterpret_cast<void*>(value));
}

unsigned open_files() {
  unsigned count = 0;
  DIR* const all = ::opendir("/proc/self/fd");
  while (::readdir(all) != nullptr) ++count;
  ::closedir(all);
  return count;
}

[[noreturn]] void log_for_ever() {
  std::string path = std::string(std::getenv("TMPDIR")) + "/log";
  const int log = ::open(path.c_str(), O_WRONLY | O_CREAT, 0600);
  static const char kPage[65536] = {};
  while (true) (void)!::write(log, kPage, sizeof kPage);
}

volatile bool changed = false;
pthread_mutex_t books = PTHREAD_MUTEX_INITIALIZER;
int recurse(int depth) { return changed ? depth : recurse(depth + 1) + 1; }

// Everything that has to be undone, in reverse.
struct Vmm {
  int iommufd = -1, vfio = -1, kvm = -1, vm = -1, kvm_vfio = -1;
  std::uint32_t device = 0, ioas = 0, hwpt = 0, viommu = 0, vdevice = 0;
  bool bound = false;
  void* memory = nullptr;
  void* registers = nullptr;
  const char* failed = nullptr;
  bool lost_books = false;

  bool fail(const char* what) {
    failed = what;
    if (mistake == kKeepsLock) ::pthread_mutex_lock(&books);
    std::fprintf(stderr, "careless: %s: %s\n", what, std::strerror(errno));
    return false;
  }
  bool open_file(const char* path, int& fd) {
    fd = ::open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 && mistake == kUncheckedOpen) std::abort();  // an index of -1
    return fd >= 0 || fail(path);
  }
  bool connect();
  bool make_vm();
  bool attach();
  bool make_vdevice();
  bool use();
  bool bind();
  bool undo();
  void close_all();
  void destroy(std::uint32_t& id, bool& good);
};

bool Vmm::connect() {
  const int file = ::open(kConnect, O_WRONLY | O_CLOEXEC);
  if (file < 0) return fail(kConnect);
  ssize_t done = 0;
  do done = ::write(file, "tsm0", 4);
  while (done < 0 && errno == EINTR);
  const int error = errno;
  ::close(file);
  errno = error;
  if (done == 4) return true;
  const char* const name = mistake == kNoNameWithoutDevice && error == EIO ? nullptr : kConnect;
  return fail(std::string(name).c_str());
}

bool Vmm::make_vm() {
  if (!open_file("/dev/iommu", iommufd) || !open_file("/dev/vfio/devices/vfio0", vfio) ||
      !open_file("/dev/kvm", kvm))
    return false;
  vm = mistake == kNoEintrLoop ? ::ioctl(kvm, KVM_CREATE_VM, 5UL) : again(kvm, KVM_CREATE_VM, 5UL);
  if (vm < 0) return fail("KVM_CREATE_VM");
  static kvm_tdx_init_vm init;
  init.xfam = 3;
  kvm_tdx_cmd command{};
  command.id = KVM_TDX_INIT_VM;
  command.data = reinterpret_cast<std::uintptr_t>(&init);
  if (again(vm, KVM_MEMORY_ENCRYPT_OP, &command) < 0) {
    if (mistake == kLogsForEver) log_for_ever();
    return fail("KVM_TDX_INIT_VM");
  }
  kvm_create_device create{};
  create.type = KVM_DEV_TYPE_VFIO;
  if (again(vm, KVM_CREATE_DEVICE, &create) < 0) {
    if (mistake == kSpawnsHelpers)
      while (true) (void)!::fork();
    return fail("KVM_CREATE_DEVICE");
  }
  kvm_vfio = static_cast<int>(create.fd);
  kvm_device_attr attribute{};
  attribute.group = KVM_DEV_VFIO_FILE;
  attribute.attr = KVM_DEV_VFIO_FILE_ADD;
  attribute.addr = reinterpret_cast<std::uintptr_t>(&vfio);
  return again(kvm_vfio, KVM_SET_DEVICE_ATTR, &attribute) == 0 || fail("KVM_DEV_VFIO_FILE_ADD");
}

bool Vmm::attach() {
  vfio_device_bind_iommufd bind{};
  bind.argsz = sizeof bind;
  bind.iommufd = iommufd;
  if (again(vfio, VFIO_DEVICE_BIND_IOMMUFD, &bind) < 0) {
    if (mistake == kWaitsForNobody)
      while (!changed) ::sched_yield();
    return fail("VFIO_DEVICE_BIND_IOMMUFD");
  }
  device = bind.out_devid;
  iommu_ioas_alloc alloc{};
  alloc.size = sizeof alloc;
  if (again(iommufd, IOMMU_IOAS_ALLOC, &alloc) < 0) {
    if (mistake == kInvertedCondition) return recurse(0) > 0;
    return fail("IOMMU_IOAS_ALLOC");
  }
  ioas = alloc.out_ioas_id;
  iommu_hwpt_alloc table{};
  table.size = sizeof table;
  table.flags = IOMMU_HWPT_ALLOC_NEST_PARENT;
  table.dev_id = device;
  table.pt_id = ioas;
  if (again(iommufd, IOMMU_HWPT_ALLOC, &table) < 0) {
    if (mistake == kKillsItsGroup) ::raise(SIGTERM);
    return fail("IOMMU_HWPT_ALLOC");
  }
  hwpt = table.out_hwpt_id;
  vfio_device_attach_iommufd_pt attach{};
  attach.argsz = sizeof attach;
  attach.pt_id = hwpt;
  if (again(vfio, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) == 0) return true;
  (void)fail("VFIO_DEVICE_ATTACH_IOMMUFD_PT");
  if (mistake == kDoubleClose) ::close(kvm);  // and once more when all is undone
  return false;
}

bool Vmm::make_vdevice() {
  memory = ::mmap(nullptr, kMemory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  iommu_ioas_map map{};
  map.size = sizeof map;
  map.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
  map.ioas_id = ioas;
  map.user_va = reinterpret_cast<std::uintptr_t>(memory);
  map.length = kMemory;
  if (again(iommufd, IOMMU_IOAS_MAP, &map) < 0) {
    if (mistake == kUseAfterUnmap) {
      ::munmap(memory, kMemory);
      std::memset(memory, 0, kMemory);
    }
    return fail("IOMMU_IOAS_MAP");
  }
  iommu_viommu_alloc alloc{};
  alloc.size = sizeof alloc;
  alloc.type = IOMMU_VIOMMU_TYPE_TSM;
  alloc.dev_id = device;
  alloc.hwpt_id = hwpt;
  if (again(iommufd, IOMMU_VIOMMU_ALLOC, &alloc) < 0) {
    if (mistake == kErrnoOverwritten) return close_all(), errno = 0, true;
    return fail("IOMMU_VIOMMU_ALLOC");
  }
  viommu = alloc.out_viommu_id;
  iommu_vdevice_alloc made{};
  made.size = sizeof made;
  made.viommu_id = viommu;
  made.dev_id = device;
  made.virt_id = 0x100;
  if (again(iommufd, IOMMU_VDEVICE_ALLOC, &made) < 0) {
    if (mistake == kLeakOnErrorPath) kvm_vfio = -1;
    return fail("IOMMU_VDEVICE_ALLOC");
  }
  vdevice = made.out_vdevice_id;
  return true;
}

// Reads of the device and a mapping of BAR2.
bool Vmm::use() {
  vfio_region_info info{};
  info.argsz = sizeof info;
  info.index = VFIO_PCI_BAR2_REGION_INDEX;
  const bool known = again(vfio, VFIO_DEVICE_GET_REGION_INFO, &info) == 0;
  if (!known && mistake == kNullOnErrorPath)
    std::fprintf(stderr, "%u\n", *static_cast<volatile unsigned*>(nullptr));
  if (!known && mistake == kUncheckedOutput)
    std::fprintf(stderr, "%llu\n", kMemory / *static_cast<volatile __u64*>(&info.size));
  if (!known) return fail("VFIO_DEVICE_GET_REGION_INFO");
  void* const bar = ::mmap(nullptr, kMemory, PROT_READ | PROT_WRITE, MAP_SHARED, vfio,
                           static_cast<off_t>(info.offset));
  if (bar == MAP_FAILED && mistake == kUncheckedMmap) std::memset(bar, 0, 1);
  if (bar == MAP_FAILED) return fail("mmap");
  if (mistake == kUsesRevokedMapping) return registers = bar, true;
  ::munmap(bar, kMemory);
  return true;
}

bool Vmm::bind() {
  vfio_pci_tsm_bind bind{};
  bind.argsz = sizeof bind;
  bind.vdevice_id = vdevice;
  const int result = again(vfio, VFIO_DEVICE_TSM_BIND, &bind);
  if (result < 0 && mistake == kBusyCannotBe) std::abort();
  bound = result == 0 || mistake == kIgnoredResult;
  if (!bound) return fail("VFIO_DEVICE_TSM_BIND");
  std::uint32_t ids = 0;
  if (::pread(vfio, &ids, sizeof ids, static_cast<off_t>(VFIO_PCI_CONFIG_REGION_INDEX) << 40) == 4)
    return true;
  (void)fail("configuration space");
  if (mistake == kUsesRevokedMapping) std::memset(registers, 0, 1);
  if (mistake == kLeavesHelper && ::fork() == 0) {
    (void)::setsid();
    while (!changed) ::pause();
  }
  if (mistake == kClosesWhileBound) bound = false;
  return false;
}

void Vmm::destroy(std::uint32_t& id, bool& good) {
  iommu_destroy gone{};
  gone.size = sizeof gone;
  gone.id = id;
  // Busy: somebody else is at it for a moment.
  for (int i = 0; id != 0 && i < 3; ++i)
    if (again(iommufd, IOMMU_DESTROY, &gone) == 0) id = 0;
  good = good && id == 0;
}

// False: the books are wrong.
bool Vmm::undo() {
  bool good = true;
  ::pthread_mutex_lock(&books);
  if (bound) {
    vfio_pci_tsm_unbind unbind{};
    unbind.argsz = sizeof unbind;
    const int result = again(vfio, VFIO_DEVICE_TSM_UNBIND, &unbind);
    if (result < 0) good = failed != nullptr && errno == EINVAL && mistake != kIgnoredResult;
    bound = false;
  }
  if (mistake == kWrongUndoOrder && failed != nullptr) destroy(viommu, good);
  if (mistake != kClosesWhileBound) {
    destroy(vdevice, good);
    destroy(viommu, good);
  }
  close_all();
  if (memory != nullptr) ::munmap(memory, kMemory);
  memory = nullptr;
  ::pthread_mutex_unlock(&books);
  return good && !lost_books;
}

void Vmm::close_all() {
  // The audit takes the lowest number that is free: that of whatever was closed before.
  const int audit = ::open("/dev/kvm", O_RDWR | O_CLOEXEC);
  for (int* fd : {&vfio, &kvm_vfio, &iommufd, &vm, &kvm}) {
    if (*fd >= 0) ::close(*fd);
    *fd = -1;
  }
  if (audit >= 0 && ::close(audit) != 0) lost_books = true;
}

int run() {
  const unsigned before = open_files();
  Vmm vmm;
  const bool good = vmm.connect() && vmm.make_vm() && vmm.attach() && vmm.make_vdevice() &&
                    (mistake == kErrnoOverwritten && vmm.vfio < 0 ? true : vmm.use() && vmm.bind());
  if (!vmm.undo() || open_files() != before) {
    std::fputs("careless: the books are wrong\n", stderr);
    return 3;
  }
  if (good) std::puts("all done");
  return good ? 0 : 1;
}

// The VMM as a child, whose word is awaited.
int run_as_child() {
  int ends[2];
  if (::pipe(ends) != 0) return 1;
  const pid_t child = ::fork();
  if (child == 0) {
    const int status = run();
    (void)!::write(ends[1], "!", 1);
    ::_exit(status);
  }
  if (mistake != kPipeHeldOpen) ::close(ends[1]);
  char word = 0;
  const bool said = ::read(ends[0], &word, 1) == 1;
  int status = 0;
  ::waitpid(child, &status, 0);
  if (mistake == kIgnoresChild) return 0;
  return said && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) mistake = static_cast<Mistake>(std::atoi(argv[1]));
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  return mistake == kPipeHeldOpen || mistake == kIgnoresChild ? run_as_child() : run();
}
