#include "unit/rules/story.h"

namespace teeio::rules {
namespace {

using object::Fact;

TEST(R3VmLifetime, AVmMayGoAfterItsLastDevice) {
  Story story;
  story.bind();
  story.accept();
  story.unbind();
  story.function.reset();
  story.fact(Fact::kVmDestroyed);
  EXPECT_EQ(story.broken(), "");
}

TEST(R3VmLifetime, AVmIsNotDestroyedUnderABoundDevice) {
  Story story;
  story.bind();
  story.function.reset();
  story.fact(Fact::kVmDestroyed);
  EXPECT_EQ(story.only().what, "VM 1: destroyed while 0000:01:00.1 is bound to it");
}

TEST(R3VmLifetime, AnotherVmMayGoAtAnyTime) {
  Story story;
  story.bind();
  story.function.reset();
  story.vm = 2;
  story.fact(Fact::kVmDestroyed);
  EXPECT_EQ(story.broken(), "");
}

TEST(R3VmLifetime, AVdeviceCountsAlsoUnbound) {
  Story story;
  story.fact(Fact::kViommuCreated, {.a = 7});
  story.fact(Fact::kVdeviceCreated, {.a = 8, .b = 6, .c = 7});
  story.fact(Fact::kVmDestroyed);
  EXPECT_EQ(story.only().rule, RuleId::kR3);
}

TEST(R5References, ALeakIsReportedWithItsObject) {
  Story story;
  story.fact(Fact::kRefLeaked, {.detail = "viommu 3", .a = 2});
  EXPECT_EQ(story.only().what, "viommu 3: 2 references left at its end");
}

TEST(R5References, AUseAfterTheLastPutIsReported) {
  Story story;
  story.fact(Fact::kUsedAfterPut, {.detail = "vdevice 9"});
  EXPECT_EQ(story.only().rule, RuleId::kR5);
}

TEST(R5References, AMachineAsAtBootHasNoLeak) {
  Story story;
  Census boot, end;
  boot.set("hkids in use", std::uint64_t{0});
  end.set("hkids in use", std::uint64_t{0});
  story.sanitizer.compare(Census::compare(boot, end));
  EXPECT_EQ(story.broken(), "");
}

TEST(R5References, EveryDifferenceFromBootIsNamed) {
  Story story;
  Census boot, end;
  boot.set("hkids in use", std::uint64_t{0});
  boot.set("0000:01:00.0 driver", "vfio-pci");
  end.set("hkids in use", std::uint64_t{1});
  end.set("vm 1", "alive");
  story.sanitizer.compare(Census::compare(boot, end));
  const Violation& violation = story.only();
  ASSERT_EQ(violation.events.size(), 3U);
  EXPECT_EQ(violation.events[0].text, "0000:01:00.0 driver: vfio-pci at boot, absent now");
  EXPECT_EQ(violation.events[1].text, "hkids in use: 0 at boot, 1 now");
  EXPECT_EQ(violation.events[2].text, "vm 1: absent at boot, alive now");
  EXPECT_NE(census_text(Census::compare(boot, end)).find("hkids in use: 0 at boot, 1 now"),
            std::string::npos);
}

TEST(R6Vdevice, GoesBeforeItsIdeviceAndItsViommu) {
  Story story;
  story.fact(Fact::kIdeviceCreated, {.a = 1});
  story.fact(Fact::kViommuCreated, {.a = 2});
  story.fact(Fact::kVdeviceCreated, {.a = 3, .b = 1, .c = 2});
  story.fact(Fact::kVdeviceDestroyed, {.a = 3});
  story.fact(Fact::kIdeviceDestroyed, {.a = 1});
  story.fact(Fact::kViommuDestroyed, {.a = 2});
  story.fact(Fact::kVmFileReleased);
  EXPECT_EQ(story.broken(), "");
}

TEST(R6Vdevice, DoesNotOutliveItsIdevice) {
  Story story;
  story.fact(Fact::kIdeviceCreated, {.a = 1});
  story.fact(Fact::kVdeviceCreated, {.a = 3, .b = 1, .c = 2});
  story.fact(Fact::kIdeviceDestroyed, {.a = 1});
  EXPECT_EQ(story.only().what, "vDEVICE 3: its idevice 1 is gone before it");
}

TEST(R6Viommu, DoesNotOutliveItsVmFile) {
  Story story;
  story.fact(Fact::kViommuCreated, {.a = 2});
  story.fact(Fact::kVmFileReleased);
  EXPECT_EQ(story.only().what, "vIOMMU 2: VM 1's file is gone before it");
}

TEST(R6Viommu, WithoutAVmKeepsNoFile) {
  Story story;
  story.vm = 0;
  story.fact(Fact::kViommuCreated, {.a = 2});
  story.vm = 1;
  story.fact(Fact::kVmFileReleased);
  EXPECT_EQ(story.broken(), "");
}

TEST(R6Viommu, ABoundFunctionNeedsTheFileToo) {
  Story story;
  story.bind();
  story.fact(Fact::kVmFileReleased);
  EXPECT_EQ(story.only().rule, RuleId::kR6);
}

}  // namespace
}  // namespace teeio::rules
