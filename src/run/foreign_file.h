#pragma once

#include "host/mm/caller.h"
#include "run/fd.h"

namespace teeio::run {

/// A file of the program that is none of ours, held by a duplicate of its
/// descriptor in this process.
class StolenFile final : public mm::ForeignFile {
 public:
  explicit StolenFile(Fd fd) : fd_(std::move(fd)) {}
  Result<object::Ref<mm::EventFd>> eventfd() override;
  Result<object::Ref<mm::Pages>> memfd_pages(std::uint64_t start, std::uint64_t length,
                                             mm::Access access) override;
  Result<bool> is_host_vm() override;
  [[nodiscard]] bool same_file(const mm::ForeignFile& other) const override;

 private:
  void release() override {}
  Fd fd_;
};

/// A file of a program that forbids inspection: every use is refused.
class SealedFile final : public mm::ForeignFile {
 public:
  Result<object::Ref<mm::EventFd>> eventfd() override;
  Result<object::Ref<mm::Pages>> memfd_pages(std::uint64_t start, std::uint64_t length,
                                             mm::Access access) override;
  Result<bool> is_host_vm() override;

 private:
  void release() override {}
};

}  // namespace teeio::run
