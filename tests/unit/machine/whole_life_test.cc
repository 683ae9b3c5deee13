// A life in which nothing goes wrong: but for what each host asks to learn that there is
// nothing to do, no command of firmware, no device and no call of the program's is refused.
// A step that is done twice, left out, or done before its turn is refused by somebody.

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "explore/scenario/catalogue.h"
#include "explore/scenario/stage.h"

namespace teeio::machine {
namespace {

struct Lived {
  std::size_t design;  ///< of explore::default_designs()
  std::string_view refused;
};

class WholeLife : public testing::TestWithParam<Lived> {};

TEST_P(WholeLife, HasTheseRefusalsOnly) {
  explore::keep_events(true);
  std::string refused;
  {
    explore::Stage stage(explore::default_designs()[GetParam().design]);
    const auto look = [&] {
      for (const object::Event& event : stage.machine().trace().events())
        if (event.refused) refused += std::string(event.name) + ": " + event.why + '\n';
    };
    explore::Vmm& vmm = stage.with_dma();
    EXPECT_TRUE(stage.unbind(vmm).has_value());
    EXPECT_TRUE(stage.bind(vmm).has_value());
    EXPECT_TRUE(stage.unbind(vmm).has_value());
    vmm.exit();
    EXPECT_TRUE(stage.machine().disconnect_cards().has_value());
    look();
    EXPECT_TRUE(stage.machine().connect_cards().has_value());
  }
  explore::keep_events(false);
  EXPECT_EQ(refused, GetParam().refused);
}

constexpr Lived kLives[] = {{0, ""},
                            {1,
                             "RMI_RTT_DEV_MAP: there is no table of the block's level\n"
                             "RMI_PDEV_ABORT: there is nothing to abort\n"},
                            {2, ""}};
INSTANTIATE_TEST_SUITE_P(Design, WholeLife, testing::ValuesIn(kLives), [](const auto& place) {
  return explore::default_designs()[place.param.design].name;
});

}  // namespace
}  // namespace teeio::machine
