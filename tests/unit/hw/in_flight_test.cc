#include "hw/in_flight.h"

#include <gtest/gtest.h>

#include "base/check.h"
#include "schedule/atomic.h"
#include "schedule/task.h"
#include "unit/schedule/explored.h"

namespace teeio::hw {
namespace {

/// A page that a translation leads to until software has changed it and drained.
struct Page {
  RequestsInFlight all;
  schedule::Atomic<int> leads_here{1};
  schedule::Atomic<int> given_back{0};

  void request() {
    const RequestsInFlight::Request passing(all);
    const int here = leads_here.load();
    TEEIO_CHECK(given_back.load() == 0 || here == 0,
                "a request reaches a page that was given back");
  }
};

TEST(RequestsInFlight, ADrainWaitsForRequestsThatCameBeforeItInEveryOrder) {
  test::expect_sound([] {
    Page page;
    auto device = schedule::Task::spawn("device", [&] {
      page.request();
      page.request();
    });
    page.leads_here.store(0);
    page.all.drain();
    page.given_back.store(1);
    device.join();
  });
}

TEST(RequestsInFlight, TwoDrainsAndTwoDevicesEndInEveryOrder) {
  test::expect_sound([] {
    Page page;
    auto first = schedule::Task::spawn("first", [&] { page.request(); });
    auto other = schedule::Task::spawn("other", [&] { page.all.drain(); });
    page.leads_here.store(0);
    page.all.drain();
    page.given_back.store(1);
    first.join();
    other.join();
  });
}

TEST(RequestsInFlight, WithoutADrainTheCheckFindsIt) {
  EXPECT_NE(test::finding_of([] {
              Page page;
              auto device = schedule::Task::spawn("device", [&] { page.request(); });
              page.leads_here.store(0);
              page.given_back.store(1);
              device.join();
            }),
            "");
}

}  // namespace
}  // namespace teeio::hw
