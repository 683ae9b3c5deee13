// What KVM_RUN comes back with, and what this VMM does about it.
#include <linux/teeio_proposed.h>

#include <cstdio>
#include <cstring>

#include "../guest/platform.h"
#include "files.h"
#include "session.h"
#include "steps.h"

namespace {

constexpr std::uint64_t kMapGpaRange = 12;           // KVM_HC_MAP_GPA_RANGE
constexpr std::uint64_t kMapGpaEncrypted = 1U << 4;  // KVM_MAP_GPA_RANGE_ENCRYPTED
constexpr std::uint64_t kVmcallSuccess = 0;
constexpr std::uint64_t kVmcallFailed = 1ULL << 63;

bool inside(std::uint64_t address, std::uint64_t start, std::uint64_t size) {
  return address >= start && address - start < size;
}

}  // namespace

Session::Next Session::run_once() {
  const int error = vm_->run();
  kvm_run& state = vm_->state();
  if (error == EINTR) return Next::kContinue;
  if (error != 0 && !(error == EFAULT && state.exit_reason == KVM_EXIT_MEMORY_FAULT))
    fail("KVM_RUN", error);
  switch (state.exit_reason) {
    case KVM_EXIT_IO:
      return on_io();
    case KVM_EXIT_MMIO:
      if (options_.arch == Arch::kCca && state.mmio.is_write != 0 &&
          inside(state.mmio.phys_addr, platform::kPorts, platform::kPage)) {
        std::uint32_t value = 0;
        std::memcpy(&value, state.mmio.data, sizeof value);
        return on_port((state.mmio.phys_addr - platform::kPorts) / 16, value);
      }
      on_mmio();
      return Next::kContinue;
    case KVM_EXIT_HYPERCALL:
      options_.arch == Arch::kCca ? on_host_call() : on_hypercall();
      return Next::kContinue;
    case KVM_EXIT_ARM64_TIO:
      on_device_mapping();
      return Next::kContinue;
    case KVM_EXIT_MEMORY_FAULT:
      on_memory_fault();
      return Next::kContinue;
    case KVM_EXIT_TDX:
      // KVM_EXIT_VMGEXIT as posted has the same number.
      options_.arch == Arch::kSev ? on_vmgexit() : on_tdx();
      return Next::kContinue;
    case KVM_EXIT_HLT:
      return Next::kEnd;
    default:
      std::fprintf(stderr, "minivmm: %sguest stopped with exit reason %u\n", prefix_.c_str(),
                   state.exit_reason);
      return Next::kEnd;
  }
}

Session::Next Session::on_io() {
  const auto& io = vm_->state().io;
  std::uint32_t value = 0;
  const auto* const data = reinterpret_cast<const unsigned char*>(&vm_->state()) + io.data_offset;
  std::memcpy(&value, data, io.size);
  return io.direction == KVM_EXIT_IO_OUT ? on_port(io.port, value) : Next::kContinue;
}

// A realm's stores have the lower byte of the port alone.
Session::Next Session::on_port(std::uint64_t port, std::uint32_t value) {
  switch (port) {
    case platform::kPortConsole:
    case platform::kPortConsole & 0xff:
      print_console(value);
      return Next::kContinue;
    case platform::kPortCheckpoint:
      begin(Step::kUseEnds, prefix_);
      return Next::kCheckpoint;
    case platform::kPortExit:
      exit_code_ = value;
      return Next::kEnd;
    default:
      return Next::kContinue;
  }
}

// The guest's text is the guest's: printable characters of it go out.
void Session::print_console(std::uint64_t length) {
  const auto page = ram_.bytes().subspan(platform::kConsole, platform::kPage);
  std::string line;
  for (std::size_t i = 0; i < length && i < page.size(); ++i) {
    const int character = std::to_integer<unsigned char>(page[i]);
    line.push_back(character >= ' ' && character <= '~' ? static_cast<char>(character) : '.');
  }
  std::printf("%s   guest: %s\n", prefix_.c_str(), line.c_str());
  std::fflush(stdout);
}

// The guest's view of configuration space is the device's own; a real VMM would
// emulate the BARs and capabilities that it moves.
void Session::on_mmio() {
  auto& mmio = vm_->state().mmio;
  const Region* region = nullptr;
  std::uint64_t offset = 0;
  if (inside(mmio.phys_addr, platform::kConfigSpace, platform::kPage)) {
    region = &device_->config();
    offset = mmio.phys_addr - platform::kConfigSpace;
  } else if (inside(mmio.phys_addr, platform::kBar0, device_->bar(0).size)) {
    region = &device_->bar(0);
    offset = mmio.phys_addr - platform::kBar0;
  }
  std::uint64_t value = ~0ULL;
  if (mmio.is_write != 0) {
    std::memcpy(&value, mmio.data, sizeof mmio.data);
    if (region != nullptr) device_->write(*region, offset, mmio.len, value);
    return;
  }
  if (region != nullptr) value = device_->read(*region, offset, mmio.len);
  std::memcpy(mmio.data, &value, sizeof mmio.data);
}

void Session::on_hypercall() {
  auto& call = vm_->state().hypercall;
  call.ret = kVmcallFailed;
  if (call.nr != kMapGpaRange) return;
  vm_->set_private(call.args[0], call.args[1] * platform::kPage,
                   (call.args[2] & kMapGpaEncrypted) != 0);
  call.ret = kVmcallSuccess;
}

// The guest uses a page the other way than KVM thinks: believe the guest.
void Session::on_memory_fault() {
  const auto& fault = vm_->state().memory_fault;
  vm_->set_private(fault.gpa, fault.size, (fault.flags & KVM_MEMORY_EXIT_FLAG_PRIVATE) != 0);
}

// R12 and R13 of the guest come as the first two words.
void Session::on_tdx() {
  auto& tdx = vm_->state().tdx;
  const std::uint64_t function = tdx.unknown.data[0];
  tdx.unknown.ret = function == function_.requester_id() ? tdi_request(tdx.nr, tdx.unknown.data[1])
                                                         : kVmcallFailed;
}

// A host that lies.
void Session::spoil(std::vector<unsigned char>& evidence) const {
  if (options_.spoil_evidence && !evidence.empty()) evidence[evidence.size() / 2] ^= 1;
}

// The host may hold evidence back or change it: the guest asks firmware.
int Session::bring_evidence(bool fresh) {
  std::byte* const place = ram_.bytes().data() + platform::kEvidence;
  platform::EvidencePage page{};
  std::memcpy(&page, place, sizeof page);
  std::vector<unsigned char> evidence;
  const unsigned char* const nonce = fresh ? page.nonce : nullptr;
  if (const int error = device_->read_evidence(options_.arch, nonce, evidence); error != 0)
    return error;
  if (!options_.evidence_file.empty()) write_file(options_.evidence_file, evidence);
  spoil(evidence);
  if (evidence.size() > platform::kMostEvidence) return E2BIG;
  page.size = evidence.size();
  std::memcpy(place, &page, sizeof page);
  std::memcpy(place + sizeof page, evidence.data(), evidence.size());
  return 0;
}

std::uint64_t Session::tdi_request(std::uint64_t request, std::uint64_t argument) {
  const auto answer = [](int error) { return error == 0 ? kVmcallSuccess : kVmcallFailed; };
  switch (request) {
    case platform::kTdiBind:
      return answer(bind());
    case platform::kTdiUnbind:
      return answer(unbind());
    case platform::kTdiEvidence:
      begin(Step::kReport, prefix_);
      return answer(bring_evidence(argument == platform::kFreshEvidence));
    case platform::kTdiRelay:
      switch (argument) {
        case platform::kTdispGetReport:
          begin(Step::kReport, prefix_);
          return answer(device_->relay_report(options_.arch));
        case platform::kTdispGetState:
          return answer(device_->relay_state(options_.arch));
        case platform::kTdispStart:
          begin(Step::kStart, prefix_);
          return answer(device_->set_tdi_state(options_.arch, Device::TdiState::kRun));
        default:
          return kVmcallFailed;
      }
    default:
      return kVmcallFailed;
  }
}
