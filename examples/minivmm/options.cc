#include "options.h"

#include <getopt.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <stdexcept>

const char* const kUsage =
    R"(usage: minivmm [options]
Assigns a PCIe function to a confidential VM, lets the guest take it into its
trust and use it, and takes it back. Exit status: 0 when the guest said so.

  --abi=teeio|iommufd-v7      the series whose calls are made (default teeio): a machine
                              file's abi. In v7 making the vDEVICE binds, its end unbinds
  --bind=vfio|iommufd|guest   who is asked to bind (default iommufd; not in v7)
  --close-order=A,B,C         order of closing vfio, iommufd and vm at the end
  --no-unbind                 close everything while the device is bound
  --fresh-evidence            the guest has the device measured with its own nonce,
                              and bound anew: firmware answers for what it had at bind
  --root=FILE                 the guest verifies the evidence's signatures, up to this root
                              of its owner's (DER; P-384 and SHA-384)
  --evidence-file=FILE        write the device's evidence, for `teeio evidence`
  --report-file=FILE          write its interface report (cca; on tdx only the guest has it)
  --token-file=FILE           cca: write the realm's attestation token, for `teeio evidence`
  --spoil-evidence            change a byte of the evidence on its way to the guest, which
                              must give the device up
  --invalidate-dma            tdx: the guest has the IOMMU forget its translations once, and
                              waits until it is told (TDG.IQ.INV.REQUEST)
  --rhi-continue              cca: begin the realm's calls about its device, and do each when the
                              realm asks to continue; it may abort one before
  --device=BDF                which function (default: the first with a TSM)
  --two-vfs                   two VFs in two VMs, both bound at a time
  --die-at=N                  kill this process before step N
  --die-signal=NAME|NUMBER    by which signal (default KILL)
  --arch=tdx|cca|sev          kind of VM (default tdx)
  --vm-type=N                 argument of KVM_CREATE_VM
  --list-steps                print the steps and their numbers
  --help
)";

namespace {

enum Option {
  kAbi = 256,
  kBind,
  kCloseOrder,
  kNoUnbind,
  kFreshEvidence,
  kRoot,
  kEvidenceFile,
  kReportFile,
  kTokenFile,
  kSpoilEvidence,
  kInvalidateDma,
  kRhiContinue,
  kDevice,
  kTwoVfs,
  kDieAt,
  kDieSignal,
  kArch,
  kVmType,
  kListSteps,
  kHelp
};

template <class T>
T choose(const std::string& text, const char* option, const std::map<std::string, T>& choices) {
  if (const auto at = choices.find(text); at != choices.end()) return at->second;
  std::string allowed;
  for (const auto& [name, value] : choices) allowed += (allowed.empty() ? "" : ", ") + name;
  throw std::invalid_argument("--" + std::string(option) + "=" + text + ": allowed are " + allowed);
}

unsigned long number(const std::string& text, const char* option) {
  std::size_t end = 0;
  unsigned long value = 0;
  try {
    value = std::stoul(text, &end, 0);
  } catch (const std::exception&) {
    end = 0;
  }
  if (end != text.size() || text.empty())
    throw std::invalid_argument("--" + std::string(option) + "=" + text + ": not a number");
  return value;
}

std::vector<Closing> close_order(const std::string& text) {
  std::vector<Closing> order;
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t to = std::min(text.find(',', from), text.size());
    order.push_back(choose<Closing>(
        text.substr(from, to - from), "close-order",
        {{"vfio", Closing::kVfio}, {"iommufd", Closing::kIommufd}, {"vm", Closing::kVm}}));
    from = to + 1;
  }
  std::vector<Closing> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  if (sorted != std::vector{Closing::kVfio, Closing::kIommufd, Closing::kVm})
    throw std::invalid_argument("--close-order=" + text + ": name vfio, iommufd and vm once each");
  return order;
}

int signal_number(const std::string& text) {
  const std::map<std::string, int> names = {{"KILL", SIGKILL}, {"TERM", SIGTERM}, {"ABRT", SIGABRT},
                                            {"SEGV", SIGSEGV}, {"INT", SIGINT},   {"HUP", SIGHUP}};
  if (const auto at = names.find(text); at != names.end()) return at->second;
  return static_cast<int>(number(text, "die-signal"));
}

void check_v7(Options& options, bool names_door) {
  if (names_door)
    throw std::invalid_argument("--bind: not with --abi=iommufd-v7: making the vDEVICE binds");
  if (options.arch == Arch::kSev)
    throw std::invalid_argument(
        "--arch=sev: not with --abi=iommufd-v7: its requests carry no message of an SNP guest's");
  if (!options.evidence_file.empty() && options.arch == Arch::kCca)
    throw std::invalid_argument(
        "--evidence-file: not with --abi=iommufd-v7 --arch=cca: its objects are apart");
  options.door = Door::kVdevice;
}

}  // namespace

Options parse_options(int argc, char** argv) {
  static const option kOptions[] = {{"abi", required_argument, nullptr, kAbi},
                                    {"bind", required_argument, nullptr, kBind},
                                    {"close-order", required_argument, nullptr, kCloseOrder},
                                    {"no-unbind", no_argument, nullptr, kNoUnbind},
                                    {"fresh-evidence", no_argument, nullptr, kFreshEvidence},
                                    {"root", required_argument, nullptr, kRoot},
                                    {"evidence-file", required_argument, nullptr, kEvidenceFile},
                                    {"report-file", required_argument, nullptr, kReportFile},
                                    {"token-file", required_argument, nullptr, kTokenFile},
                                    {"spoil-evidence", no_argument, nullptr, kSpoilEvidence},
                                    {"invalidate-dma", no_argument, nullptr, kInvalidateDma},
                                    {"rhi-continue", no_argument, nullptr, kRhiContinue},
                                    {"device", required_argument, nullptr, kDevice},
                                    {"two-vfs", no_argument, nullptr, kTwoVfs},
                                    {"die-at", required_argument, nullptr, kDieAt},
                                    {"die-signal", required_argument, nullptr, kDieSignal},
                                    {"arch", required_argument, nullptr, kArch},
                                    {"vm-type", required_argument, nullptr, kVmType},
                                    {"list-steps", no_argument, nullptr, kListSteps},
                                    {"help", no_argument, nullptr, kHelp},
                                    {nullptr, 0, nullptr, 0}};
  Options options;
  bool names_door = false;
  for (int found; (found = getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    const std::string text = optarg == nullptr ? "" : optarg;
    switch (found) {
      case kAbi:
        options.abi = choose<Abi>(text, "abi", {{"teeio", Abi::kTeeio}, {"iommufd-v7", Abi::kV7}});
        break;
      case kBind:
        names_door = true;
        options.door = choose<Door>(
            text, "bind",
            {{"vfio", Door::kVfio}, {"iommufd", Door::kIommufd}, {"guest", Door::kGuest}});
        break;
      case kCloseOrder:
        options.close_order = close_order(text);
        break;
      case kNoUnbind:
        options.unbind = false;
        break;
      case kFreshEvidence:
        options.fresh_evidence = true;
        break;
      case kRoot:
        options.root = text;
        break;
      case kEvidenceFile:
        options.evidence_file = text;
        break;
      case kReportFile:
        options.report_file = text;
        break;
      case kTokenFile:
        options.token_file = text;
        break;
      case kSpoilEvidence:
        options.spoil_evidence = true;
        break;
      case kInvalidateDma:
        options.invalidate_dma = true;
        break;
      case kRhiContinue:
        options.rhi_continue = true;
        break;
      case kDevice:
        options.device = text;
        break;
      case kTwoVfs:
        options.two_vfs = true;
        break;
      case kDieAt:
        options.die_at = static_cast<int>(number(text, "die-at"));
        break;
      case kDieSignal:
        options.die_signal = signal_number(text);
        break;
      case kArch:
        options.arch = choose<Arch>(
            text, "arch", {{"tdx", Arch::kTdx}, {"cca", Arch::kCca}, {"sev", Arch::kSev}});
        break;
      case kVmType:
        options.vm_type = number(text, "vm-type");
        break;
      case kListSteps:
        options.list_steps = true;
        break;
      case kHelp:
        options.help = true;
        break;
      default:
        throw std::invalid_argument("see --help");
    }
  }
  if (!options.report_file.empty() && options.arch != Arch::kCca)
    throw std::invalid_argument(
        "--report-file: with --arch=cca only: else the report goes to the guest");
  if (!options.evidence_file.empty() && options.arch == Arch::kSev)
    throw std::invalid_argument("--evidence-file: not with --arch=sev");
  if (!options.token_file.empty() && options.arch != Arch::kCca)
    throw std::invalid_argument("--token-file: with --arch=cca only");
  if (options.rhi_continue && options.arch != Arch::kCca)
    throw std::invalid_argument("--rhi-continue: with --arch=cca only");
  if (options.invalidate_dma && options.arch != Arch::kTdx)
    throw std::invalid_argument("--invalidate-dma: with --arch=tdx only");
  if (optind != argc) throw std::invalid_argument("no arguments are taken; see --help");
  if (options.abi == Abi::kV7) check_v7(options, names_door);
  return options;
}
