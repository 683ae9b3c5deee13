#include "base/nearest.h"

#include <gtest/gtest.h>

namespace teeio {
namespace {

TEST(Nearest, IsTheWordOfFewestDifferentLetters) {
  const std::vector<std::string> known = {"open", "close", "KVM_CREATE_VM", "KVM_CREATE_VCPU"};
  EXPECT_EQ(nearest("opne", known), "open");
  EXPECT_EQ(nearest("clos", known), "close");
  EXPECT_EQ(nearest("KVM_CREATE_VN", known), "KVM_CREATE_VM");
  EXPECT_EQ(nearest("something", known), "");
  EXPECT_EQ(nearest("", known), "");
}

TEST(Nearest, DoesNotCountSmallAndLargeLetters) {
  const std::vector<std::string> known = {"run", "--Rules", "KVM_CREATE_VM"};
  EXPECT_EQ(nearest("RUN", known), "run");
  EXPECT_EQ(nearest("kvm_create_vm", known), "KVM_CREATE_VM");
}

}  // namespace
}  // namespace teeio
