#pragma once

#include <string>
#include <vector>

// The posted series whose calls are made: machine files' abi = "teeio" or "iommufd-v7".
enum class Abi { kTeeio, kV7 };
// Who is asked to bind and unbind; in v7 a vDEVICE is bound from its making to its end.
enum class Door { kVfio, kIommufd, kGuest, kVdevice };
enum class Arch { kTdx, kCca, kSev };
enum class Closing { kVfio, kIommufd, kVm };

struct Options {
  Abi abi = Abi::kTeeio;
  Door door = Door::kIommufd;
  Arch arch = Arch::kTdx;
  std::vector<Closing> close_order = {Closing::kVfio, Closing::kIommufd, Closing::kVm};
  bool unbind = true;
  bool fresh_evidence = false;
  bool two_vfs = false;
  int die_at = 0;  // a step's number; 0 is never
  int die_signal = 9;
  std::string device;           // "0000:01:00.0"; empty: the first that has a TSM
  unsigned long vm_type = 0;    // 0: the architecture's
  std::string root;             // of the guest's owner: a certificate, DER; empty: none
  std::string evidence_file;    // where the device's evidence goes, as it was read
  std::string report_file;      // where its interface report goes
  std::string token_file;       // where a realm's attestation token goes
  bool spoil_evidence = false;  // the VMM changes what it brings to the guest
  bool invalidate_dma = false;  // a TD asks for an invalidation of its own
  bool rhi_continue = false;    // a realm's long calls are done when it asks to continue
  bool list_steps = false;
  bool help = false;
};

// Throws std::invalid_argument.
Options parse_options(int argc, char** argv);
extern const char* const kUsage;
