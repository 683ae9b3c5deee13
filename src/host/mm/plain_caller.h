#pragma once

#include <cstdint>

#include "host/mm/caller.h"
#include "host/mm/plain_memory.h"
#include "object/fd_table.h"
#include "schedule/atomic.h"

namespace teeio::mm {

/// A process of the explorer, a unit test or the embedding API: descriptors and
/// memory that its threads share. Ending it closes every descriptor.
class PlainProcess {
 public:
  explicit PlainProcess(std::int32_t pid) : pid_(pid) {}
  [[nodiscard]] std::int32_t pid() const { return pid_; }
  [[nodiscard]] PlainMemory& memory() { return memory_; }
  [[nodiscard]] object::FdTable& files() { return files_; }
  /// SIGKILL, or a signal with a handler: blocking calls return EINTR.
  void signal() { signalled_.store(true); }
  [[nodiscard]] bool signalled() const { return signalled_.load(); }

 private:
  const std::int32_t pid_;
  PlainMemory memory_;
  object::FdTable files_;
  schedule::Atomic<bool> signalled_{false};
};

/// One thread of a PlainProcess in a system call.
class PlainCaller final : public Caller {
 public:
  explicit PlainCaller(PlainProcess& process) : PlainCaller(process, process.pid()) {}
  PlainCaller(PlainProcess& process, std::int32_t tid) : process_(process), tid_(tid) {}

  [[nodiscard]] std::int32_t pid() const override { return process_.pid(); }
  [[nodiscard]] std::int32_t tid() const override { return tid_; }
  [[nodiscard]] std::uint64_t mm_id() const override;
  UserMemory& memory() override { return process_.memory(); }
  Result<object::Ref<object::File>> file(std::int32_t fd) override;
  Result<std::int32_t> install(object::Ref<object::File> file, std::uint32_t flags) override;

 private:
  bool looks_for_signal(SignalMask) override { return process_.signalled(); }

  PlainProcess& process_;
  const std::int32_t tid_;
};

}  // namespace teeio::mm
