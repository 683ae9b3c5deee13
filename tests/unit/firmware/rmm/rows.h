#pragma once

#include <map>
#include <string_view>

#include "unit/firmware/rmm/machine.h"

namespace teeio::rmm {

/// A machine on which one command is called, with one thing wrong.
struct Story : Machine {
  Story() = default;
  explicit Story(Settings settings) : Machine(std::move(settings)) {}
  void TestBody() override {}

  /// The page of a record, or what takes its place.
  template <class Record>
  Hpa at(const Record& record) {
    return instead != Hpa{0} ? instead : page(record);
  }
  /// The communication's page with `entered`.
  Hpa entered_at() {
    if (instead == Hpa{0}) set_enter(entered);
    return instead != Hpa{0} ? instead : data;
  }
  /// Every address is off by some bytes.
  void unalign() {
    for (Hpa* address : {&rd, &rtt, &pdev, &rp, &vdev, &rec}) *address = *address + 8;
    instead = params + 8;
  }
  /// Another realm, PDEV or VDEV with the state that matters.
  void other_realm() {
    const Hpa other = granule();
    ASSERT_RMI(rmm.realm_create(other, {.vm = 2, .rtt = granule()}));
    rd = other;
  }
  void other_pdev() {
    const Hpa other = granule();
    PdevParams record = pdev_params();
    ASSERT_RMI(finish(rmm.pdev_create(other, page(record))));
    pdev = other;
  }

  /// Another REC, off, of a realm that is made for it; gives its MPIDR.
  std::uint64_t add_rec() {
    if (recs == 0) {
      rd = granule();
      rec = granule();
      EXPECT_RMI(rmm.realm_create(rd, {.vm = 3, .rtt = granule()}), Code::kSuccess);
      EXPECT_RMI(create_rec(rd, rec), Code::kSuccess);
    }
    other_rec = granule();
    EXPECT_RMI(create_rec(rd, other_rec, {.flags = 0, .mpidr = ++recs}), Code::kSuccess);
    return recs;
  }

  Hpa instead{0};
  Hpa other_rec{0};
  std::uint64_t recs = 0;
  PdevParams pp = pdev_params();
  PublicKeyParams kp = any_key();
  StreamParams sp = stream_params();
  VdevParams vp = vdev_params();
  PsmmuParams up{};
  CommEnter entered = enter_none();
  RecEnter run_record{};
  RecParams rec_params{};
  Hpa spare = granule();
  std::uint64_t sid = kSid;
  Hpa psmmu = Settings::kPsmmu;
  std::uint64_t count = 1;
  std::uint64_t word = one(kBar);
  AddressFlags flags{};
  Gpa base = kIpa, top = kIpa + kPageSize;
  std::uint8_t level = 3;
  std::uint8_t caching = UnprotectedFlags::kWriteBack;
};

/// How a row's command is called, on which machine, and what makes each check fail.
struct Case {
  const Row* row;
  std::function<void(Story&)> prepare;  ///< all is well
  std::function<RmiResult(Story&)> call;
  std::map<std::string_view, std::function<void(Story&)>> wrong;  ///< by check
  bool never = false;  ///< there is no machine on which all is well
};

inline std::map<const Row*, Case>& cases() {
  static std::map<const Row*, Case> all;
  return all;
}
struct Cases {
  Cases(std::initializer_list<Case> some) {
    for (const Case& one : some) cases().emplace(one.row, one);
  }
};

}  // namespace teeio::rmm
