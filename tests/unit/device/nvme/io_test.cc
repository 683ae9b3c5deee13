// Commands of the I/O queues: where data lie, what reaches a namespace, what is refused.

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>

#include "unit/device/nvme/driver.h"

namespace teeio::nvme::testing {
namespace {

using Io = NvmeTest;

Bytes pattern_of(std::size_t bytes) { return Bytes(bytes, std::byte{0x5a}); }

Bytes list_of(std::initializer_list<std::uint64_t> entries) {
  Writer out;
  for (const std::uint64_t entry : entries) out.le(entry);
  return out.take();
}

TEST_F(Io, WritesAndReadsBackAndInterrupts) {
  port.messages.clear();
  const unsigned msix = capability(kPfIndex, 0x11);
  set_config(kPfIndex, msix + 2, 0x8000, 2);
  set_mmio(kPfIndex, 4, 16, 0xfee0'0000);
  set_mmio(kPfIndex, 4, 24, 0x77);
  set_mmio(kPfIndex, 4, 28, 0);
  const Bytes written = pattern(4096);
  put(kData, written);
  EXPECT_EQ(io(io(IoOpcode::kWrite, 8, 8)).status, Status::kSuccess);
  put(kData, Bytes(4096));
  EXPECT_EQ(io(io(IoOpcode::kRead, 8, 8)).status, Status::kSuccess);
  EXPECT_TRUE(std::ranges::equal(data(4096), written));
  ASSERT_EQ(port.messages.size(), 2U);
  EXPECT_EQ(port.messages[0].data, 0x77U);
  EXPECT_EQ(port.messages[0].t, TBit::kShared);
}

TEST_F(Io, OneInterruptForWhatOneDoorbellBrought) {
  set_config(kPfIndex, capability(kPfIndex, 0x11) + 2, 0x8000, 2);
  set_mmio(kPfIndex, 4, 16, 0xfee0'0000);
  set_mmio(kPfIndex, 4, 28, 0);
  port.messages.clear();
  for (int i = 0; i < 5; ++i) queue(1, io(IoOpcode::kRead, 0, 1));
  ring(1);
  EXPECT_EQ(port.messages.size(), 1U);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(next(1).has_value());
}

TEST_F(Io, DataLieWherePrpEntriesAndListsSay) {
  const Bytes written = pattern(5 * 4096);
  put(kData, written);
  // Through a list, from an address within a page.
  put(kList, list_of({kData + 0x1000, kData + 0x2000, kData + 0x3000, kData + 0x4000}));
  Command write = io(IoOpcode::kWrite, 0, 32, kData + 0x200, kList);
  EXPECT_EQ(io(write).status, Status::kSuccess);
  put(kData, Bytes(5 * 4096));
  // Back into two pages, in the other order.
  EXPECT_EQ(io(io(IoOpcode::kRead, 0, 16, kData + 0x1000, kData)).status, Status::kSuccess);
  EXPECT_TRUE(std::ranges::equal(data(4096, kData + 0x1000), ByteView(written).subspan(512, 4096)));
  EXPECT_TRUE(std::ranges::equal(data(4096), ByteView(written).subspan(4608, 4096)));
}

TEST_F(Io, AListGoesOnInAnother) {
  const Bytes written = pattern(4 * 4096, 3);
  put(kData, written);
  // The first list has room for two entries: one page, and where it goes on.
  put(kList + 0xff0, list_of({kData + 0x1000, kList + 0x1000}));
  put(kList + 0x1000, list_of({kData + 0x2000, kData + 0x3000}));
  EXPECT_EQ(io(io(IoOpcode::kWrite, 0, 32, kData, kList + 0xff0)).status, Status::kSuccess);
  put(kData, Bytes(4 * 4096));
  EXPECT_EQ(io(io(IoOpcode::kRead, 0, 32, kData, kList + 0xff0)).status, Status::kSuccess);
  EXPECT_TRUE(std::ranges::equal(data(4 * 4096), written));
}

TEST_F(Io, RefusesPrpsThatAreNotAligned) {
  put(kList, list_of({kData + 0x1000, kData + 0x2008, kNowhere}));
  put(kList + 0xff0, list_of({kData + 0x1000, kList + 0x1008}));
  for (const auto& [prp1, prp2, blocks] :
       {std::tuple{kData + 1, std::uint64_t{0}, 1U},  // not a dword
        {kData, kData + 0x1004, 16U},                 // the second page has an offset
        {kData, kList + 4, 32U},                      // a list at no entry's place
        {kData, kList, 32U},                          // an entry with an offset
        {kData, kList + 0xff0, 32U}}) {               // the next list, with an offset
    const Reply reply = io(io(IoOpcode::kRead, 0, blocks, prp1, prp2));
    EXPECT_EQ(reply.status, Status::kPrpOffsetInvalid) << prp1 << " " << prp2;
    EXPECT_TRUE(reply.do_not_retry);
  }
}

TEST_F(Io, MemoryThatRefusesFailsTheCommandAndNothingElse) {
  const Bytes before = pattern(4096, 5);
  put(kData, before);
  ASSERT_EQ(io(io(IoOpcode::kWrite, 0, 8)).status, Status::kSuccess);
  put(kList, list_of({kNowhere}));
  for (const Command& bad :
       {io(IoOpcode::kWrite, 0, 8, kNowhere), io(IoOpcode::kRead, 0, 8, kNowhere),
        io(IoOpcode::kWrite, 0, 16, kData, kNowhere),
        io(IoOpcode::kRead, 0, 32, kData, kNowhere)}) {
    const Reply reply = io(bad);
    EXPECT_EQ(reply.status, Status::kDataTransferError);
    EXPECT_FALSE(reply.do_not_retry);
  }
  EXPECT_EQ(csts(), 1U);
  EXPECT_EQ(io(io(IoOpcode::kRead, 0, 8)).status, Status::kSuccess);
  EXPECT_TRUE(std::ranges::equal(data(4096), before)) << "a write without its data wrote";
}

TEST_F(Io, RefusesWhatDoesNotExist) {
  constexpr std::uint64_t kBlocks = (16U << 20U) / 512;
  Command elsewhere = io(IoOpcode::kRead, 0, 1);
  elsewhere.nsid = 3;
  Command nobody = elsewhere;
  nobody.nsid = 0;
  Command all = elsewhere;
  all.nsid = kAllNamespaces;
  Command with_sgl = io(IoOpcode::kRead, 0, 1);
  with_sgl.flags = 0x40;
  Command directive = io(IoOpcode::kWrite, 0, 1);
  directive.cdw12 |= 1U << 20U;
  for (const auto& [command, status] :
       {std::pair{elsewhere, Status::kInvalidNamespace},
        {nobody, Status::kInvalidNamespace},
        {all, Status::kInvalidNamespace},
        {with_sgl, Status::kInvalidField},
        {directive, Status::kInvalidField},
        {io(IoOpcode{0x7f}, 0, 1), Status::kInvalidOpcode},
        {io(IoOpcode::kRead, kBlocks, 1), Status::kLbaOutOfRange},
        {io(IoOpcode::kWrite, kBlocks - 1, 2), Status::kLbaOutOfRange},
        {io(IoOpcode::kRead, ~std::uint64_t{0}, 2), Status::kLbaOutOfRange},
        {io(IoOpcode::kWriteZeroes, kBlocks - 1, 2), Status::kLbaOutOfRange},
        {io(IoOpcode::kRead, 0, 1025), Status::kInvalidField}}) {
    const Reply reply = io(command);
    EXPECT_EQ(reply.status, status) << unsigned{command.opcode};
    EXPECT_TRUE(reply.do_not_retry);
  }
}

TEST_F(Io, ZeroesAndDeallocatesBlocks) {
  put(kData, pattern(8192));
  ASSERT_EQ(io(io(IoOpcode::kWrite, 0, 16, kData, kData + 0x1000)).status, Status::kSuccess);
  ASSERT_EQ(io(io(IoOpcode::kWriteZeroes, 1, 2)).status, Status::kSuccess);
  put(kList, Writer().le(0U).le(3U).le(std::uint64_t{8}).le(0U).le(0U).le(std::uint64_t{2}).take());
  Command trim = io(IoOpcode::kDatasetManagement, 1, 1, kList);
  trim.cdw11 = 4;
  ASSERT_EQ(io(trim).status, Status::kSuccess);
  ASSERT_EQ(io(io(IoOpcode::kRead, 0, 16, kData, kData + 0x1000)).status, Status::kSuccess);
  for (unsigned block = 0; block < 16; ++block) {
    const bool zero = block == 1 || block == 2 || (block >= 8 && block < 11);
    EXPECT_EQ(std::ranges::all_of(data(512, kData + block * 512U),
                                  [](std::byte b) { return b == std::byte{0}; }),
              zero)
        << block;
  }
  put(kList, Writer().le(0U).le(1U).le(std::uint64_t{1} << 40U).take());
  trim.cdw10 = 0;
  EXPECT_EQ(io(trim).status, Status::kLbaOutOfRange);
}

TEST_F(Io, NamespacesAreApart) {
  put(kData, pattern(512));
  Command write = io(IoOpcode::kWrite, 0, 1);
  write.nsid = 2;
  ASSERT_EQ(io(write).status, Status::kSuccess);
  ASSERT_EQ(io(io(IoOpcode::kRead, 0, 1)).status, Status::kSuccess);
  EXPECT_TRUE(std::ranges::equal(data(512), Bytes(512)));
  Command flush = io(IoOpcode::kFlush, 0, 1);
  for (const std::uint32_t nsid : {1U, 2U, kAllNamespaces}) {
    flush.nsid = nsid;
    EXPECT_EQ(io(flush).status, Status::kSuccess) << nsid;
  }
  flush.nsid = 3;
  EXPECT_EQ(io(flush).status, Status::kInvalidNamespace);
}

TEST(NameSpace, AForkHasACopyOfWhatIsInMemory) {
  auto space = NameSpace::in_memory(3 * 4096).value();
  ASSERT_TRUE(space.write(0, pattern_of(512)));
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    Bytes seen(512);
    const bool kept = space.read(0, seen) && seen == pattern_of(512);
    (void)space.write(0, Bytes(512, std::byte{0xff}));
    ::_exit(kept ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  Bytes seen(512);
  ASSERT_TRUE(space.read(0, seen));
  EXPECT_EQ(seen, pattern_of(512));
}

TEST(NameSpace, ZeroesAnyRangeOfMemory) {
  constexpr std::uint64_t kAll = 4 * 4096;
  const std::pair<std::uint64_t, std::uint64_t> ranges[] = {
      {0, kAll}, {512, 512}, {512, 3 * 4096}, {4096, 4096}, {3584, 1024}, {4096, 512}, {512, 0}};
  for (const auto& [offset, bytes] : ranges) {
    auto space = NameSpace::in_memory(kAll).value();
    ASSERT_TRUE(space.write(0, Bytes(kAll, std::byte{1})));
    ASSERT_TRUE(space.zero(offset, bytes));
    Bytes seen(kAll);
    ASSERT_TRUE(space.read(0, seen));
    Bytes expected(kAll, std::byte{1});
    std::fill_n(expected.begin() + static_cast<std::ptrdiff_t>(offset), bytes, std::byte{0});
    EXPECT_EQ(seen, expected) << offset << " " << bytes;
  }
}

TEST(NameSpace, AFileHasWhatWasWritten) {
  const ScratchFile file(8192);
  const Bytes bytes = pattern_of(512);
  {
    auto space = NameSpace::open(file.path(), 0).value();
    EXPECT_EQ(space.bytes(), 8192U);
    ASSERT_TRUE(space.write(4096, bytes));
    ASSERT_TRUE(space.flush());
    ASSERT_TRUE(space.zero(0, 4096));
  }
  std::ifstream in(file.path(), std::ios::binary);
  in.seekg(4096);
  Bytes got(512);
  in.read(reinterpret_cast<char*>(got.data()), 512);
  EXPECT_EQ(got, bytes);
}

TEST(NameSpace, SaysWhyAFileCannotBeOne) {
  const ScratchFile file(8192);
  const ScratchFile tiny(511);
  const std::string fifo = file.path() + ".fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const auto code = [](const std::string& path, std::uint64_t bytes = 0) {
    const auto opened = NameSpace::open(path, bytes);
    return opened ? Errno{} : opened.error().code;
  };
  EXPECT_EQ(code(file.path() + ".none"), Errno::kNoEnt);
  EXPECT_EQ(code("/tmp"), Errno::kIsDir);
  EXPECT_EQ(code(fifo), Errno::kInval);
  EXPECT_EQ(code(tiny.path()), Errno::kInval);
  EXPECT_EQ(code(file.path(), 8193), Errno::kNoSpc);
  const auto first = NameSpace::open(file.path(), 4096);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->bytes(), 4096U);
  EXPECT_EQ(code(file.path()), Errno::kBusy);
  (void)::unlink(fifo.c_str());
}

TEST(NameSpace, AFileThatWasCutShortFailsItsReads) {
  const ScratchFile file(8192);
  auto space = NameSpace::open(file.path(), 0).value();
  ASSERT_EQ(::truncate(file.path().c_str(), 4096), 0);
  Bytes out(512);
  EXPECT_TRUE(space.read(0, out));
  const auto read = space.read(4096, out);
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code, Errno::kIo);
}

// Only what a signal has interrupted is tried again.
TEST(NameSpaceTest, ATransferThatTheKernelRefusesIsAnError) {
  const ScratchFile file(8192);
  auto space = NameSpace::open(file.path(), 0).value();
  void* const nowhere = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(nowhere, MAP_FAILED);
  const std::span<std::byte> page(static_cast<std::byte*>(nowhere), 4096);
  const auto read = space.read(0, page);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Errno::kFault);
  const auto written = space.write(0, page);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Errno::kFault);
  ::munmap(nowhere, page.size());
}

/// The descriptor of an open file of this process.
int descriptor_of(const std::string& path) {
  for (int fd = 0; fd < 1024; ++fd) {
    std::array<char, 256> name{};
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const ssize_t got = ::readlink(link.c_str(), name.data(), name.size());
    if (got > 0 && path == std::string_view(name.data(), static_cast<std::size_t>(got))) return fd;
  }
  ADD_FAILURE() << "nobody has " << path;
  return -1;
}

std::vector<std::vector<NameSpace>> spaces_of(const std::string& path) {
  std::vector<std::vector<NameSpace>> spaces(1);
  spaces[0].push_back(NameSpace::open(path, 0).value());
  return spaces;
}

/// A namespace on a file that stops reaching its disk.
class FailingDisk : public device::testing::TeeCardTest<NvmeCard> {
 protected:
  static constexpr std::uint32_t kEnabled = 6U << 16U | 4U << 20U | 1U;
  explicit FailingDisk()
      : TeeCardTest({.pf = kPf, .vfs = 0, .window = Hpa{0x20'0000'0000}}, spaces_of(file_.path())) {
    enable_bus_master(kPfIndex);
    set_mmio(kPfIndex, 0, 0x24, 15U | 15U << 16U);
    set_mmio(kPfIndex, 0, 0x14, kEnabled);
  }
  /// A pipe takes the file's place: fdatasync() of one is EINVAL.
  void break_disk() {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    ASSERT_GE(::dup2(ends[0], descriptor_of(file_.path())), 0);
    ::close(ends[0]);
    ::close(ends[1]);
  }
  std::uint32_t csts() { return mmio(kPfIndex, 0, 0x1c); }

 private:
  static inline ScratchFile file_{1 << 20};
};

class CachedDisk : public NvmeTest {
 protected:
  CachedDisk() : NvmeTest(spaces_of(file_.path())) {}
  void break_disk() {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    ASSERT_GE(::dup2(ends[0], descriptor_of(file_.path())), 0);
    ::close(ends[0]);
    ::close(ends[1]);
  }
  Status set(std::uint32_t feature, std::uint32_t value) {
    return admin(admin_command(AdminOpcode::kSetFeatures, feature, value)).status;
  }
  static constexpr std::uint32_t kPower = 2, kWriteCache = 6;

 private:
  static inline ScratchFile file_{1 << 20};
};

// NVMe 1.4, 5.21.1.6: what is in the cache is written before it is off.
TEST_F(CachedDisk, TurningTheCacheOffSaysThatTheDiskDoesNotTakeIt) {
  EXPECT_EQ(set(kWriteCache, 0), Status::kSuccess);
  EXPECT_EQ(set(kWriteCache, 1), Status::kSuccess);
  break_disk();
  EXPECT_NE(set(kWriteCache, 0), Status::kSuccess);
}

TEST_F(CachedDisk, AFeatureOfADiskWithoutCacheWritesNothingBack) {
  EXPECT_EQ(set(kWriteCache, 0), Status::kSuccess);
  break_disk();
  EXPECT_EQ(set(kPower, 0), Status::kSuccess);
}

TEST(NameSpaceTest, MemoryThatIsNotThereIsAnError) {
  const auto space = NameSpace::in_memory(std::uint64_t{1} << 62U);
  ASSERT_FALSE(space);
  EXPECT_EQ(space.error().code, Errno::kNoMem);
}

TEST_F(FailingDisk, IsToldAtShutdownWhichThenIsNeverComplete) {
  set_mmio(kPfIndex, 0, 0x14, kEnabled | 1U << 14U);
  ASSERT_EQ(csts(), 9U) << "ready, and shut down";
  set_mmio(kPfIndex, 0, 0x14, 0);
  set_mmio(kPfIndex, 0, 0x14, kEnabled);
  break_disk();
  set_mmio(kPfIndex, 0, 0x14, kEnabled | 1U << 14U);
  EXPECT_EQ(csts(), 7U) << "ready, fatal, and shutting down";
}

}  // namespace
}  // namespace teeio::nvme::testing
