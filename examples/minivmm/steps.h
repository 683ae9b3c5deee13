#pragma once

#include <cstddef>
#include <string_view>

// The life of a private device, in order. A step is announced on standard
// output when it begins; with --die-at the process ends there instead.
enum class Step {
  kConnect = 1,
  kOpen,
  kCreateVm,
  kInitTd,
  kGuestMemory,
  kAssociate,
  kBindIommufd,
  kSharedDma,
  kVdevice,
  kExport,
  kLoadGuest,
  kRun,
  kLockOut,
  kBind,
  kPrivateSlots,
  kReport,
  kStart,
  kUseEnds,
  kUnbind,
  kSharedSlots,
  kGuestEnds,
  kCloseFirst,
  kCloseSecond,
  kCloseThird,
  kDone,
};

std::string_view describe(Step step);
void list_steps();

// Sets what begin() does; `prefix` tells two VMs apart.
void die_at(int step, int signal);
void begin(Step step, std::string_view prefix);
