#include "tdx.h"

#include "host.h"
#include "platform.h"

namespace tdx {
namespace {

// Leaves.
constexpr std::uint64_t kVmcall = 0;
constexpr std::uint64_t kMrRtmrExtend = 2;
constexpr std::uint64_t kMrReport = 4;
constexpr std::uint64_t kMemPageAccept = 6;
constexpr std::uint64_t kMrVerifyReport = 22;
constexpr std::uint64_t kDevifValidate = 66;
constexpr std::uint64_t kDevifRequest = 68;
constexpr std::uint64_t kDevifResponse = 69;
constexpr std::uint64_t kDmarAccept = 70;
constexpr std::uint64_t kMmioAccept = 71;
constexpr std::uint64_t kIqInvRequest = 72;

// Sub-functions of TDG.VP.VMCALL (GHCI specification).
constexpr std::uint64_t kIo = 30;
constexpr std::uint64_t kMmio = 48;
constexpr std::uint64_t kMapGpa = 0x10001;
constexpr std::uint64_t kPassR10ToR15 = 0xfc00;

std::uint64_t leaf(std::uint64_t number, std::uint64_t rcx, std::uint64_t rdx = 0) {
  TdcallRegisters r{};
  r.rax = number;
  r.rcx = rcx;
  r.rdx = rdx;
  tdcall(&r);
  return r.rax;
}

TdcallRegisters call(std::uint64_t function, std::uint64_t r12, std::uint64_t r13,
                     std::uint64_t r14, std::uint64_t r15) {
  TdcallRegisters r{};
  r.rax = kVmcall;
  r.rcx = kPassR10ToR15;
  r.r11 = function;
  r.r12 = r12;
  r.r13 = r13;
  r.r14 = r14;
  r.r15 = r15;
  tdcall(&r);
  return r;
}

}  // namespace

std::uint64_t accept_page(std::uint64_t gpa) { return leaf(kMemPageAccept, gpa); }

std::uint64_t extend_rtmr(std::uint64_t data, std::uint64_t index) {
  return leaf(kMrRtmrExtend, data, index);
}

std::uint64_t make_report(std::uint64_t report, std::uint64_t data) {
  return leaf(kMrReport, report, data);
}

std::uint64_t verify_report(std::uint64_t report) { return leaf(kMrVerifyReport, report); }

std::uint64_t devif_validate(std::uint32_t function, const DeviceHash& hash) {
  TdcallRegisters r{};
  r.rax = kDevifValidate;
  r.rcx = function;
  r.rdx = hash.words[0];
  r.r8 = hash.words[1];
  r.r9 = hash.words[2];
  r.r10 = hash.words[3];
  r.r11 = hash.words[4];
  r.r12 = hash.words[5];
  tdcall(&r);
  return r.rax;
}

std::uint64_t devif_request(std::uint32_t function, std::uint64_t code) {
  return leaf(kDevifRequest, function, code);
}

std::uint64_t devif_response(std::uint32_t function, std::uint64_t buffer_gpa,
                             std::uint64_t& state) {
  constexpr unsigned kState = 8;
  TdcallRegisters r{};
  r.rax = kDevifResponse;
  r.rcx = function;
  r.rdx = buffer_gpa;
  tdcall(&r);
  state = r.rcx >> kState & 0xffU;
  return r.rax;
}

std::uint64_t mmio_accept(std::uint64_t gpa, std::uint64_t handle) {
  return leaf(kMmioAccept, gpa, handle);
}

std::uint64_t dmar_accept(std::uint32_t function) { return leaf(kDmarAccept, function); }

std::uint64_t iq_inv_request(std::uint64_t count, std::uint64_t page_gpa) {
  return leaf(kIqInvRequest, count, page_gpa);
}

std::uint64_t vmcall(std::uint64_t function, std::uint64_t r12, std::uint64_t r13) {
  return call(function, r12, r13, 0, 0).r10;
}

std::uint64_t map_shared(std::uint64_t gpa, std::uint64_t size) {
  return call(kMapGpa, gpa | platform::kSharedBit, size, 0, 0).r10;
}

}  // namespace tdx

namespace host {

void port_out(std::uint16_t port, unsigned size, std::uint64_t value) {
  tdx::call(tdx::kIo, size, 1, port, value);
}

std::uint64_t mmio_read(std::uint64_t gpa, unsigned size) {
  return tdx::call(tdx::kMmio, size, 0, gpa | platform::kSharedBit, 0).r11;
}

void mmio_write(std::uint64_t gpa, unsigned size, std::uint64_t value) {
  tdx::call(tdx::kMmio, size, 1, gpa | platform::kSharedBit, value);
}

void wait() { asm volatile("hlt"); }

}  // namespace host
