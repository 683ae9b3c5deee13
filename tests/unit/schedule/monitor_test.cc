#include "schedule/monitor.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>

#include "base/check.h"
#include "explore/dpor.h"
#include "schedule/atomic.h"
#include "schedule/controller.h"
#include "schedule/mutex.h"
#include "schedule/quarantine.h"
#include "schedule/races.h"
#include "schedule/recorded_hash_map.h"
#include "schedule/recorded_map.h"
#include "schedule/task.h"
#include "unit/schedule/explored.h"

namespace teeio::test {
namespace {

using schedule::Monitor;
using schedule::part;
using schedule::Rank;
using schedule::RecordedHashMap;
using schedule::RecordedMap;
using schedule::Section;
using schedule::Task;
using How = schedule::Touch::How;

/// The orders of `a` and `b` that a reduction finds different.
std::uint64_t orders_of(const std::function<void()>& a, const std::function<void()>& b) {
  explore::Dpor strategy;
  const auto body = [&] {
    Task first = Task::spawn("a", [&] { a(); });
    Task second = Task::spawn("b", [&] { b(); });
    first.join();
    second.join();
  };
  const explore::Exploration result = explore::run_schedules(strategy, body, kEnough, {});
  if (result.bad) ADD_FAILURE() << explore::to_text(*result.bad);
  EXPECT_TRUE(result.exhausted);
  return result.schedules - result.pruned;
}

std::function<void()> touches(Monitor& monitor, std::uint64_t what, How how) {
  return [&monitor, what, how] {
    const Section section(monitor, Section::kByParts);
    monitor.touch(what, how);
  };
}

TEST(Monitor, SectionsThatSayNothingMeetAll) {
  Monitor monitor(Rank::kLeaf);
  const auto whole = [&] { const Section section(monitor); };
  EXPECT_EQ(orders_of(whole, whole), 2U);
  EXPECT_EQ(orders_of(whole, touches(monitor, part(1, 7), How::kRead)), 2U);
}

// A device that signals in the middle of its own section wakes whoever waits for it afterwards.
TEST(Monitor, WhatIsPutOffComesAfterTheSectionAndMayWait) {
  Monitor monitor(Rank::kDevice);
  schedule::Mutex mutex(Rank::kLeaf);
  struct Bell {
    schedule::Mutex* mutex;
    bool rung;
  } bell{&mutex, false};
  const auto ring = [](void* on) {
    auto& it = *static_cast<Bell*>(on);
    const schedule::Lock lock(*it.mutex);
    it.rung = true;
  };
  const auto signals = [&] {
    bell.rung = false;
    {
      const Section section(monitor);
      schedule::after_section(ring, &bell);
      TEEIO_CHECK(!bell.rung, "it waits for the section's end");
    }
    TEEIO_CHECK(bell.rung, "it is forgotten");
  };
  EXPECT_GE(orders_of(signals, [&] { const schedule::Lock lock(mutex); }), 2U);
  bell.rung = false;
  schedule::after_section(ring, &bell);
  EXPECT_TRUE(bell.rung) << "outside of sections at once";
}

// What is put off is run by the task that put it off, in order, whoever ends a section meanwhile.
TEST(Monitor, WhatATaskPutsOffIsItsOwn) {
  Monitor monitor(Rank::kDevice);
  schedule::Mutex mutex(Rank::kLeaf);
  struct Act {
    schedule::Mutex* mutex;
    std::string* rung;
    std::uint32_t task;
    char name;
  };
  const auto ring = [](void* on) {
    const auto& it = *static_cast<Act*>(on);
    const schedule::Lock lock(*it.mutex);
    TEEIO_CHECK(schedule::controller()->current_task() == it.task, "another task runs it");
    *it.rung += it.name;
  };
  const auto signals = [&] {
    std::string rung;
    const std::uint32_t self = schedule::controller()->current_task();
    Act first{&mutex, &rung, self, '1'};
    Act second{&mutex, &rung, self, '2'};
    {
      const Section section(monitor, Section::kByParts);
      schedule::after_section(ring, &first);
      schedule::after_section(ring, &second);
    }
    TEEIO_CHECK(rung == "12", "what is put off comes in its order");
  };
  EXPECT_GE(orders_of(signals, touches(monitor, part(1), How::kWrite)), 1U);
  EXPECT_GE(orders_of(signals, signals), 2U);
}

TEST(Monitor, ASectionThatHasPutSomethingOffDoesNotGiveWay) {
  const std::string found = finding_of([] {
    Monitor monitor(Rank::kLeaf);
    const Section section(monitor);
    schedule::after_section([](void*) {}, nullptr);
    monitor.give_way();
  });
  EXPECT_EQ(found, "a section that has put something off gives way");
}

TEST(Instant, IsASectionByPartsUnlessInOne) {
  Monitor monitor(Rank::kLeaf);
  const auto instant = [&](std::uint64_t what) {
    return [&monitor, what] {
      const schedule::Instant outer(&monitor);
      const schedule::Instant inner(&monitor);
      monitor.touch(what, How::kWrite);
    };
  };
  EXPECT_EQ(orders_of(instant(part(1)), touches(monitor, part(1), How::kRead)), 2U);
  EXPECT_EQ(orders_of(instant(part(1)), touches(monitor, part(2), How::kRead)), 1U);
}

TEST(Monitor, SectionsOfDifferentPartsCommute) {
  Monitor monitor(Rank::kLeaf);
  const auto one = touches(monitor, part(1, 7), How::kWrite);
  EXPECT_EQ(orders_of(one, touches(monitor, part(1, 8), How::kWrite)), 1U);
  EXPECT_EQ(orders_of(one, touches(monitor, part(2, 7), How::kWrite)), 1U);
  EXPECT_EQ(orders_of(one, one), 2U);
}

TEST(Monitor, ReadsCommuteAndUpdatesDoButNotWithEachOther) {
  Monitor monitor(Rank::kLeaf);
  const auto read = touches(monitor, part(1), How::kRead);
  const auto update = touches(monitor, part(1), How::kUpdate);
  const auto write = touches(monitor, part(1), How::kWrite);
  EXPECT_EQ(orders_of(read, read), 1U);
  EXPECT_EQ(orders_of(update, update), 1U);
  EXPECT_EQ(orders_of(read, update), 2U);
  EXPECT_EQ(orders_of(read, write), 2U);
  EXPECT_EQ(orders_of(update, write), 2U);
}

TEST(Monitor, PartsOfTwoMonitorsAreTwo) {
  Monitor one(Rank::kLeaf);
  Monitor other(Rank::kLeaf);
  EXPECT_EQ(orders_of(touches(one, part(1), How::kWrite), touches(other, part(1), How::kWrite)),
            1U);
}

TEST(Monitor, AnInnerSectionTouchesForTheOuterOne) {
  Monitor outer(Rank::kFirmware);
  Monitor inner(Rank::kLeaf);
  const auto nested = [&] {
    const Section section(outer, Section::kByParts);
    touches(inner, part(1), How::kWrite)();
  };
  EXPECT_EQ(orders_of(nested, touches(inner, part(1), How::kWrite)), 2U);
  EXPECT_EQ(orders_of(nested, touches(inner, part(2), How::kWrite)), 1U);
}

TEST(Monitor, NobodySeesTheMiddleOfASection) {
  Monitor monitor(Rank::kLeaf);
  expect_sound([&] {
    int value = 0;
    const auto twice = [&] {
      const Section section(monitor);
      ++value;
      TEEIO_CHECK(value % 2 == 1, "a section was seen in its middle");
      ++value;
    };
    Task a = Task::spawn("a", twice);
    Task b = Task::spawn("b", twice);
    a.join();
    b.join();
  });
}

TEST(Monitor, ASectionThatGivesWayTouchesAgain) {
  Monitor monitor(Rank::kLeaf);
  const auto gives_way = [&] {
    const Section section(monitor, Section::kByParts);
    monitor.touch(part(1), How::kWrite);
    monitor.give_way();
  };
  // Before, between and after its two moves.
  EXPECT_EQ(orders_of(gives_way, touches(monitor, part(1), How::kWrite)), 3U);
  EXPECT_EQ(orders_of(gives_way, touches(monitor, part(2), How::kWrite)), 1U);
}

TEST(Monitor, ASectionMeetsNoSchedulingPoint) {
  const std::string found = finding_of([] {
    Monitor monitor(Rank::kLeaf);
    schedule::Atomic<int> flag;
    const Section section(monitor);
    flag.store(1);
  });
  EXPECT_EQ(found, "a section of a monitor meets a scheduling point");
}

TEST(Monitor, ALateUseIsFound) {
  const std::string found = finding_of([] {
    struct Freed : schedule::Quarantined {
      Monitor monitor{Rank::kLeaf};
    };
    auto* const freed = new Freed;
    {
      const Section section(freed->monitor);
    }
    Task late = Task::spawn("late", [freed] { const Section section(freed->monitor); });
    delete freed;
    late.join();
  });
  EXPECT_NE(found.find("after it was freed"), std::string::npos) << found;
}

TEST(Monitor, TheLockOrderHolds) {
  const std::string found = finding_of([] {
    Monitor above(Rank::kFirmware);
    Monitor below(Rank::kLeaf);
    const Section first(below);
    const Section second(above);
  });
  EXPECT_EQ(found, "a lock is taken against the lock order");
}

TEST(Monitor, WhatIsToldAfterASectionIsAMoveOfItsOwn) {
  Monitor monitor(Rank::kLeaf);
  // b's section needs a's, and may still be told of before a's.
  bool other_order = false;
  std::string story;
  std::uint64_t seen = 0;
  explore_all([&] {
    story.clear();
    seen = 0;
    const auto tells = [&](char name) {
      return [&, name] {
        std::uint64_t turn = 0;
        {
          const Section section(monitor);
          turn = ++seen;
        }
        schedule::told(1);
        const schedule::Unwatched observer;
        story += name + std::to_string(turn);
      };
    };
    Task a = Task::spawn("a", tells('a'));
    Task b = Task::spawn("b", tells('b'));
    a.join();
    b.join();
    other_order = other_order || story == "b2a1";
  });
  EXPECT_TRUE(other_order);
}

TEST(Monitor, NativelyItIsAMutex) {
  Monitor monitor(Rank::kLeaf);
  int value = 0;
  const auto count = [&] {
    for (int i = 0; i < 1000; ++i) {
      const Section section(monitor, Section::kByParts);
      monitor.touch(part(1), How::kWrite);
      ++value;
    }
  };
  Task other = Task::spawn("other", count);
  count();
  other.join();
  EXPECT_EQ(value, 2000);
}

struct Recording {
  Monitor monitor{Rank::kLeaf};
  RecordedMap<std::uint64_t, int> map{{&monitor, 1}};

  std::function<void()> section(std::function<void(RecordedMap<std::uint64_t, int>&)> what) {
    return [this, what = std::move(what)] {
      const Section section(monitor, Section::kByParts);
      what(map);
    };
  }
};

TEST(RecordedMap, ElementsAreParts) {
  Recording r;
  const auto one = r.section([](auto& map) { ++map[1]; });
  EXPECT_EQ(orders_of(one, r.section([](auto& map) { ++map[2]; })), 1U);
  EXPECT_EQ(orders_of(one, one), 2U);
  EXPECT_EQ(orders_of(one, r.section([](auto& map) { (void)std::as_const(map).find(1); })), 2U);
  EXPECT_EQ(orders_of(one, r.section([](auto& map) { (void)std::as_const(map).find(3); })), 1U);
}

TEST(RecordedHashMap, ElementsArePartsAndNobodyMeetsThoseThatComeAndGo) {
  Monitor monitor{Rank::kLeaf};
  RecordedHashMap<std::uint64_t, int> map{{&monitor, 1}};
  const auto section = [&](auto what) {
    return [&monitor, &map, what] {
      const Section inside(monitor, Section::kByParts);
      what(map);
    };
  };
  const auto one = section([](auto& all) { ++all[1]; });
  EXPECT_EQ(orders_of(one, section([](auto& all) { ++all[2]; })), 1U);
  EXPECT_EQ(orders_of(one, one), 2U);
  EXPECT_EQ(orders_of(one, section([](auto& all) { (void)std::as_const(all).find(1); })), 2U);
  EXPECT_EQ(orders_of(one, section([](auto& all) { all.erase(1); })), 2U);
  EXPECT_EQ(orders_of(one, section([](auto& all) { all.erase(2); })), 1U);
}

TEST(RecordedHashMap, WhoFindsAnElementToReadItMeetsThoseThatChangeIt) {
  Monitor monitor{Rank::kLeaf};
  RecordedHashMap<std::uint64_t, int> map{{&monitor, 1}};
  map[1] = 7;
  const auto section = [&](auto what) {
    return [&monitor, &map, what] {
      const Section inside(monitor, Section::kByParts);
      what(map);
    };
  };
  const auto look = section([](auto& all) { EXPECT_NE(all.find_to_read(1), nullptr); });
  EXPECT_EQ(orders_of(look, look), 1U);
  EXPECT_EQ(orders_of(look, section([](auto& all) { (void)all.contains(1); })), 1U);
  EXPECT_EQ(orders_of(look, section([](auto& all) { EXPECT_NE(all.find(1), nullptr); })), 2U);
  EXPECT_EQ(orders_of(look, section([](auto& all) { (void)all.unrecorded(1); })), 1U);
  EXPECT_EQ(map.find(2), nullptr);
}

TEST(RecordedMap, WhoLooksAtItsKeysMeetsWhoAddsOrTakesAway) {
  Recording r;
  const auto count = r.section([](auto& map) { (void)map.size(); });
  EXPECT_EQ(orders_of(count, count), 1U);
  EXPECT_EQ(orders_of(count, r.section([](auto& map) { map.erase(5); })), 2U);
  const auto all = r.section([](auto& map) {
    for (const auto& [key, value] : std::as_const(map)) EXPECT_GT(key, 0U);
  });
  EXPECT_EQ(orders_of(all, all), 1U);
  {
    const Section section(r.monitor);
    r.map[9] = 1;
  }
  EXPECT_EQ(orders_of(all, r.section([](auto& map) { map.at(9) = 2; })), 2U);
}

}  // namespace
}  // namespace teeio::test
