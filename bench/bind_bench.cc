// bind + unbind of one TDI while N TDIs of the machine are bound, on each vendor, through the
// system calls of an in-process machine: the time must not grow with N, nor differ much from
// TDX's. All machines are made first and then measured in turns, so that whatever else the
// computer does meets each of them alike; the shortest turn counts, in CPU time.

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "explore/scenario/vendor.h"
#include "machine/config.h"
#include "machine/machine.h"

namespace teeio {
namespace {

constexpr unsigned kVfsPerCard = 120;
constexpr std::uint64_t kWindowBytes = 256ULL << 20U;
constexpr unsigned kTdis[] = {10, 100, 1'000, 10'000};
constexpr unsigned kTurns = 60;
constexpr unsigned kPairsPerTurn = 25;

/// A vendor, and how its host binds where that differs.
struct Row {
  std::string_view name;
  machine::TsmKind tsm;
  std::string_view settings;
};
constexpr Row kRows[] = {
    {"TDX", machine::TsmKind::kTdx, "tsm = \"tdx\"\n"},
    {"CCA, locked by the guest", machine::TsmKind::kCca, "tsm = \"cca\"\n"},
    {"CCA, locked at bind", machine::TsmKind::kCca, "tsm = \"cca\"\ncca_bind = \"locked\"\n"},
    {"SEV", machine::TsmKind::kSev, "tsm = \"sev\"\n"}};

double cpu_us() {
  timespec now{};
  (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

[[noreturn]] void die(std::string_view step, std::string_view why) {
  fmt::print(stderr, "bind_bench: {}: {}\n", step, why);
  std::exit(1);
}

void must(std::string_view step, const Result<void>& result) {
  if (!result) die(step, result.error().why);
}

/// A machine with that many VFs, each card behind its own root port.
std::string machine_with(unsigned tdis, std::string_view settings) {
  std::string text = fmt::format("name = \"bench\"\nmemory_mib = 65536\n{}", settings);
  const unsigned cards = (tdis + kVfsPerCard - 1) / kVfsPerCard;
  for (unsigned i = 0; i < cards; ++i) {
    const std::uint64_t window = 0x380000000000ULL + i * kWindowBytes;
    const unsigned vfs = std::min(kVfsPerCard, tdis - i * kVfsPerCard);
    text += fmt::format(
        "[[root_port]]\nbdf = \"0000:00:{:02x}.{}\"\nbus = {}\nwindow = {:#x}\nwindow_mib = 256\n"
        "ide_streams = 1\ntee_io = true\n",
        1 + i / 8, i % 8, i + 1, window);
    text += fmt::format(
        "[[card]]\nmodel = \"dma-engine\"\nbdf = \"0000:{:02x}:00.0\"\nwindow = {:#x}\nvfs = {}\n",
        i + 1, window, vfs);
  }
  return text;
}

/// A VMM with every VF of its machine, all given to one VM and bound, but for the first.
class Host {
 public:
  Host(const Row& row, unsigned tdis) {
    const auto config = machine::parse_config(machine_with(tdis, row.settings), "bench");
    if (!config) die("machine file", config.error());
    auto made = machine::Machine::create(*config);
    if (!made) die("machine", made.error().why);
    machine_ = std::move(*made);
    must("connect", machine_->connect_cards());
    vmm_ = std::make_unique<explore::Vmm>(*machine_);
    must("VM", vmm_->make_vm(explore::vendor_of(row.tsm).vm_type));
    for (unsigned vf = 0; vf < tdis; ++vf) add(vf);
    for (unsigned vf = 1; vf < tdis; ++vf) bind(vf);
  }
  ~Host() {
    const object::DelayedPuts puts;
    vmm_.reset();
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  /// A turn: µs of bind + unbind.
  double turn() {
    const double begin = cpu_us();
    for (unsigned n = 0; n < kPairsPerTurn; ++n) {
      bind(0);
      must("unbind", vmm_->iommufd_op(abi::IOMMU_VDEVICE_TSM_UNBIND, vdevices_[0]));
    }
    return (cpu_us() - begin) / kPairsPerTurn;
  }

 private:
  void add(unsigned vf) {
    // PF0 of each card is a vfio device as well: skip it in the numbering.
    const auto fd = vmm_->open(fmt::format("/dev/vfio/devices/vfio{}", vf + vf / kVfsPerCard + 1));
    if (!fd) die("open", fd.error().why);
    vmm_->vfio = *fd;
    must("FILE_ADD", vmm_->associate());
    must("BIND_IOMMUFD", vmm_->bind_iommufd());
    if (vf == 0) must("vIOMMU", vmm_->make_viommu());
    must("vDEVICE", vmm_->make_vdevice(vf));
    vdevices_.push_back(vmm_->vdevice_id);
    must("close", vmm_->close(vmm_->vfio));  // KVM's VFIO device holds the file
  }
  void bind(unsigned vf) {
    must("bind", vmm_->iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND, vdevices_[vf]));
  }

  std::unique_ptr<machine::Machine> machine_;
  std::unique_ptr<explore::Vmm> vmm_;
  std::vector<std::uint32_t> vdevices_;
};

/// One machine, and its shortest turn.
struct Measured {
  std::unique_ptr<Host> host;
  double us = 0;
};

int measure() {
  std::vector<std::vector<Measured>> all;
  for (const Row& row : kRows) {
    all.emplace_back();
    for (const unsigned tdis : kTdis)
      all.back().push_back({.host = std::make_unique<Host>(row, tdis)});
  }
  for (unsigned turn = 0; turn < kTurns; ++turn)
    for (std::vector<Measured>& row : all)
      for (Measured& cell : row) {
        const double us = cell.host->turn();
        if (turn == 0 || us < cell.us) cell.us = us;
      }

  fmt::print("bind + unbind, µs of CPU time (× TDX's of the same run), N TDIs bound\n{:26}", "N");
  for (const unsigned tdis : kTdis) fmt::print("{:>16}", tdis);
  fmt::print("{:>14}\n", "10,000 : 10");
  for (std::size_t row = 0; row < all.size(); ++row) {
    fmt::print("{:26}", kRows[row].name);
    for (std::size_t n = 0; n < all[row].size(); ++n)
      fmt::print("{:>8.0f} ({:.2f} ×)", all[row][n].us, all[row][n].us / all[0][n].us);
    fmt::print("{:>12.2f} ×\n", all[row].back().us / all[row].front().us);
  }
  return 0;
}

}  // namespace
}  // namespace teeio

int main() { return teeio::measure(); }
