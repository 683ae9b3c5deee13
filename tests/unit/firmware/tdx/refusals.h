#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "unit/firmware/tdx/machine.h"

namespace teeio::tdx {

/// Checks of leaves as rows, in an order in which each meets the state that the
/// rows before it left. A row gives the exact code and operand.
class Refusals : public Machine {
 protected:
  struct Row {
    std::string_view what;
    std::function<LeafResult()> call;
    Status wanted;
  };
  static void expect(const std::vector<Row>& rows) {
    for (const Row& row : rows) {
      const LeafResult got = row.call();
      EXPECT_EQ(got.status.name(), row.wanted.name()) << row.what;
      EXPECT_EQ(operand_name(got.status.operand()), operand_name(row.wanted.operand())) << row.what;
    }
  }
  using enum Code;
  using enum Operand;
};

}  // namespace teeio::tdx
