#include "guest/bus_log.h"

#include <cstring>

#include "guest/cpu_exits.h"

namespace teeio::guest {

using hw::CpuExit;
using hw::GuestAccess;

void BusLog::answer(std::uint64_t value) {
  if (done_.empty() || done_.back().write) return;
  done_.back().value = low_bytes(value, done_.back().size);
}

std::optional<CpuExit> BusLog::make(const Access& access, std::byte* seen) {
  if (access.offset + access.size > kPageSize || access.size > 8) return shutdown();
  const Gpa gpa = access.page + access.offset;
  const auto size = static_cast<std::uint8_t>(access.size);
  if (next_ < done_.size()) {
    const Done& again = done_[next_++];
    if (again.gpa != gpa || again.write != access.write || again.size != size) return shutdown();
    if (!again.write) std::memcpy(seen, &again.value, size);
    return std::nullopt;
  }
  const GuestAccess kind = access.write ? GuestAccess::kWrite : GuestAccess::kRead;
  Done now{gpa, access.write, size, low_bytes(access.value, size)};
  const auto mapping = memory_.lookup(access.page, kind);
  if (!mapping) {
    if (mapping.error() == hw::GuestMemory::Miss::kException) return shutdown();
    if (mapping.error() == hw::GuestMemory::Miss::kFault) return fault(gpa, kind);
    CpuExit exit = exit_for(CpuExit::Reason::kMmio);
    exit.gpa = gpa;
    exit.access = kind;
    exit.size = size;
    exit.write = access.write;
    exit.data = access.write ? now.value : 0;
    done_.push_back(now);
    return exit;
  }
  const auto bytes = writable_bytes_of(now.value).first(size);
  if (access.write) {
    if (!memory_.write(*mapping, access.offset, bytes)) return shutdown();
  } else {
    // What does not answer reads as all ones, as on PCI.
    now.value = 0;
    if (!memory_.read(*mapping, access.offset, bytes)) now.value = low_bytes(~0ULL, size);
    std::memcpy(seen, &now.value, size);
  }
  done_.push_back(now);
  ++next_;
  return std::nullopt;
}

}  // namespace teeio::guest
