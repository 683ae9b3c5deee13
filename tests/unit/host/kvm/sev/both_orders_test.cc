// The nested table of an SNP guest lies behind a lock that is no scheduling point: the explorer
// must run both orders of two who reach it, though they meet nowhere else.

#include "unit/explore/both_orders.h"

#include <functional>
#include <memory>
#include <set>

#include "base/check.h"
#include "unit/host/kvm/sev/snp_machine.h"

namespace teeio::kvm {
namespace {

struct OneGuest final : test::SnpMachine {
  OneGuest() {
    TEEIO_CHECK(guest().init2(0, 0, 2, answer).has_value(), "an SNP VM is made");
    TEEIO_CHECK(guest().launch_start(kPolicy, Bytes(16), 0, answer).has_value(), "it is begun");
    TEEIO_CHECK(load(kCode, Bytes(kPageSize)).has_value(), "it has a page");
    const auto mapped = guest().map_private(kCode, *frame(kCode), PageKind::kRam);
    TEEIO_CHECK(mapped.has_value(), "the page is mapped");
  }
  void TestBody() override {}
  [[nodiscard]] bool has_page() { return guest().nested_page(kCode).has_value(); }
  Result<void> remove() { return guest().remove_private(kCode, PageKind::kRam); }
  Result<void> map() { return guest().map_private(kCode, *frame(kCode), PageKind::kRam); }
};

/// Whether who looks meets the page of a guest that somebody changes.
std::set<int> seen_while(const std::function<void(OneGuest&)>& prepare,
                         const std::function<void(OneGuest&)>& change) {
  return explore::test::ends([&] {
    auto one = explore::test::natively([&] {
      auto made = std::make_unique<OneGuest>();
      prepare(*made);
      return made;
    });
    bool has_page = false;
    explore::test::together([&] { change(*one); }, [&] { has_page = one->has_page(); });
    return explore::test::natively([&] {
      one.reset();
      return has_page ? 1 : 0;
    });
  });
}

TEST(NestedTable, ALookComesBeforeOrAfterAPageIsTakenOut) {
  const auto seen = seen_while([](OneGuest&) {}, [](OneGuest& one) { (void)one.remove(); });
  EXPECT_EQ(seen, (std::set<int>{0, 1}));
}

TEST(NestedTable, ALookComesBeforeOrAfterAPageIsPutIn) {
  const auto seen =
      seen_while([](OneGuest& one) { TEEIO_CHECK(one.remove().has_value(), "it is taken out"); },
                 [](OneGuest& one) { (void)one.map(); });
  EXPECT_EQ(seen, (std::set<int>{0, 1}));
}

}  // namespace
}  // namespace teeio::kvm
