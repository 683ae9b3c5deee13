#include <gtest/gtest.h>

#include "object/file.h"
#include "object/trace.h"

namespace teeio::object {
namespace {

/// A file whose release says so, and drops another one.
class Releasing final : public File {
 public:
  Releasing(Trace& trace, Lane lane, std::string_view name, Ref<File> inner = {})
      : File(FileKind::kForeign),
        trace_(trace),
        lane_(lane),
        name_(name),
        inner_(std::move(inner)) {}

 private:
  void release() override {
    auto call = trace_.call(lane_, name_);
    inner_.reset();
    auto further = trace_.call(Lane::kFirmware, "further");
  }
  Trace& trace_;
  const Lane lane_;
  const std::string_view name_;
  Ref<File> inner_;
};

class LanesTest : public testing::Test {
 protected:
  LanesTest() { trace.keep_events(true); }
  [[nodiscard]] const Event& event(std::string_view name) const {
    for (const Event& e : trace.events())
      if (e.name == name) return e;
    ADD_FAILURE() << "no event " << name;
    return trace.events().front();
  }
  Trace trace;
};

TEST_F(LanesTest, AReleaseIsOfWhoDroppedTheFileAndWhatFollowsOfWhoReleases) {
  auto vm = Ref<File>::adopt(new Releasing(trace, Lane::kKvm, "vm"));
  auto context = Ref<File>::adopt(new Releasing(trace, Lane::kIommufd, "context", std::move(vm)));
  {
    const DelayedPuts scope;
    context.reset();
  }
  EXPECT_EQ(event("context").from, Lane::kVmm);
  EXPECT_EQ(event("vm").from, Lane::kIommufd) << "delayed, but dropped by iommufd";
  for (const Event& e : trace.events()) EXPECT_TRUE(e.name != "further" || e.from != Lane::kVmm);
}

TEST_F(LanesTest, AScopeHoldsAfterACallInsideOfIt) {
  {
    const LaneScope scope(Lane::kKvm);
    {
      auto call = trace.call(Lane::kFirmware, "first");
    }
    {
      auto call = trace.call(Lane::kFirmware, "second");
    }
  }
  auto call = trace.call(Lane::kFirmware, "after");
  EXPECT_EQ(event("first").from, Lane::kKvm);
  EXPECT_EQ(event("second").from, Lane::kKvm);
  EXPECT_EQ(event("after").from, Lane::kVmm);
}

}  // namespace
}  // namespace teeio::object
