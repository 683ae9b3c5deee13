#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/check.h"

namespace teeio::fuzz {

/// One input. Each target defines it.
void run(ByteView input);

}  // namespace teeio::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer calls it by this name.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  teeio::fuzz::run(std::as_bytes(std::span(data, size)));
  return 0;
}
