// INTx and MSI of a device, from the card's engine to the program's eventfds:
// Linux drivers/vfio/pci/vfio_pci_intrs.c.

#include <vector>

#include "schedule/task.h"
#include "unit/machine/make_machine.h"

namespace teeio::vfio {
namespace {

using machine::Machine;
using machine::test::error_of;
using machine::test::kPf;
using machine::test::kVf0;
using machine::test::make_machine;
using machine::test::Vmm;

constexpr std::uint64_t kConfigSpace = std::uint64_t{kConfigRegion} << kRegionShift;
constexpr std::uint32_t kIntx = 0, kMsi = 1, kMsix = 2, kError = 3, kRequest = 4;
constexpr std::uint32_t kNone = VFIO_IRQ_SET_DATA_NONE, kBool = VFIO_IRQ_SET_DATA_BOOL,
                        kFds = VFIO_IRQ_SET_DATA_EVENTFD, kMask = VFIO_IRQ_SET_ACTION_MASK,
                        kUnmask = VFIO_IRQ_SET_ACTION_UNMASK,
                        kTrigger = VFIO_IRQ_SET_ACTION_TRIGGER;
constexpr std::uint16_t kIntxDisable = 0x400, kOn = 0x6;
constexpr std::uint16_t kIntxStatus = 0x8;
const std::string kDir = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/";

struct Event {
  object::Ref<mm::PlainEventFd> file = object::Ref<mm::PlainEventFd>::adopt(new mm::PlainEventFd);
  int fd = -1;
  [[nodiscard]] std::uint64_t take() const { return file->take(); }
  void signal() const { (*file->eventfd())->signal(); }
};

struct InterruptTest : testing::Test {
  void SetUp() override { open(kPf); }
  void open(std::string_view path) {
    ASSERT_TRUE(vmm.open_device(path).has_value());
    ASSERT_TRUE(vmm.bind_iommufd().has_value());
    write<std::uint16_t>(kConfigSpace + 4, kOn);
  }
  Event make_event() {
    Event event;
    event.fd = *vmm.install(object::Ref<object::File>(event.file));
    return event;
  }
  Result<std::int64_t> set(std::uint32_t flags, std::uint32_t index, std::uint32_t start,
                           std::uint32_t count, const std::vector<int>& fds = {}) {
    struct {
      std::uint32_t argsz, flags, index, start, count;
      std::int32_t data[10];
    } arg{sizeof(arg), flags, index, start, count, {}};
    for (std::size_t i = 0; i < fds.size(); ++i) arg.data[i] = fds[i];
    return vmm.ioctl(vmm.vfio, VFIO_DEVICE_SET_IRQS, arg);
  }
  bool works(std::uint32_t flags, std::uint32_t index, std::uint32_t start, std::uint32_t count,
             const std::vector<int>& fds = {}) {
    return set(flags, index, start, count, fds).has_value();
  }
  Errno errno_of(std::uint32_t flags, std::uint32_t index, std::uint32_t start, std::uint32_t count,
                 const std::vector<int>& fds = {}) {
    return error_of(set(flags, index, start, count, fds));
  }
  template <class T>
  void write(std::uint64_t at, T value) {
    EXPECT_TRUE(vmm.pwrite(vmm.vfio, at, bytes_of(value)).has_value());
  }
  template <class T>
  T read(std::uint64_t at) {
    T value{};
    EXPECT_TRUE(vmm.pread(vmm.vfio, at, writable_bytes_of(value)).has_value());
    return value;
  }
  std::uint16_t command() { return read<std::uint16_t>(kConfigSpace + 4); }
  std::uint16_t status() { return read<std::uint16_t>(kConfigSpace + 6); }
  void write_command(std::uint16_t value) { write(kConfigSpace + 4, value); }
  /// As lspci of the host sees it.
  std::uint16_t host_command() {
    const int fd = *vmm.open(kDir + "config");
    std::uint16_t value = 0;
    EXPECT_TRUE(vmm.pread(fd, 4, writable_bytes_of(value)).has_value());
    EXPECT_TRUE(vmm.close(fd).has_value());
    return value;
  }
  std::uint16_t msi() {
    std::uint8_t at = read<std::uint8_t>(kConfigSpace + 0x34);
    while (at != 0 && read<std::uint8_t>(kConfigSpace + at) != 5)
      at = read<std::uint8_t>(kConfigSpace + at + 1U);
    EXPECT_NE(at, 0);
    return at;
  }
  /// A doorbell without a ring: the engine says so by its vector 1.
  void make_error() {
    for (const auto& [at, value] : {std::pair{0x08U, 2U}, {0x08U, 1U}, {0x24U, 1U}})
      write<std::uint32_t>(at, value);
  }
  std::uint32_t causes() { return read<std::uint32_t>(0x38); }
  void acknowledge() { write<std::uint32_t>(0x38, ~0U); }
  struct Info {
    std::uint32_t flags, count;
  };
  Info info(std::uint32_t index) {
    abi::vfio_irq_info arg{sizeof(arg), 0, index, 0};
    EXPECT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_GET_IRQ_INFO, arg).has_value());
    return {arg.flags, arg.count};
  }

  std::unique_ptr<Machine> machine = make_machine("pci-functions");
  Vmm vmm{*machine};
};

TEST_F(InterruptTest, CountsAndFlags) {
  const Info intx = info(kIntx), messages = info(kMsi);
  EXPECT_EQ(intx.count, 1U);
  EXPECT_EQ(intx.flags, VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED);
  EXPECT_EQ(messages.count, 8U);
  EXPECT_EQ(messages.flags, VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE);
}

struct InterruptsOfVf : InterruptTest {
  void SetUp() override { open(kVf0); }
};

TEST_F(InterruptsOfVf, HaveNoIntx) {
  EXPECT_EQ(info(kIntx).count, 0U);
  EXPECT_EQ(info(kMsi).count, 8U);
  const Event event = make_event();
  EXPECT_EQ(errno_of(kFds | kTrigger, kIntx, 0, 1, {event.fd}), Errno::kInval);
  EXPECT_EQ(read<std::uint8_t>(kConfigSpace + 0x3d), 0);
}

// --- MSI ---

TEST_F(InterruptTest, MsiReachesTheEventfdOfItsVector) {
  const Event zero = make_event(), one = make_event();
  ASSERT_TRUE(works(kFds | kTrigger, kMsi, 0, 2, {zero.fd, one.fd}));
  make_error();
  EXPECT_EQ(zero.take(), 0U);
  EXPECT_EQ(one.take(), 1U);
  EXPECT_EQ(causes(), 0U) << "that is INTx's";
  ASSERT_TRUE(works(kNone | kTrigger, kMsi, 0, 2));  // loopback
  EXPECT_EQ(zero.take(), 1U);
  EXPECT_EQ(one.take(), 1U);
}

TEST_F(InterruptTest, MsiVectorWithoutEventfdWaitsForOne) {
  const Event zero = make_event(), one = make_event();
  ASSERT_TRUE(works(kFds | kTrigger, kMsi, 0, 2, {zero.fd, -1}));
  make_error();
  EXPECT_EQ(read<std::uint32_t>(kConfigSpace + msi() + 0x14U), 2U) << "pending";
  ASSERT_TRUE(works(kFds | kTrigger, kMsi, 1, 1, {one.fd}));
  EXPECT_EQ(one.take(), 1U);
}

/// pci_write_msg_msi(): all of a 64-bit address, whatever was in its upper half.
TEST_F(InterruptTest, MsiLeavesNothingOfAnOlderMessagesAddress) {
  constexpr std::uint16_t kUpperHalf = 8, kWide = 0x80;
  const int config = *vmm.open(kDir + "config");
  ASSERT_NE(read<std::uint16_t>(kConfigSpace + msi() + 2) & kWide, 0);
  const std::uint32_t old = 0x5a5a'0000;
  ASSERT_TRUE(vmm.pwrite(config, msi() + kUpperHalf, bytes_of(old)).has_value());
  const Event event = make_event();
  ASSERT_TRUE(works(kFds | kTrigger, kMsi, 0, 1, {event.fd}));
  std::uint32_t upper = 0;
  ASSERT_TRUE(vmm.pread(config, msi() + kUpperHalf, writable_bytes_of(upper)).has_value());
  EXPECT_EQ(upper, 0U);
}

TEST_F(InterruptTest, MsiTakesNoFurtherVectorsWhileItIsOn) {
  const Event event = make_event();
  ASSERT_TRUE(works(kFds | kTrigger, kMsi, 0, 2, {event.fd, event.fd}));
  EXPECT_EQ(errno_of(kFds | kTrigger, kMsi, 2, 1, {event.fd}), Errno::kInval);
  EXPECT_TRUE(works(kFds | kTrigger, kMsi, 2, 1, {-1}));
  // vfio_msi_set_block(): those up to it lose theirs.
  EXPECT_EQ(errno_of(kFds | kTrigger, kMsi, 1, 2, {event.fd, event.fd}), Errno::kInval);
  make_error();
  EXPECT_EQ(event.take(), 0U);
  ASSERT_TRUE(works(kNone | kTrigger, kMsi, 0, 1));
  EXPECT_EQ(event.take(), 1U);
}

TEST_F(InterruptTest, VectorsBehindOneThatFailsKeepTheirEventfds) {
  const Event zero = make_event(), one = make_event();
  ASSERT_TRUE(works(kFds | kTrigger, kMsix, 0, 2, {zero.fd, one.fd}));
  EXPECT_EQ(errno_of(kFds | kTrigger, kMsix, 0, 2, {1000, one.fd}), Errno::kBadF);
  ASSERT_TRUE(works(kNone | kTrigger, kMsix, 0, 2));
  EXPECT_EQ(zero.take(), 0U);
  EXPECT_EQ(one.take(), 1U);
}

TEST_F(InterruptTest, ThreeVectorsOfMsiAreFourInTheRegister) {
  const Event event = make_event();
  ASSERT_TRUE(works(kFds | kTrigger, kMsi, 0, 3, {event.fd, event.fd, event.fd}));
  EXPECT_EQ(vmm.cat(kDir + "msi_irqs/26").value_or(""), "msi\n");
  EXPECT_FALSE(vmm.cat(kDir + "msi_irqs/27").has_value());
  EXPECT_EQ(vmm.cat(kDir + "irq").value_or(""), "24\n");
  const int fd = *vmm.open(kDir + "config");
  std::uint16_t control = 0;
  ASSERT_TRUE(vmm.pread(fd, msi() + 2U, writable_bytes_of(control)).has_value());
  EXPECT_EQ(control & 0x71U, 0x21U);
  EXPECT_NE(host_command() & kIntxDisable, 0) << "pci_intx_for_msi()";
  EXPECT_EQ(command() & kIntxDisable, 0) << "the program's own bit";
  ASSERT_TRUE(works(kNone | kTrigger, kMsi, 0, 0));
  EXPECT_EQ(host_command() & kIntxDisable, 0);
  EXPECT_EQ(vmm.cat(kDir + "irq").value_or(""), "16\n");
  EXPECT_FALSE(vmm.cat(kDir + "msi_irqs/24").has_value());
}

TEST_F(InterruptTest, OneKindAtATime) {
  const Event event = make_event();
  for (const auto& [first, second] : {std::pair{kMsi, kMsix}, {kMsix, kMsi}, {kIntx, kMsi}}) {
    ASSERT_TRUE(works(kFds | kTrigger, first, 0, 1, {event.fd}));
    EXPECT_EQ(errno_of(kFds | kTrigger, second, 0, 1, {event.fd}), Errno::kInval);
    EXPECT_EQ(errno_of(kFds | kTrigger, second, 0, 1, {1000}), Errno::kInval) << "before EBADF";
    EXPECT_EQ(errno_of(kNone | kTrigger, second, 0, 0), Errno::kInval);
    ASSERT_TRUE(works(kNone | kTrigger, first, 0, 0));
  }
  ASSERT_TRUE(works(kFds | kTrigger, kMsi, 0, 1, {event.fd}));
  EXPECT_EQ(errno_of(kFds | kTrigger, kIntx, 0, 1, {event.fd}), Errno::kInval);
}

TEST_F(InterruptTest, MessagesAreMaskedByTheirRegistersAlone) {
  EXPECT_EQ(errno_of(kNone | kMask, kMsi, 0, 1), Errno::kNoTty);
  EXPECT_EQ(errno_of(kNone | kUnmask, kMsix, 0, 1), Errno::kNoTty);
  EXPECT_EQ(errno_of(kFds | kTrigger, kMsi, 0, 0), Errno::kRange);
}

TEST_F(InterruptTest, ProgramsMsiRegistersAreACopy) {
  const std::uint64_t at = kConfigSpace + msi();
  write<std::uint16_t>(at + 2, 0x31);
  EXPECT_EQ(read<std::uint16_t>(at + 2) & 0x71U, 0U) << "off, and no vectors yet";
  const Event event = make_event();
  ASSERT_TRUE(works(kFds | kTrigger, kMsi, 0, 2, {event.fd, event.fd}));
  write<std::uint32_t>(at + 4, 0xfeed'0000);
  EXPECT_EQ(read<std::uint32_t>(at + 4), 0xfeed'0000U);
  write<std::uint16_t>(at + 2, 0x31);
  EXPECT_EQ(read<std::uint16_t>(at + 2) & 0x71U, 0x11U) << "as many as SET_IRQS gave";
  make_error();
  EXPECT_EQ(event.take(), 1U) << "the address is the host's";
}

TEST_F(InterruptTest, MsiStaysOverAReset) {
  const Event event = make_event();
  ASSERT_TRUE(works(kFds | kTrigger, kMsi, 0, 2, {-1, event.fd}));
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_RESET, std::uint64_t{0}).has_value());
  write_command(kOn);
  make_error();
  EXPECT_EQ(event.take(), 1U);
}

// --- INTx ---

TEST_F(InterruptTest, IntxMasksItselfUntilItIsUnmasked) {
  const Event event = make_event();
  ASSERT_TRUE(works(kFds | kTrigger, kIntx, 0, 1, {event.fd}));
  EXPECT_EQ(host_command() & kIntxDisable, 0);
  make_error();
  EXPECT_EQ(event.take(), 1U);
  EXPECT_EQ(causes(), 2U);
  EXPECT_NE(status() & kIntxStatus, 0);
  EXPECT_NE(host_command() & kIntxDisable, 0);
  EXPECT_EQ(command() & kIntxDisable, 0);
  make_error();
  EXPECT_EQ(event.take(), 0U);
  ASSERT_TRUE(works(kNone | kUnmask, kIntx, 0, 1));
  EXPECT_EQ(event.take(), 1U) << "it was not acknowledged";
  acknowledge();
  EXPECT_EQ(status() & kIntxStatus, 0);
  ASSERT_TRUE(works(kNone | kUnmask, kIntx, 0, 1));
  EXPECT_EQ(event.take(), 0U);
  EXPECT_EQ(host_command() & kIntxDisable, 0);
  make_error();
  EXPECT_EQ(event.take(), 1U);
}

TEST_F(InterruptTest, IntxNeedsNoBusMastering) {
  const Event event = make_event();
  write_command(2);
  ASSERT_TRUE(works(kFds | kTrigger, kIntx, 0, 1, {event.fd}));
  make_error();
  EXPECT_EQ(event.take(), 1U);
}

TEST_F(InterruptTest, MaskedIntxWaits) {
  const Event event = make_event();
  ASSERT_TRUE(works(kFds | kTrigger, kIntx, 0, 1, {event.fd}));
  ASSERT_TRUE(works(kNone | kMask, kIntx, 0, 1));
  make_error();
  EXPECT_EQ(event.take(), 0U);
  ASSERT_TRUE(works(kBool | kUnmask, kIntx, 0, 1, {0}));
  EXPECT_EQ(event.take(), 0U);
  ASSERT_TRUE(works(kBool | kUnmask, kIntx, 0, 1, {1}));
  EXPECT_EQ(event.take(), 1U);
}

TEST_F(InterruptTest, EventfdUnmasksIntx) {
  const Event event = make_event(), resample = make_event();
  ASSERT_TRUE(works(kFds | kTrigger, kIntx, 0, 1, {event.fd}));
  ASSERT_TRUE(works(kFds | kUnmask, kIntx, 0, 1, {resample.fd}));
  EXPECT_EQ(errno_of(kFds | kUnmask, kIntx, 0, 1, {event.fd}), Errno::kBusy);
  EXPECT_EQ(errno_of(kFds | kMask, kIntx, 0, 1, {event.fd}), Errno::kNoTty);
  make_error();
  EXPECT_EQ(event.take(), 1U);
  resample.signal();
  while (event.take() == 0) schedule::yield();  // it comes on a task of its own
  EXPECT_TRUE(works(kFds | kUnmask, kIntx, 0, 1, {-1}));
  EXPECT_EQ(resample.take(), 0U);
  EXPECT_NE(host_command() & kIntxDisable, 0) << "it came again, and masked itself";
  acknowledge();
  resample.signal();
  EXPECT_NE(host_command() & kIntxDisable, 0) << "nobody looks at it any more";
  ASSERT_TRUE(works(kNone | kUnmask, kIntx, 0, 1));
  EXPECT_EQ(host_command() & kIntxDisable, 0);
}

TEST_F(InterruptTest, AnEventfdThatWaitsAlreadyUnmasksAtOnceAndKeepsItsCount) {
  const Event event = make_event(), resample = make_event();
  ASSERT_TRUE(works(kFds | kTrigger, kIntx, 0, 1, {event.fd}));
  make_error();
  EXPECT_EQ(event.take(), 1U);
  resample.signal();
  ASSERT_TRUE(works(kFds | kUnmask, kIntx, 0, 1, {resample.fd}));
  EXPECT_EQ(event.take(), 1U) << "when the call is over";
  EXPECT_EQ(resample.take(), 1U);
}

TEST_F(InterruptTest, AnEventfdThatIsClosedUnmasksNoMore) {
  const Event event = make_event(), other = make_event();
  ASSERT_TRUE(works(kFds | kTrigger, kIntx, 0, 1, {event.fd}));
  {
    const Event gone = make_event();
    ASSERT_TRUE(works(kFds | kUnmask, kIntx, 0, 1, {gone.fd}));
    EXPECT_EQ(errno_of(kFds | kUnmask, kIntx, 0, 1, {other.fd}), Errno::kBusy);
    EXPECT_TRUE(vmm.close(gone.fd).has_value());
  }
  EXPECT_TRUE(works(kFds | kUnmask, kIntx, 0, 1, {other.fd})) << "virqfd_wakeup(), EPOLLHUP";
  EXPECT_EQ(errno_of(kFds | kUnmask, kIntx, 0, 1, {event.fd}), Errno::kBusy);
}

TEST_F(InterruptTest, IntxDisableOfTheProgramMasks) {
  const Event event = make_event();
  write_command(kOn | kIntxDisable);
  ASSERT_TRUE(works(kFds | kTrigger, kIntx, 0, 1, {event.fd}));
  make_error();
  EXPECT_EQ(event.take(), 0U);
  ASSERT_TRUE(works(kNone | kUnmask, kIntx, 0, 1));
  ASSERT_TRUE(works(kNone | kTrigger, kIntx, 0, 1));
  EXPECT_EQ(event.take(), 0U) << "neither unmasking nor loopback gets past it";
  write_command(kOn);
  EXPECT_EQ(event.take(), 1U);
  acknowledge();
  // The byte that has the bit alone.
  write<std::uint8_t>(kConfigSpace + 5, kIntxDisable >> 8U);
  EXPECT_EQ(command() & kIntxDisable, kIntxDisable);
  make_error();
  EXPECT_EQ(event.take(), 0U);
}

TEST_F(InterruptTest, IntxIsSwitchedOffAndOn) {
  const Event event = make_event(), other = make_event();
  EXPECT_EQ(errno_of(kNone | kTrigger, kIntx, 0, 1), Errno::kInval);
  EXPECT_EQ(errno_of(kNone | kUnmask, kIntx, 0, 1), Errno::kInval);
  EXPECT_EQ(errno_of(kNone | kMask, kIntx, 0, 1), Errno::kInval);
  EXPECT_EQ(errno_of(kFds | kTrigger, kIntx, 0, 0), Errno::kInval);
  ASSERT_TRUE(works(kFds | kTrigger, kIntx, 0, 1, {event.fd}));
  ASSERT_TRUE(works(kNone | kTrigger, kIntx, 0, 1));
  EXPECT_EQ(event.take(), 1U);
  ASSERT_TRUE(works(kFds | kTrigger, kIntx, 0, 1, {other.fd}));
  make_error();
  EXPECT_EQ(event.take(), 0U);
  EXPECT_EQ(other.take(), 1U);
  ASSERT_TRUE(works(kNone | kTrigger, kIntx, 0, 0));
  EXPECT_EQ(errno_of(kNone | kTrigger, kIntx, 0, 0), Errno::kInval);
  // The level is up: who connects again is told.
  ASSERT_TRUE(works(kFds | kTrigger, kIntx, 0, 1, {event.fd}));
  EXPECT_EQ(event.take(), 1U);
}

TEST_F(InterruptTest, ResetTakesTheLevelDown) {
  const Event event = make_event();
  ASSERT_TRUE(works(kFds | kTrigger, kIntx, 0, 1, {event.fd}));
  make_error();
  EXPECT_EQ(event.take(), 1U);
  ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_RESET, std::uint64_t{0}).has_value());
  write_command(kOn);
  ASSERT_TRUE(works(kNone | kUnmask, kIntx, 0, 1));
  EXPECT_EQ(event.take(), 0U);
  make_error();
  EXPECT_EQ(event.take(), 1U);
}

TEST_F(InterruptTest, CloseSwitchesAllOff) {
  const Event event = make_event(), resample = make_event();
  write_command(kOn | kIntxDisable);
  ASSERT_TRUE(works(kFds | kTrigger, kIntx, 0, 1, {event.fd}));
  ASSERT_TRUE(works(kFds | kUnmask, kIntx, 0, 1, {resample.fd}));
  ASSERT_TRUE(vmm.close(vmm.vfio).has_value());
  EXPECT_EQ(host_command() & kIntxDisable, 0);
  open(kPf);
  ASSERT_TRUE(works(kFds | kTrigger, kIntx, 0, 1, {event.fd}));
  make_error();
  EXPECT_EQ(event.take(), 1U) << "the bit of the user before is forgotten";
}

// --- Errors and requests: vfio_pci_set_ctx_trigger_single() ---

TEST_F(InterruptTest, ErrorsAndRequestsAnswerAsLinux) {
  const Event event = make_event();
  for (const std::uint32_t index : {kError, kRequest}) {
    EXPECT_EQ(errno_of(kNone | kTrigger, index, 0, 1), Errno::kInval) << "no eventfd";
    EXPECT_EQ(errno_of(kNone | kTrigger, index, 0, 0), Errno::kInval);
    EXPECT_EQ(errno_of(kFds | kTrigger, index, 0, 0), Errno::kInval);
    EXPECT_EQ(errno_of(kFds | kTrigger, index, 0, 1, {-2}), Errno::kInval);
    EXPECT_TRUE(works(kBool | kTrigger, index, 0, 1, {1})) << "nobody is told";
    ASSERT_TRUE(works(kFds | kTrigger, index, 0, 1, {event.fd}));
    EXPECT_EQ(errno_of(kBool | kTrigger, index, 0, 0), Errno::kInval);
    ASSERT_TRUE(works(kBool | kTrigger, index, 0, 1, {1}));
    ASSERT_TRUE(works(kNone | kTrigger, index, 0, 1));
    EXPECT_EQ(event.take(), 2U);
    ASSERT_TRUE(works(kNone | kTrigger, index, 0, 0));
    EXPECT_EQ(errno_of(kNone | kTrigger, index, 0, 1), Errno::kInval);
    ASSERT_TRUE(works(kFds | kTrigger, index, 0, 1, {-1}));
  }
}

}  // namespace
}  // namespace teeio::vfio
