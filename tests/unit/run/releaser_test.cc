#include "run/releaser.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "unit/run/with_device_files.h"

namespace teeio::run::releaser_test {
namespace {

using testing::ElementsAre;

class QuietFile final : public object::File {
 public:
  QuietFile() : File(object::FileKind::kVfioDevice) {}

 private:
  void release() override {}
};

class ReleaserTest : public test::WithDeviceFiles {
 protected:
  void SetUp() override {
    WithDeviceFiles::SetUp();
    if (!files) return;
    tasks = std::make_unique<Tasks>(*files);
    releaser = std::make_unique<Releaser>(
        *files, *tasks, calls, [this](const std::string& name) { released.push_back(name); });
  }
  Fd open(const std::string& name) {
    const auto file = *files->add(object::make_ref<QuietFile>(), name, O_RDWR, ::getpid());
    return *files->open_for_program(*file);
  }

  std::unique_ptr<Tasks> tasks;
  Listener listener{Fd()};
  CallsInProgress calls{listener};
  std::unique_ptr<Releaser> releaser;
  std::vector<std::string> released;
};

// What a program that ends closes is released in the order of its closes, also if nobody has
// looked before its end was seen.
TEST_F(ReleaserTest, TheRestGoesBehindWhatWasClosedBefore) {
  const Fd outside = open("outside");
  Fd first = open("first"), second = open("second"), third = open("third");
  third.reset();
  first.reset();
  second.reset();
  releaser->take_rest();
  releaser->stop();
  releaser->run();
  EXPECT_THAT(released, ElementsAre("third", "first", "second", "outside"));
}

}  // namespace
}  // namespace teeio::run::releaser_test
