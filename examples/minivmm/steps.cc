#include "steps.h"

#include <csignal>
#include <cstdio>

namespace {
int deadly_step = 0;
int deadly_signal = SIGKILL;
}  // namespace

std::string_view describe(Step step) {
  switch (step) {
    case Step::kConnect:
      return "connect the device's TSM";
    case Step::kOpen:
      return "open iommufd and the VFIO device";
    case Step::kCreateVm:
      return "create the VM";
    case Step::kInitTd:
      return "initialise the confidential VM";
    case Step::kGuestMemory:
      return "give it memory";
    case Step::kAssociate:
      return "add the VFIO file to the VM";
    case Step::kBindIommufd:
      return "bind VFIO to the iommufd";
    case Step::kSharedDma:
      return "set up shared DMA";
    case Step::kVdevice:
      return "allocate the vIOMMU, and the vDEVICE unless that binds";
    case Step::kExport:
      return "export the BARs as memslots";
    case Step::kLoadGuest:
      return "load, measure and finalise the guest";
    case Step::kRun:
      return "run the guest";
    case Step::kLockOut:
      return "guest asks to bind: drop shared BAR mappings";
    case Step::kBind:
      return "bind the TDI";
    case Step::kPrivateSlots:
      return "export the BARs again, as private memslots";
    case Step::kReport:
      return "relay the guest's report request";
    case Step::kStart:
      return "relay the guest's start request";
    case Step::kUseEnds:
      return "guest has used the device";
    case Step::kUnbind:
      return "unbind the TDI";
    case Step::kSharedSlots:
      return "export the BARs again, as shared memslots";
    case Step::kGuestEnds:
      return "guest is done";
    case Step::kCloseFirst:
      return "close, first";
    case Step::kCloseSecond:
      return "close, second";
    case Step::kCloseThird:
      return "close, third";
    case Step::kDone:
      return "all closed";
  }
  return "?";
}

void list_steps() {
  for (int step = 1; step <= static_cast<int>(Step::kDone); ++step) {
    const std::string_view text = describe(static_cast<Step>(step));
    std::printf("%2d %.*s\n", step, static_cast<int>(text.size()), text.data());
  }
}

void die_at(int step, int signal) {
  deadly_step = step;
  deadly_signal = signal;
}

void begin(Step step, std::string_view prefix) {
  const int number = static_cast<int>(step);
  if (number == deadly_step) std::raise(deadly_signal);
  const std::string_view text = describe(step);
  std::printf("%.*s%2d %.*s\n", static_cast<int>(prefix.size()), prefix.data(), number,
              static_cast<int>(text.size()), text.data());
  std::fflush(stdout);
}
