// The nested table of an SNP guest lies behind a lock that is no scheduling point: the explorer
// must run both orders of two who reach it, though they meet nowhere else.

#include "unit/explore/both_orders.h"

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

TEST(NestedTable, ALookComesBeforeOrAfterAPageIsTakenOut) {
  const auto seen = explore::test::ends([] {
    OneGuest one;
    bool has_page = false;
    explore::test::together([&] { (void)one.remove(); }, [&] { has_page = one.has_page(); });
    return has_page ? 1 : 0;
  });
  EXPECT_EQ(seen, (std::set<int>{0, 1}));
}

TEST(NestedTable, ALookComesBeforeOrAfterAPageIsPutIn) {
  const auto seen = explore::test::ends([] {
    OneGuest one;
    TEEIO_CHECK(one.remove().has_value(), "the page is taken out");
    bool has_page = false;
    explore::test::together([&] { (void)one.map(); }, [&] { has_page = one.has_page(); });
    return has_page ? 1 : 0;
  });
  EXPECT_EQ(seen, (std::set<int>{0, 1}));
}

}  // namespace
}  // namespace teeio::kvm
