#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "run/device_files.h"
#include "run/open_scan.h"

namespace teeio::run::test {

/// A test with device files in whatever memory this host has for them.
class WithDeviceFiles : public testing::Test {
 protected:
  void SetUp() override {
    const std::string tmpfs = find_tmpfs();
    if (tmpfs.empty()) GTEST_SKIP() << "no tmpfs takes O_TMPFILE";
    auto made = DeviceFiles::create(Fd(::open(tmpfs.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)));
    ASSERT_TRUE(made);
    files = std::move(*made);
  }
  std::unique_ptr<DeviceFiles> files;
};

}  // namespace teeio::run::test
