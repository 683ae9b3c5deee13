// A VMM on the CCA machine that makes one mistake, named by its argument:
//   late-file     adds the VFIO file to its VM after BIND_IOMMUFD, and binds
//   touch         reads a mapping of BAR2 that the bind has revoked
//   reset         resets the device while it is bound, three times
//   probe [N]     asks for a capability of KVM that is not there, and leaves
#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>

#include "minivmm/device.h"
#include "minivmm/vm.h"

namespace {

constexpr unsigned long kArmRealm = 0x100;
constexpr unsigned kBar = 2;
constexpr std::size_t kRam = 1UL << 20U;

int run(std::string_view mistake, const char* argument) {
  if (mistake == "probe") {
    const Fd kvm(::open("/dev/kvm", O_RDWR));
    const long capability = argument == nullptr ? KVM_CAP_HYPERV : std::atol(argument);
    return ::ioctl(kvm.get(), KVM_CHECK_EXTENSION, capability) > 0 ? 0 : 1;
  }
  const Function function = assignable_functions().at(0);
  connect_tsm(function);
  Device device(function, Abi::kTeeio);
  Vm vm(kArmRealm);
  const Mapping ram(kRam, -1, MAP_SHARED | MAP_ANONYMOUS);
  if (mistake != "late-file") vm.associate(device.vfio());
  device.bind_iommufd();
  if (mistake == "late-file") vm.associate(device.vfio());
  device.attach_shared_dma(ram.bytes(), 0);
  device.allocate_viommu();
  if (device.allocate_vdevice() != 0) return 1;
  device.write(device.config(), 4, 2, 2);  // memory space on
  const Region& bar = device.bar(kBar);
  void* const at = ::mmap(nullptr, bar.size, PROT_READ, MAP_SHARED, device.vfio().get(),
                          static_cast<off_t>(bar.offset));
  if (at == MAP_FAILED) fail("mmap of BAR2");
  volatile auto* const word = static_cast<std::uint32_t*>(at);
  (void)*word;
  if (device.bind_tdi(Door::kIommufd, Arch::kCca) != 0) return 1;
  if (mistake == "touch") (void)*word;
  if (mistake == "reset")
    for (int i = 0; i < 3; ++i) (void)::ioctl(device.vfio().get(), VFIO_DEVICE_RESET, 0);
  return 3;
}

}  // namespace

int main(int argc, char** argv) try {
  return argc >= 2 ? run(argv[1], argv[2]) : 2;
} catch (const std::exception& error) {
  std::fprintf(stderr, "wrong_vmm: %s\n", error.what());
  return 1;
}
