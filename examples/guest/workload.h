// What a guest does with the device whatever its vendor: it talks to the VMM, and copies a
// page, first as anybody could and then in private.
#pragma once

#include <cstdint>

#include "dma_engine.h"
#include "failure.h"
#include "host.h"
#include "platform.h"

using platform::Board;
using platform::kPage;

// The firmware that this guest's owner wants to see on the device: its measurement is
// the digest of this text, which stands for an image (docs/devices/dma-engine.md).
constexpr char kFirmware[] = "teeio dma-engine firmware 1.0";

// Where the guest's own page tables, or a realm's unprotected half, show shared memory.
#ifdef GUEST_REALM
constexpr std::uint64_t kSharedWindow = platform::kUnprotected;
#else
constexpr std::uint64_t kSharedWindow = 0x8000'0000;
#endif

template <class T>
volatile T& at(std::uint64_t address) {
  return *reinterpret_cast<volatile T*>(address);
}
inline std::uint64_t shared(std::uint64_t gpa) { return kSharedWindow + gpa; }

// One exit a line: every word to the outside costs one.
inline void say(const char* text) {
  std::uint64_t length = 0;
  for (; text[length] != 0 && length < kPage; ++length)
    at<char>(shared(platform::kConsole + length)) = text[length];
  host::port_out(platform::kPortConsole, 4, length);
}

[[noreturn]] inline void finish(std::uint32_t code) {
  host::port_out(platform::kPortExit, 4, code);
  for (;;) host::wait();
}
inline void require(bool good, Failure otherwise) {
  if (!good) finish(otherwise);
}

// The device as the VMM emulates it: configuration space and, while it is
// shared, the registers.
namespace emulated {

inline void enable() {
  constexpr std::uint64_t kCommand = 4;
  constexpr std::uint64_t kMemoryAndMaster = 6;
  const std::uint64_t command = host::mmio_read(platform::kConfigSpace + kCommand, 2);
  host::mmio_write(platform::kConfigSpace + kCommand, 2, command | kMemoryAndMaster);
}
inline std::uint32_t read(std::uint64_t reg) {
  return static_cast<std::uint32_t>(host::mmio_read(platform::kBar0 + reg, 4));
}
inline void write(std::uint64_t reg, std::uint32_t value) {
  host::mmio_write(platform::kBar0 + reg, 4, value);
}

}  // namespace emulated

// The same registers as private MMIO: ordinary instructions, no exit.
namespace direct {

inline std::uint32_t read(std::uint64_t reg) { return at<std::uint32_t>(platform::kBar0 + reg); }
inline void write(std::uint64_t reg, std::uint32_t value) {
  at<std::uint32_t>(platform::kBar0 + reg) = value;
}

}  // namespace direct

using ReadRegister = std::uint32_t (*)(std::uint64_t);
using WriteRegister = void (*)(std::uint64_t, std::uint32_t);

// One copy of a page. `window` is what the CPU adds to the three addresses that
// the device uses as they are.
inline bool copy_page(ReadRegister read, WriteRegister write, std::uint64_t ring,
                      std::uint64_t window, bool trusted) {
  const std::uint64_t source = ring + kPage;
  const std::uint64_t destination = ring + 2 * kPage;
  for (std::uint64_t i = 0; i < kPage; i += 8) {
    at<std::uint64_t>(window + source + i) = 0x0101'0101'0101'0101 * (i & 0xff) + ring;
    at<std::uint64_t>(window + destination + i) = 0;
  }
  const std::uint64_t slot = window + ring;
  at<std::uint32_t>(slot) = trusted ? dma::kTrusted : 0;
  at<std::uint32_t>(slot + 4) = kPage;
  at<std::uint64_t>(slot + 8) = source;
  at<std::uint64_t>(slot + 16) = destination;
  at<std::uint64_t>(slot + 24) = 0;

  write(dma::kControl, dma::kReset);
  write(dma::kRingBaseLow, static_cast<std::uint32_t>(ring));
  write(dma::kRingBaseHigh, static_cast<std::uint32_t>(ring >> 32));
  write(dma::kRingSize, 2);
  write(dma::kRingControl, trusted ? 1 : 0);
  write(dma::kControl, dma::kEnable);
  write(dma::kDoorbell, 1);

  if (read(dma::kErrorCode) != 0 || read(dma::kCompleted) != 1) return false;
  if (at<std::uint32_t>(slot + 24) != dma::kDone) return false;
  for (std::uint64_t i = 0; i < kPage; i += 8) {
    if (at<std::uint64_t>(window + destination + i) != at<std::uint64_t>(window + source + i))
      return false;
  }
  return true;
}

inline void use_privately(std::uint64_t scratch) {
  require(direct::read(dma::kId) == dma::kIdValue, kPrivateMmio);
  at<std::uint64_t>(platform::kBar2 + 0x100) = 0x5ec7e7;
  require(at<std::uint64_t>(platform::kBar2 + 0x100) == 0x5ec7e7, kPrivateMmio);
  say("private MMIO answers");
  require(copy_page(&direct::read, &direct::write, scratch, 0, true), kPrivateDma);
  say("trusted DMA copied a private page");
}

inline void use_shared() {
  emulated::enable();
  require(emulated::read(dma::kId) == dma::kIdValue, kSharedAgain);
  require(copy_page(&emulated::read, &emulated::write, platform::kSharedRam + 4 * kPage,
                    kSharedWindow, false),
          kSharedAgain);
  say("shared DMA copied a shared page");
}
