#include "firmware/sev/sla.h"

#include <gtest/gtest.h>

namespace teeio::sev {
namespace {

struct SlaTest : testing::Test {
  Result<std::vector<Hpa>> pages_of(std::initializer_list<std::uint64_t> entries) {
    Writer out;
    for (const std::uint64_t entry : entries) out.le(entry);
    EXPECT_TRUE(memory.write(list, out.take()));
    return Sla::of(list, true).pages(memory);
  }
  hw::PhysicalMemory memory{1U << 20U};
  Hpa list = *memory.alloc_page();
};

TEST_F(SlaTest, IsOnePageOrTheListedOnes) {
  EXPECT_EQ(Sla::of(Hpa{0x5000}).pages(memory).value(), std::vector{Hpa{0x5000}});
  EXPECT_EQ(pages_of({0x5000, 0x7000, Sla::kEnd}).value(), (std::vector{Hpa{0x5000}, Hpa{0x7000}}));
}

TEST_F(SlaTest, PageZeroIsNone) {
  EXPECT_EQ(Sla{}.pages(memory).error().code, Errno::kInval);
  EXPECT_EQ(pages_of({0x5000, 0, Sla::kEnd}).error().code, Errno::kInval);
  EXPECT_EQ(pages_of({Sla::kEnd}).error().code, Errno::kInval);
}

TEST_F(SlaTest, OtherBitsAndListsInListsAreRefused) {
  for (const std::uint64_t wrong : {0x5000U | Sla::kLarge, 0x5000U | Sla::kScatter, 0x5004U + 0UL})
    EXPECT_EQ(pages_of({wrong, Sla::kEnd}).error().code, Errno::kInval) << std::hex << wrong;
}

}  // namespace
}  // namespace teeio::sev
