// TDCALL as this guest uses it. Leaf numbers: TDX module ABI specification, and
// for devices the public tdxio branch of intel/tdx-module.
#pragma once

#include <cstdint>

struct TdcallRegisters {
  std::uint64_t rax, rcx, rdx, r8, r9, r10, r11, r12, r13, r14, r15, rbx, rdi;
};
extern "C" void tdcall(TdcallRegisters* registers);

namespace tdx {

// Each gives the completion status: 0 is success, bit 63 an error.
std::uint64_t accept_page(std::uint64_t gpa);
// What the guest measures itself by: 48 bytes at `data`; TDREPORT_STRUCT at `report` with 64.
std::uint64_t extend_rtmr(std::uint64_t data, std::uint64_t index);
std::uint64_t make_report(std::uint64_t report, std::uint64_t data);
std::uint64_t verify_report(std::uint64_t report);

// Devices (TDG.DEVIF.*, TDG.MMIO.ACCEPT, TDG.DMAR.ACCEPT).
struct DeviceHash {
  std::uint64_t words[6];
};
std::uint64_t devif_validate(std::uint32_t function, const DeviceHash& hash);
// A report comes portion by portion, each of them once after the device was locked.
std::uint64_t devif_request(std::uint32_t function, std::uint64_t code);
// `state`: the TDI's, as the answer has it.
std::uint64_t devif_response(std::uint32_t function, std::uint64_t buffer_gpa,
                             std::uint64_t& state);
std::uint64_t mmio_accept(std::uint64_t gpa, std::uint64_t handle);
std::uint64_t dmar_accept(std::uint32_t function);
// Invalidations by IOMMUs: `count` descriptors of a queue (VT-d 6.5.2) in the page at `page_gpa`.
std::uint64_t iq_inv_request(std::uint64_t count, std::uint64_t page_gpa);

// TDG.VP.VMCALL: words for the VMM. Each gives R10.
std::uint64_t vmcall(std::uint64_t function, std::uint64_t r12, std::uint64_t r13);
std::uint64_t map_shared(std::uint64_t gpa, std::uint64_t size);

}  // namespace tdx
