#include "run/read_memory.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "run/fd.h"
#include "run/sys.h"

namespace teeio::run {

bool is_forbidden(ssize_t done) { return done < 0 && (errno == EPERM || errno == ENOSYS); }

ssize_t read_memory(pid_t tid, std::uint64_t address, std::span<std::byte> out) {
  const iovec here{out.data(), out.size()};
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  const iovec there{reinterpret_cast<void*>(address), out.size()};
  const ssize_t done = ::process_vm_readv(tid, &here, 1, &there, 1, 0);
  if (!is_forbidden(done)) return done;
  const Fd memory(::open(proc_path(tid, "mem").c_str(), O_RDONLY | O_CLOEXEC));
  if (memory.get() < 0) return -1;  // with the errno of the opening
  return ::pread(memory.get(), out.data(), out.size(), static_cast<off_t>(address));
}

}  // namespace teeio::run
