#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>

#include <cerrno>

#include "unit/serve/vfio_user/client.h"

namespace teeio::vfio_user {
namespace {

constexpr std::uint32_t kEventfd = 4;
constexpr std::uint32_t kNone = 1;
constexpr std::uint32_t kBool = 2;
constexpr std::uint32_t kMask = 8;
constexpr std::uint32_t kTrigger = 32;
constexpr std::uint32_t kMsix = IrqLines::kMsix;

/// Runs one descriptor of the engine, whose ring is at `ring`; gives its status word.
void run_engine(Client& client, std::uint64_t ring) {
  (void)client.write_le<std::uint16_t>(kConfigRegion, 4, 6);  // memory, bus master
  (void)client.write_le<std::uint32_t>(0, 0x08, 2);
  (void)client.write_le<std::uint64_t>(0, 0x10, ring);
  (void)client.write_le<std::uint32_t>(0, 0x18, 2);
  (void)client.write_le<std::uint32_t>(0, 0x08, 1);
  (void)client.write_le<std::uint32_t>(0, 0x24, 1);
}

Bytes fill_descriptor(std::uint64_t to, std::uint32_t length) {
  constexpr std::uint32_t kFillAndInterrupt = 2U | 1U << 9U;
  return Writer()
      .le(kFillAndInterrupt)
      .le(length)
      .le(std::uint64_t{0x1122'3344'5566'7788})
      .le(to)
      .le(0U)
      .le(0U)
      .take();
}

/// A memfd of the client's that the device sees at 0x10000.
struct Shared {
  explicit Shared(Client& client, std::uint64_t size = 0x4000)
      : fd(make_memory(size)),
        bytes(static_cast<std::byte*>(
            ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0))) {
    EXPECT_EQ(client.map(0x10000, size, fd.get()), 0);
  }
  void put(std::size_t at, ByteView in) const { std::ranges::copy(in, bytes + at); }
  [[nodiscard]] std::uint64_t word(std::size_t at) const {
    return Reader(ByteView(bytes + at, 8)).le<std::uint64_t>();
  }
  Fd fd;
  std::byte* bytes;
};

TEST(VfioUserDma, TheEngineReachesMemoryThatTheClientMapped) {
  Client client;
  client.agree();
  const Shared memory(client);
  memory.put(0, fill_descriptor(0x12000, 16));
  run_engine(client, 0x10000);
  EXPECT_EQ(memory.word(0x2000), 0x1122'3344'5566'7788U);
  EXPECT_EQ(memory.word(24) & 0xffff'ffffU, 1U);  // done
  EXPECT_EQ(client.read_le<std::uint32_t>(0, 0x28), 0U);
}

TEST(VfioUserDma, WithoutADescriptorItGoesByMessages) {
  Client client;
  client.agree();
  EXPECT_EQ(client.map(0x10000, 0x4000), 0);
  std::ranges::copy(fill_descriptor(0x12000, 16), client.wire.memory.begin());
  run_engine(client, 0x10000);
  EXPECT_EQ(Reader(ByteView(client.wire.memory).subspan(0x2000)).le<std::uint64_t>(),
            0x1122'3344'5566'7788U);
  EXPECT_EQ(client.wire.commands,
            (std::vector{Command::kDmaRead, Command::kDmaWrite, Command::kDmaWrite}));
}

TEST(VfioUserDma, AClientThatIsGoneOrLiesMakesTheTransferFail) {
  constexpr std::uint32_t kFetch = 2;
  for (const bool gone : {true, false}) {
    Client client;
    client.agree();
    EXPECT_EQ(client.map(0x10000, 0x4000), 0);
    client.wire.refuses = gone;
    client.wire.lies = gone ? 0 : 1;
    run_engine(client, 0x10000);
    EXPECT_EQ(client.read_le<std::uint32_t>(0, 0x28), kFetch);
  }
}

TEST(VfioUserDma, AFileThatTheClientCutShortIsAFaultAndNoSignal) {
  Client client;
  client.agree();
  const Shared memory(client);
  memory.put(0, fill_descriptor(0x13000, 16));
  ASSERT_EQ(::ftruncate(memory.fd.get(), 0x1000), 0);
  run_engine(client, 0x10000);
  EXPECT_EQ(client.read_le<std::uint32_t>(0, 0x28), 7U);  // write
}

TEST(VfioUserDma, WhatIsNotMappedOrNotWritableIsAFault) {
  Client client;
  client.agree();
  const Shared memory(client);
  EXPECT_EQ(client.map(0x20000, 0x1000, make_memory(0x1000).get(), DmaMap::kRead), 0);
  for (const std::uint64_t to : {0x20000U, 0x30000U, 0x13ff8U}) {
    memory.put(0, fill_descriptor(to, 16));
    run_engine(client, 0x10000);
    EXPECT_EQ(client.read_le<std::uint32_t>(0, 0x28), 7U);
  }
}

TEST(VfioUserDma, AnAccessMayCrossMappings) {
  Client client;
  client.agree();
  const Shared memory(client);
  const Fd next = make_memory(0x1000);
  EXPECT_EQ(client.map(0x14000, 0x1000, next.get()), 0);
  memory.put(0, fill_descriptor(0x13ff8, 16));
  run_engine(client, 0x10000);
  std::uint64_t value = 0;
  EXPECT_EQ(::pread(next.get(), &value, 8, 0), 8);
  EXPECT_EQ(value, 0x1122'3344'5566'7788U);
}

TEST(VfioUserDma, MappingsAreCheckedAsLinuxChecksThem) {
  Client client;
  client.agree();
  const Fd file = make_memory(0x4000);
  EXPECT_EQ(client.map(0x10000, 0x4000, file.get()), 0);
  EXPECT_EQ(client.map(0x13000, 0x1000, file.get()), EEXIST);
  EXPECT_EQ(client.map(0x0f000, 0x8000), EEXIST);
  EXPECT_EQ(client.map(0x20000, 0), EINVAL);
  EXPECT_EQ(client.map(0x20800, 0x1000), EINVAL);
  EXPECT_EQ(client.map(0x20000, 0x1000, -1, 0), EINVAL);
  EXPECT_EQ(client.map(0x20000, 0x1000, -1, 4), EINVAL);
  EXPECT_EQ(client.map(~std::uint64_t{0xfff}, 0x2000), EINVAL);
  EXPECT_EQ(client.map(~std::uint64_t{0xfff}, 0x1000), 0);
  EXPECT_EQ(client.map(0x20000, 0x1000, file.get(), 3, 0x10), EINVAL);
  EXPECT_EQ(client.map(0x20000, ClientMemory::kMaxMappedBytes, file.get()), ENOSPC);
  EXPECT_EQ(client.map(0x20000, 0x1000, make_event().get()), ENODEV);
  EXPECT_EQ(client.session().memory().mappings(), 2U);
}

TEST(VfioUserDma, UnmappingTakesWholeMappings) {
  Client client;
  client.agree();
  EXPECT_EQ(client.map(0x10000, 0x4000), 0);
  EXPECT_EQ(client.map(0x20000, 0x1000), 0);
  EXPECT_EQ(client.unmap(0x11000, 0x1000), EINVAL);
  EXPECT_EQ(client.unmap(0x0f000, 0x2000), EINVAL);
  EXPECT_EQ(client.unmap(0x13000, 0x2000), EINVAL);
  EXPECT_EQ(client.unmap(0x40000, 0x1000), 0);  // nothing is there
  EXPECT_EQ(client.unmap(0x10000, 0x1000, DmaUnmap::kDirtyBitmap), ENOTSUP);
  EXPECT_EQ(client.session().memory().mappings(), 2U);
  EXPECT_EQ(client.unmap(0x10000, 0x20000), 0);
  EXPECT_EQ(client.session().memory().mappings(), 0U);
  EXPECT_EQ(client.map(0x10000, 0x4000), 0);
  EXPECT_EQ(client.unmap(0x10000, 0x1000, DmaUnmap::kAll), EINVAL);
  EXPECT_EQ(client.unmap(0, 0, DmaUnmap::kAll), 0);
  EXPECT_EQ(client.session().memory().mappings(), 0U);
}

TEST(VfioUserDma, TrustedRequestsHaveNoRootPortToGoThrough) {
  Client client;
  client.agree();
  const Shared memory(client);
  memory.put(0, fill_descriptor(0x12000, 16));
  (void)client.write_le<std::uint16_t>(kConfigRegion, 4, 6);
  (void)client.write_le<std::uint32_t>(0, 0x1c, 1);
  (void)client.write_le<std::uint64_t>(0, 0x10, 0x10000);
  (void)client.write_le<std::uint32_t>(0, 0x18, 2);
  (void)client.write_le<std::uint32_t>(0, 0x08, 1);
  (void)client.write_le<std::uint32_t>(0, 0x24, 1);
  EXPECT_EQ(client.read_le<std::uint32_t>(0, 0x28), 4U);  // trusted
}

TEST(VfioUserIrqs, ACompletionSignalsItsVectorsEventfd) {
  Client client;
  client.agree();
  const Shared memory(client);
  const Fd done = make_event();
  const Fd error = make_event();
  EXPECT_EQ(
      client.set_irqs(kEventfd | kTrigger, kMsix, 0, 2, list_of(copy_of(done), copy_of(error))), 0);
  memory.put(0, fill_descriptor(0x12000, 16));
  run_engine(client, 0x10000);
  EXPECT_EQ(count_of(done), 1U);
  EXPECT_EQ(count_of(error), 0U);
  memory.put(0, fill_descriptor(0x99000, 16));
  run_engine(client, 0x10000);
  EXPECT_EQ(count_of(done), 0U);
  EXPECT_EQ(count_of(error), 1U);
}

TEST(VfioUserIrqs, AVectorWithoutEventfdPendsUntilItHasOne) {
  Client client;
  client.agree();
  const Shared memory(client);
  const Fd other = make_event();
  EXPECT_EQ(client.set_irqs(kEventfd | kTrigger, kMsix, 3, 1, list_of(copy_of(other))), 0);
  memory.put(0, fill_descriptor(0x12000, 16));
  run_engine(client, 0x10000);
  EXPECT_EQ(client.read_le<std::uint64_t>(4, 0x1000), 1U);
  const Fd done = make_event();
  EXPECT_EQ(client.set_irqs(kEventfd | kTrigger, kMsix, 0, 1, list_of(copy_of(done))), 0);
  EXPECT_EQ(count_of(done), 1U);
  EXPECT_EQ(client.read_le<std::uint64_t>(4, 0x1000), 0U);
  EXPECT_EQ(client.set_irqs(kEventfd | kTrigger, kMsix, 0, 1), 0);  // taken away again
  run_engine(client, 0x10000);
  EXPECT_EQ(count_of(done), 0U);
}

TEST(VfioUserIrqs, StayConnectedAcrossAReset) {
  for (const bool by_config : {true, false}) {
    Client client;
    client.agree();
    const Shared memory(client);
    const Fd done = make_event();
    EXPECT_EQ(client.set_irqs(kEventfd | kTrigger, kMsix, 0, 1, list_of(copy_of(done))), 0);
    if (by_config) {
      // Device Control of the PCI Express capability, behind power management.
      std::uint8_t at = client.read_le<std::uint8_t>(kConfigRegion, 0x34);
      while (client.read_le<std::uint8_t>(kConfigRegion, at) != 0x10)
        at = client.read_le<std::uint8_t>(kConfigRegion, at + 1U);
      EXPECT_EQ(client.write_le<std::uint16_t>(kConfigRegion, at + 8U, 0x8000), 0);
    } else {
      EXPECT_EQ(Client::error_of(client.send(Command::kDeviceReset)), 0);
    }
    memory.put(0, fill_descriptor(0x12000, 16));
    run_engine(client, 0x10000);
    EXPECT_EQ(count_of(done), 1U);
  }
}

TEST(VfioUserIrqs, TheClientMayTriggerThemItself) {
  Client client;
  client.agree();
  const Fd first = make_event();
  const Fd second = make_event();
  EXPECT_EQ(client.set_irqs(kNone | kTrigger, kMsix, 0, 1), EINVAL);  // MSI-X is off
  EXPECT_EQ(
      client.set_irqs(kEventfd | kTrigger, kMsix, 0, 2, list_of(copy_of(first), copy_of(second))),
      0);
  EXPECT_EQ(client.set_irqs(kBool | kTrigger, kMsix, 0, 2, {},
                            Writer().zeros(1).le(std::uint8_t{1}).take()),
            0);
  EXPECT_EQ(count_of(first), 0U);
  EXPECT_EQ(count_of(second), 1U);
  EXPECT_EQ(client.set_irqs(kEventfd | kTrigger, IrqLines::kRequest, 0, 1, list_of(copy_of(first))),
            0);
  client.function().irqs().request_release();
  EXPECT_EQ(count_of(first), 1U);
  EXPECT_EQ(client.set_irqs(kNone | kTrigger, kMsix, 0, 0), 0);  // off
  EXPECT_EQ(client.set_irqs(kNone | kTrigger, kMsix, 0, 1), EINVAL);
}

// vfio_pci_set_msi_trigger(): eventfd data enables the index, with -1 for every vector too;
// DATA_NONE with a count of 0 is for one that is on.
TEST(VfioUserIrqs, NoDescriptorsAtAllTurnMsixOn) {
  Client client;
  client.agree();
  const auto enabled = [&] {
    const std::uint16_t at = client.function().irqs().msix()->capability;
    return (client.function().pci().config_read(static_cast<std::uint16_t>(at + 2), 2) & 0x8000U) !=
           0;
  };
  EXPECT_EQ(client.set_irqs(kNone | kTrigger, kMsix, 0, 0), EINVAL);
  EXPECT_FALSE(enabled());
  EXPECT_EQ(client.set_irqs(kEventfd | kTrigger, kMsix, 0, 1), 0);
  EXPECT_TRUE(enabled());
  EXPECT_EQ(client.set_irqs(kNone | kTrigger, kMsix, 0, 1), 0);  // signals nobody
  EXPECT_EQ(client.set_irqs(kNone | kTrigger, kMsix, 0, 0), 0);
  EXPECT_FALSE(enabled());
}

TEST(VfioUserIrqs, AreCheckedAsLinuxChecksThem) {
  Client client;
  client.agree();
  EXPECT_EQ(client.set_irqs(kEventfd | kTrigger, kMsix, 4, 1, list_of(make_event())), EINVAL);
  EXPECT_EQ(client.set_irqs(kEventfd | kTrigger, kMsix, 3, ~0U, list_of(make_event())), EINVAL);
  EXPECT_EQ(client.set_irqs(kEventfd | kTrigger, 0, 0, 1, list_of(make_event())), EINVAL);
  EXPECT_EQ(client.set_irqs(kEventfd | kTrigger, 5, 0, 1, list_of(make_event())), EINVAL);
  EXPECT_EQ(client.set_irqs(kEventfd | kTrigger, kMsix, 0, 2, list_of(make_event())), EINVAL);
  EXPECT_EQ(client.set_irqs(kEventfd | kNone | kTrigger, kMsix, 0, 1, list_of(make_event())),
            EINVAL);
  EXPECT_EQ(client.set_irqs(kEventfd | kTrigger, kMsix, 0, 1, list_of(make_memory(1))), EINVAL);
  EXPECT_EQ(client.set_irqs(kBool | kTrigger, kMsix, 0, 1), EINVAL);
  EXPECT_EQ(client.set_irqs(kNone | kMask, kMsix, 0, 1), ENOTTY);
  EXPECT_EQ(client.set_irqs(0x40, kMsix, 0, 1), EINVAL);
}

TEST(VfioUserIrqs, AFullCounterHoldsUpNobody) {
  Client client;
  client.agree();
  const Fd event(::eventfd(0, EFD_CLOEXEC));
  const std::uint64_t full = ~std::uint64_t{1};
  ASSERT_EQ(::write(event.get(), &full, 8), 8);
  EXPECT_EQ(client.set_irqs(kEventfd | kTrigger, kMsix, 0, 1, list_of(copy_of(event))), 0);
  EXPECT_EQ(client.set_irqs(kNone | kTrigger, kMsix, 0, 1), 0);
  pollfd state{.fd = event.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&state, 1, 0), 1);
  EXPECT_NE(state.revents & POLLERR, 0) << "as the kernel's eventfd_signal() says it";
  EXPECT_EQ(::fcntl(event.get(), F_GETFL) & O_NONBLOCK, 0) << "the file is the client's";
}

}  // namespace
}  // namespace teeio::vfio_user
