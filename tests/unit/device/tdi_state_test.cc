#include "device/tdi_state.h"

#include <gtest/gtest.h>

#include <array>

namespace teeio::device {
namespace {

using enum TdiState;
using enum TdiEvent;
using hw::TBit;

struct Row {
  TdiState from;
  std::array<std::optional<TdiState>, 6> to;  ///< lock, start, stop, violation, FLR, reset
};
constexpr auto kNo = std::nullopt;
constexpr std::array kTable{
    Row{kConfigUnlocked,
        {kConfigLocked, kNo, kConfigUnlocked, kConfigUnlocked, kConfigUnlocked, kConfigUnlocked}},
    Row{kConfigLocked,
        {kNo, kRun, kConfigUnlocked, TdiState::kError, TdiState::kError, kConfigUnlocked}},
    Row{kRun, {kNo, kNo, kConfigUnlocked, TdiState::kError, TdiState::kError, kConfigUnlocked}},
    Row{TdiState::kError,
        {kNo, kNo, kConfigUnlocked, TdiState::kError, TdiState::kError, kConfigUnlocked}},
};

TEST(TdiStateMachine, IsTheSpecsTable) {
  for (const Row& row : kTable)
    for (std::size_t event = 0; event < row.to.size(); ++event)
      EXPECT_EQ(next_state(row.from, static_cast<TdiEvent>(event)), row.to[event])
          << wire::tdi_state_name(row.from) << " event " << event;
}

TEST(TdiStateMachine, RunIsReachedOnlyThroughLocked) {
  for (const Row& row : kTable)
    for (std::size_t event = 0; event < row.to.size(); ++event)
      if (next_state(row.from, static_cast<TdiEvent>(event)) == kRun) {
        EXPECT_EQ(row.from, kConfigLocked);
      }
}

TEST(TdiStateMachine, TeeMemoryAnswersSharedOnlyUnlockedAndTrustedOnlyInRun) {
  for (const TdiState state : {kConfigUnlocked, kConfigLocked, kRun, TdiState::kError}) {
    EXPECT_EQ(answers_mmio(state, TBit::kShared, false), state == kConfigUnlocked);
    EXPECT_EQ(answers_mmio(state, TBit::kTrusted, false), state == kRun);
    EXPECT_TRUE(answers_mmio(state, TBit::kShared, true));
    EXPECT_FALSE(answers_mmio(state, TBit::kTrusted, true));
  }
}

TEST(TdiStateMachine, OnlyUnlockedAndRunIssueDma) {
  EXPECT_TRUE(issues_dma(kConfigUnlocked, TBit::kShared));
  EXPECT_FALSE(issues_dma(kConfigUnlocked, TBit::kTrusted));
  EXPECT_FALSE(issues_dma(kConfigLocked, TBit::kShared));
  EXPECT_TRUE(issues_dma(kRun, TBit::kShared));
  EXPECT_TRUE(issues_dma(kRun, TBit::kTrusted));
  EXPECT_FALSE(issues_dma(TdiState::kError, TBit::kShared));
}

}  // namespace
}  // namespace teeio::device
