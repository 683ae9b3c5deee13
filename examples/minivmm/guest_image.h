#pragma once

#include <cstddef>
#include <span>

// examples/guest, as its linker script lays it out: whole pages for
// platform::kImage, and after them the one for platform::kResetPage.
extern "C" const std::byte guest_image_start[];
extern "C" const std::byte guest_image_end[];

inline std::span<const std::byte> guest_image() { return {guest_image_start, guest_image_end}; }

// The same for an SNP guest, which needs no reset page.
extern "C" const std::byte snp_guest_image_start[];
extern "C" const std::byte snp_guest_image_end[];

inline std::span<const std::byte> snp_guest_image() {
  return {snp_guest_image_start, snp_guest_image_end};
}

// And for a realm: AArch64 instructions.
extern "C" const std::byte realm_guest_image_start[];
extern "C" const std::byte realm_guest_image_end[];

inline std::span<const std::byte> realm_guest_image() {
  return {realm_guest_image_start, realm_guest_image_end};
}
