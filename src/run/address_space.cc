#include "run/address_space.h"

#include <fcntl.h>
#include <unistd.h>

#include "run/sys.h"

namespace teeio::run {
namespace {

Fd open_proc(pid_t tid, const char* name, int access) {
  return Fd(::open(proc_path(tid, name).c_str(), access | O_CLOEXEC));
}

}  // namespace

AddressSpace::AddressSpace(pid_t tid)
    : maps_(open_proc(tid, "maps", O_RDONLY)), mem_(open_proc(tid, "mem", O_RDWR)) {
  memory_ = Memory::kWritable;
  if (mem_.ok()) return;
  mem_ = open_proc(tid, "mem", O_RDONLY);  // a /proc that is mounted read-only
  memory_ = mem_.ok() ? Memory::kReadable : Memory::kNone;
}

bool AddressSpace::read(std::uint64_t address, std::span<std::byte> out) const {
  return ::pread(mem_.get(), out.data(), out.size(), static_cast<off_t>(address)) ==
         static_cast<ssize_t>(out.size());
}

bool AddressSpace::write(std::uint64_t address, ByteView in) const {
  return ::pwrite(mem_.get(), in.data(), in.size(), static_cast<off_t>(address)) ==
         static_cast<ssize_t>(in.size());
}

}  // namespace teeio::run
