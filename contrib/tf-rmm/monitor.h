#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

// The monitor inside of TF-RMM's fake_host program, as its Normal world calls it.

namespace normal_world {

inline constexpr std::uint64_t kPage = 4096;

/// RmiStatusCode.
enum class Status : std::uint8_t {
  kSuccess = 0,
  kInput = 1,
  kNotSupported = 5,
  kDevice = 6,
  kIncomplete = 13,
  kGranule = 16,
};

/// x0 to x7 behind an SMC.
struct Result {
  std::array<std::uint64_t, 8> x{};
  [[nodiscard]] Status status() const { return static_cast<Status>(x[0] & 0xffU); }
  [[nodiscard]] bool ok() const { return x[0] == 0; }
};

/// RMI commands by the n of their number, 0xC4000150 + n. Source: RMM specification (DEN0137).
enum class Rmi : std::uint32_t {
  kPdevAbort = 0x24,
  kPdevCommunicate = 0x25,
  kPdevCreate = 0x26,
  kPdevDestroy = 0x27,
  kPdevGetState = 0x28,
  kPdevStreamKeyRefresh = 0x2a,
  kPdevSetPubkey = 0x2b,
  kPdevStop = 0x2c,
  kVdevAbort = 0x35,
  kVdevCommunicate = 0x36,
  kVdevCreate = 0x37,
  kVdevDestroy = 0x38,
  kVdevGetState = 0x39,
  kVdevUnlock = 0x3a,
  kVdevGetInterfaceReport = 0x80,
  kVdevGetMeasurements = 0x81,
  kVdevLock = 0x82,
  kVdevStart = 0x83,
  kPsmmuActivate = 0x87,
  kPsmmuDeactivate = 0x88,
  kPsmmuStL2Create = 0x8b,
  kPsmmuStL2Destroy = 0x8c,
  kGranuleRangeDelegate = 0xa1,
  kOpContinue = 0xb3,
  kPdevStreamConnect = 0xb4,
  kPdevStreamDisconnect = 0xb5,
  kPdevStreamComplete = 0xb6,
  kOpMemDonate = 0xb8,
  kOpMemReclaim = 0xb9,
};

/// Lifetime: the program's. Locking: one thread, which is outside of the monitor.
class Monitor {
 public:
  /// Finds what it needs among the program's own symbols; throws std::runtime_error.
  Monitor();

  Result call(Rmi command, std::initializer_list<std::uint64_t> arguments);
  /// The same, and gives or takes memory until a stateful command is over.
  Result finish(Rmi command, std::initializer_list<std::uint64_t> arguments);

  /// Zeroed pages of the host's; physical addresses are the program's own.
  [[nodiscard]] std::uint64_t page(unsigned count = 1, bool aligned = false) const;
  /// A page that is the monitor's.
  [[nodiscard]] std::uint64_t granule();
  /// What fake_host's host has made before this one begins.
  [[nodiscard]] std::uint64_t realm() const;
  [[nodiscard]] std::uint64_t host_bridge() const;
  [[nodiscard]] std::uint64_t psmmu() const;
  /// The root port has the DVSEC that the monitor locks streams in.
  void make_root_port() const;

 private:
  void delegate(std::uint64_t first, std::uint64_t count);
  std::uint64_t donate(std::uint64_t list, std::uint64_t wanted);
  template <class Function>
  Function* symbol(const std::string& name) const;
};

template <class T>
T& at(std::uint64_t address, std::uint64_t offset = 0) {
  return *reinterpret_cast<T*>(address + offset);
}

}  // namespace normal_world
