#include <gtest/gtest.h>

#include "guest/lazy_cpu.h"
#include "guest/unicorn_cpu.h"
#include "unit/guest/fake_memory.h"

namespace teeio::guest {
namespace {

bool has_memory = false;

struct ScarceEngine {
  static Result<std::unique_ptr<UnicornCpu>> create(hw::GuestMemory& memory) {
    if (!has_memory) return fail(Errno::kNoMem, "no memory for an engine");
    return UnicornCpu::create(memory);
  }
};

TEST(LazyCpu, AsksAgainForMemory) {
  has_memory = false;
  FakeMemory memory;
  LazyCpu<ScarceEngine> cpu{memory};
  std::array<std::byte, 312> special{};
  cpu.flush(Gpa{0}, kPageSize);
  EXPECT_EQ(cpu.open().error().code, Errno::kNoMem);
  EXPECT_EQ(cpu.get_special(special).error().code, Errno::kNoMem);
  EXPECT_EQ(cpu.set_special(special).error().code, Errno::kNoMem);
  has_memory = true;
  EXPECT_TRUE(cpu.open().has_value());
  EXPECT_TRUE(cpu.get_special(special).has_value());
  EXPECT_EQ(cpu.registers().rip, 0xfff0U);
}

/// Who is kicked before there is an engine is kicked when there is one.
TEST(LazyCpu, KeepsAKick) {
  has_memory = true;
  FakeMemory memory;
  LazyCpu<ScarceEngine> cpu{memory};
  memory.add_ram(0x1000);
  memory.put(0x1000, {0xf4});
  cpu.kick();
  ASSERT_TRUE(cpu.open().has_value());
  cpu.start_flat({.cr0 = 1, .registers = {.rip = 0x1000}});
  EXPECT_EQ(cpu.run().reason, hw::CpuExit::Reason::kKicked);
  EXPECT_EQ(cpu.run().reason, hw::CpuExit::Reason::kHalt);
}

}  // namespace
}  // namespace teeio::guest
