#include "run/injection.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "run/injector.h"

namespace teeio::run {
namespace {

using schedule::Fault;
using schedule::FaultPlace;
using What = Injector::Due::What;

Injection parsed(std::string_view spec) { return parse_injection(spec).value(); }
BadInjection refused(std::string_view spec) { return parse_injection(spec).error(); }

TEST(InjectionSpec, ReadsWhatItWrites) {
  for (const char* spec :
       {"fail:VFIO_DEVICE_TSM_BIND#2=EBUSY", "kill:KVM_RUN#46:before", "kill:open#1:after",
        "signal:KVM_CREATE_VM#1", "firmware:TDH.DEVIF.CREATE#1=busy",
        "firmware:TDH.DMAR.ADD#3=interrupt", "firmware:RMI_VDEV_CREATE#1=refuse",
        "device:KEY_EXCHANGE#1=drop", "device:LOCK_INTERFACE#1=late", "device:GET_VERSION#2=garble",
        "device:STOP_INTERFACE#1=gone", "order:7#2=40"})
    EXPECT_EQ(parsed(spec).str(), spec);
}

TEST(InjectionSpec, WithoutANumberIsTheFirst) {
  EXPECT_EQ(parsed("fail:KVM_CREATE_VM=ENOMEM"), parsed("fail:KVM_CREATE_VM#1=ENOMEM"));
}

TEST(InjectionSpec, TakesOnlyErrnosThatTheCallMayGive) {
  EXPECT_EQ(refused("fail:KVM_CREATE_VM=EACCES").word, "EACCES");
  const auto known = refused("fail:KVM_CREATE_VM=EBUZY").known;
  EXPECT_NE(std::ranges::find(known, "EBUSY"), known.end());
  EXPECT_EQ(std::ranges::find(known, "EINTR"), known.end()) << "that is signal:'s";
  EXPECT_EQ(refused("fail:KVM_GET_API_VERSION=ENOMEM").word, "KVM_GET_API_VERSION");
}

TEST(InjectionSpec, ASignalNeedsACallThatSleeps) {
  EXPECT_EQ(parsed("signal:KVM_RUN").error, Errno::kIntr);
  EXPECT_EQ(refused("signal:KVM_CREATE_VCPU").word, "KVM_CREATE_VCPU");
  EXPECT_NE(refused("signal:KVM_RUN=EINTR").why, "");
}

TEST(InjectionSpec, OfAnOrderIsASeed) {
  EXPECT_EQ(parsed("order:7").str(), "order:7#1=100");
  EXPECT_EQ(parsed("order:18446744073709551615#3=1").seed, UINT64_MAX);
  for (const char* spec :
       {"order:x", "order:-1", "order:7#0", "order:7#101", "order:7=0", "order:7=many", "order:"})
    EXPECT_FALSE(parse_injection(spec).has_value()) << spec;
}

TEST(InjectionSpec, SaysWhichWordIsWrong) {
  EXPECT_EQ(refused("kil:open:after").word, "kil");
  EXPECT_EQ(refused("kill:opn:after").word, "opn");
  EXPECT_EQ(refused("kill:open:soon").word, "soon");
  EXPECT_EQ(refused("firmware:TDH.DEVIF.CREATE=drop").word, "drop");
  EXPECT_EQ(refused("device:KEY_EXCHANGE=busy").word, "busy");
}

TEST(InjectionSpec, RefusesWhatIsIncomplete) {
  for (const char* spec :
       {"", ":", "fail", "fail:", "fail:KVM_RUN", "fail:KVM_RUN#=EAGAIN", "fail:KVM_RUN#0=EAGAIN",
        "fail:KVM_RUN#x=EAGAIN", "fail:KVM_RUN#99999999999=EAGAIN", "kill:KVM_RUN", "device:=drop",
        "firmware:TDH.DEVIF.CREATE", "kill:#1:before"})
    EXPECT_FALSE(parse_injection(spec)) << spec;
  EXPECT_FALSE(parse_injection("kill:" + std::string(10'000, 'A') + ":after"));
  EXPECT_FALSE(parse_injection(std::string("device:E\1\0\n=drop", 16)));
  EXPECT_FALSE(parse_injection("device:TWO WORDS=drop"));
}

TEST(InjectionSpec, IsWhatItWritesHoweverLongTheNameIs) {
  for (const std::size_t length : {127U, 128U, 129U}) {
    const auto injection = parse_injection("device:" + std::string(length, 'E') + "=drop");
    ASSERT_EQ(injection.has_value(), length <= 128) << length;
    if (!injection) continue;
    EXPECT_EQ(parse_injection(injection->str()), *injection);
  }
}

TEST(InjectedName, IsOneForEachWayToMakeACall) {
  for (const char* call : {"open", "openat", "openat2", "creat"})
    EXPECT_EQ(injected_name(call, true), "open");
  EXPECT_EQ(injected_name("preadv2", false), "read");
  EXPECT_EQ(injected_name("pread64", true), "attribute-read");
  EXPECT_EQ(injected_name("writev", true), "attribute-write");
  EXPECT_EQ(injected_name("mmap", false), "mmap");
}

TEST(Injector, RefusesTheNthCallOfItsNameOnly) {
  Injector injector({parsed("fail:KVM_RUN#2=EAGAIN")});
  EXPECT_EQ(injector.call("KVM_RUN").what, What::kNothing);
  EXPECT_EQ(injector.call("KVM_CREATE_VM").what, What::kNothing);
  const auto order = injector.call("KVM_RUN");
  EXPECT_EQ(order.what, What::kRefuse);
  EXPECT_EQ(order.error, Errno::kAgain);
  EXPECT_EQ(injector.call("KVM_RUN").what, What::kNothing);
  EXPECT_TRUE(injector.unfired().empty());
}

TEST(Injector, KillsOnTheSideItWasTold) {
  Injector injector({parsed("kill:open#1:before"), parsed("kill:open#2:after")});
  EXPECT_EQ(injector.call("open").what, What::kKillBefore);
  EXPECT_EQ(injector.call("open").what, What::kKillAfter);
}

TEST(Injector, CountsEachFaultOfACommandForItself) {
  Injector injector({parsed("firmware:TDH.X#2=busy")});
  const auto at = [&](Fault fault) {
    return injector.happens(FaultPlace::kFirmware, "TDH.X", fault);
  };
  EXPECT_FALSE(at(Fault::kBusy));
  EXPECT_FALSE(at(Fault::kRefuse));
  EXPECT_TRUE(at(Fault::kBusy));
  EXPECT_FALSE(injector.happens(FaultPlace::kDevice, "TDH.X", Fault::kBusy));
}

TEST(Injector, KnowsWhatNeverHappenedAndWhatCouldHave) {
  const Injection late = parsed("fail:KVM_RUN#3=EAGAIN"), never = parsed("device:PING=drop");
  Injector injector({late, never});
  (void)injector.call("KVM_RUN");
  (void)injector.happens(FaultPlace::kDevice, "PONG", Fault::kDrop);
  EXPECT_EQ(injector.unfired(), (std::vector{late, never}));
  EXPECT_EQ(injector.count_of(late), 1U);
  EXPECT_EQ(injector.names_for(never), std::vector<std::string>{"PONG"});
}

TEST(Injector, KnowsWhetherTwoThreadsThatLiveMakeCalls) {
  Injector injector({});
  injector.keep_points();
  (void)injector.call("open", ::getpid());
  constexpr pid_t kNobody = 0x3fffffff;  // more than there can be
  (void)injector.call("open", kNobody);
  (void)injector.call("open", ::getppid());
  ASSERT_EQ(injector.points().size(), 4U);
  const Injector::Point& order = injector.points()[1];
  EXPECT_EQ(order.kind, Injection::Kind::kOrder);
  EXPECT_EQ(order.nth, 3U) << "all calls";
}

TEST(Injector, KeepsThePlacesInTheirOrder) {
  Injector injector({});
  injector.keep_points();
  (void)injector.call("open");
  (void)injector.happens(FaultPlace::kFirmware, "TDH.X", Fault::kBusy);
  (void)injector.call("open");
  ASSERT_EQ(injector.points().size(), 3U);
  EXPECT_EQ(injector.points()[1].kind, Injection::Kind::kFirmware);
  EXPECT_EQ(injector.points()[2].nth, 2U);
}

}  // namespace
}  // namespace teeio::run
