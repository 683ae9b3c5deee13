#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "device/nvme/command.h"
#include "device/nvme/nvme_card.h"
#include "device/nvme/spec.h"
#include "unit/device/card_fixture.h"

namespace teeio::nvme::testing {

using device::TdiState;
using hw::TBit;

/// A file that is gone with the test.
class ScratchFile {
 public:
  explicit ScratchFile(std::size_t bytes) {
    const int fd = ::mkstemp(path_.data());
    EXPECT_GE(fd, 0);
    EXPECT_EQ(::ftruncate(fd, static_cast<off_t>(bytes)), 0);
    ::close(fd);
  }
  ~ScratchFile() { (void)::unlink(path_.c_str()); }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/teeio-nvme-XXXXXX";
};

inline std::vector<std::vector<NameSpace>> spaces_in_memory() {
  std::vector<std::vector<NameSpace>> spaces(2);
  spaces[0].push_back(NameSpace::in_memory(16 << 20).value());
  spaces[0].push_back(NameSpace::in_memory(1 << 20).value());
  spaces[1].push_back(NameSpace::in_memory(8 << 20).value());
  return spaces;
}

/// What came back for a command.
struct Reply {
  std::uint32_t result = 0;
  std::uint16_t sq_head = 0;
  std::uint16_t sq = 0;
  std::uint16_t id = 0;
  Status status{};
  bool do_not_retry = false;
};

/// A card as Linux's driver uses it: PF with two namespaces, one VF with one.
class NvmeTest : public device::testing::TeeCardTest<NvmeCard> {
 protected:
  // Places in the port's memory.
  static constexpr std::uint64_t kAdminSq = 0x1000, kAdminCq = 0x2000, kIoSq = 0x3000,
                                 kIoCq = 0x4000, kList = 0x8000, kData = 0x1'0000;
  static constexpr std::uint64_t kNowhere = 0x4000'0000;
  static constexpr std::uint16_t kEntries = 16;

  NvmeTest() : NvmeTest(spaces_in_memory()) {}
  explicit NvmeTest(std::vector<std::vector<NameSpace>> spaces)
      : TeeCardTest({.pf = kPf, .vfs = 1, .window = Hpa{0x20'0000'0000}}, std::move(spaces)) {}

  void SetUp() override { bring_up(kPfIndex); }

  /// Bus mastering, MSI-X, the admin queue, and an I/O queue pair.
  void bring_up(unsigned index, TBit t = TBit::kShared) {
    start(index, t);
    EXPECT_EQ(admin(create_cq(1)).status, Status::kSuccess);
    EXPECT_EQ(admin(create_sq(1)).status, Status::kSuccess);
  }
  void start(unsigned index, TBit t = TBit::kShared) {
    index_ = index;
    t_ = t;
    enable_bus_master(index);
    reg(0x14, 0);
    enable();
  }
  /// Entries sizes, and EN.
  static constexpr std::uint32_t kConfiguration = 6U << 16U | 4U << 20U | 1U;
  void enable(std::uint32_t configuration = kConfiguration) {
    ids_.clear();
    reg(0x24, (kEntries - 1U) | (kEntries - 1U) << 16U);
    reg(0x28, kAdminSq), reg(0x2c, 0), reg(0x30, kAdminCq), reg(0x34, 0);
    for (const std::uint64_t cq : {kAdminCq, kIoCq})
      std::fill_n(memory().begin() + static_cast<std::ptrdiff_t>(cq), 4096, std::byte{0});
    reg(0x14, configuration);
  }
  void reg(std::uint64_t offset, std::uint64_t value) {
    set_mmio(index_, 0, offset, static_cast<std::uint32_t>(value), t_);
  }
  std::uint32_t reg(std::uint64_t offset) { return mmio(index_, 0, offset, t_); }
  std::uint32_t csts() { return reg(0x1c); }
  Bytes& memory() { return port.memory(t_); }
  ByteView data(std::size_t bytes, std::uint64_t at = kData) {
    return ByteView(memory()).subspan(at, bytes);
  }
  void put(std::uint64_t at, ByteView bytes) {
    std::ranges::copy(bytes, memory().begin() + static_cast<std::ptrdiff_t>(at));
  }
  static Bytes pattern(std::size_t bytes, unsigned seed = 1) {
    Bytes out(bytes);
    for (std::size_t i = 0; i < bytes; ++i)
      out[i] = static_cast<std::byte>((i / 512 + 1) * 7 + i * 13 + seed * 31);
    return out;
  }

  // Commands.
  static Command admin_command(AdminOpcode opcode, std::uint32_t cdw10 = 0,
                               std::uint32_t cdw11 = 0) {
    return {.opcode = std::to_underlying(opcode), .prp1 = kData, .cdw10 = cdw10, .cdw11 = cdw11};
  }
  static Command create_cq(std::uint32_t id, std::uint32_t entries = kEntries) {
    Command c = admin_command(AdminOpcode::kCreateCq, id | (entries - 1) << 16U, 3U | id << 16U);
    c.prp1 = kIoCq;
    return c;
  }
  static Command create_sq(std::uint32_t id, std::uint32_t entries = kEntries) {
    Command c = admin_command(AdminOpcode::kCreateSq, id | (entries - 1) << 16U, 1U | id << 16U);
    c.prp1 = kIoSq;
    return c;
  }
  static Command io(IoOpcode opcode, std::uint64_t lba, std::uint32_t blocks,
                    std::uint64_t prp1 = kData, std::uint64_t prp2 = 0) {
    return {.opcode = std::to_underlying(opcode),
            .nsid = 1,
            .prp1 = prp1,
            .prp2 = prp2,
            .cdw10 = static_cast<std::uint32_t>(lba),
            .cdw11 = static_cast<std::uint32_t>(lba >> 32U),
            .cdw12 = blocks - 1};
  }

  /// Puts a command in a queue; the doorbell is ring()'s.
  std::uint16_t queue(std::uint16_t sq, Command command) {
    Side& side = ids_[sq];
    command.id = static_cast<std::uint16_t>(0x100 * sq + side.next++);
    const Bytes entry = Writer()
                            .le(command.opcode)
                            .le(command.flags)
                            .le(command.id)
                            .le(command.nsid)
                            .zeros(16)
                            .le(command.prp1)
                            .le(command.prp2)
                            .le(command.cdw10)
                            .le(command.cdw11)
                            .le(command.cdw12)
                            .zeros(12)
                            .take();
    put((sq == 0 ? kAdminSq : kIoSq) + side.tail * 64U, entry);
    side.tail = (side.tail + 1) % kEntries;
    return command.id;
  }
  void ring(std::uint16_t sq) { reg(0x1000 + sq * 8U, ids_[sq].tail); }
  /// The next completion; an entry that was not written yet has the wrong phase.
  std::optional<Reply> next(std::uint16_t cq) {
    Side& side = ids_[cq];
    Reader r(ByteView(memory()).subspan((cq == 0 ? kAdminCq : kIoCq) + side.head * 16U, 16));
    Reply reply;
    reply.result = r.le<std::uint32_t>();
    r.skip(4);
    reply.sq_head = r.le<std::uint16_t>();
    reply.sq = r.le<std::uint16_t>();
    reply.id = r.le<std::uint16_t>();
    const auto status = r.le<std::uint16_t>();
    if ((status & 1U) != (side.phase ? 1U : 0U)) return std::nullopt;
    reply.status = Status{static_cast<std::uint16_t>(status >> 1U & 0x7ffU)};
    reply.do_not_retry = status >> 15U != 0;
    side.head = (side.head + 1) % kEntries;
    if (side.head == 0) side.phase = !side.phase;
    return reply;
  }
  void take(std::uint16_t cq) { reg(0x1004 + cq * 8U, ids_[cq].head); }
  Reply carry_out(std::uint16_t sq, const Command& command) {
    const std::uint16_t id = queue(sq, command);
    ring(sq);
    const auto reply = next(sq);
    if (!reply) {
      ADD_FAILURE() << "no completion";
      return {.status = Status{0x7ff}};
    }
    EXPECT_EQ(reply->id, id);
    EXPECT_EQ(reply->sq, sq);
    take(sq);
    return *reply;
  }
  Reply admin(const Command& command) { return carry_out(0, command); }
  Reply io(const Command& command) { return carry_out(1, command); }

 private:
  struct Side {
    std::uint32_t tail = 0;
    std::uint32_t head = 0;
    bool phase = true;
    std::uint16_t next = 0;
  };
  unsigned index_ = kPfIndex;
  TBit t_ = TBit::kShared;
  std::map<std::uint16_t, Side> ids_;
};

}  // namespace teeio::nvme::testing
