#include "host/pci_tsm/doe.h"

#include "hw/find_capability.h"
#include "schedule/run_heap.h"
#include "schedule/task.h"

namespace teeio::tsm {
namespace {

// Registers relative to the capability: PCIe Base Spec 7.9.24.
constexpr std::uint16_t kControl = 0x08;
constexpr std::uint16_t kStatus = 0x0c;
constexpr std::uint16_t kWriteMailbox = 0x10;
constexpr std::uint16_t kReadMailbox = 0x14;
constexpr std::uint32_t kControlAbort = 1U << 0U;
constexpr std::uint32_t kControlGo = 1U << 31U;
constexpr std::uint32_t kStatusBusy = 1U << 0U;
constexpr std::uint32_t kStatusError = 1U << 2U;
constexpr std::uint32_t kStatusReady = 1U << 31U;

/// An object has at most 2^18 dwords; ours are far smaller, and a device that
/// claims more is not believed.
constexpr std::size_t kMaxDwords = 0x4000;
/// PCI_DOE_TIMEOUT and PCI_DOE_POLL_INTERVAL of Linux drivers/pci/doe.c.
constexpr std::uint64_t kTimeoutNs = 1'000'000'000;
constexpr unsigned kMaxPolls = 128;
constexpr std::uint64_t kPollIntervalNs = kTimeoutNs / kMaxPolls;

/// The mailbox of one function.
class Mailbox {
 public:
  Mailbox(hw::PciFunction& function, std::uint16_t at) : function_(function), at_(at) {}
  [[nodiscard]] std::uint32_t get(std::uint16_t reg) const {
    return function_.config_read(static_cast<std::uint16_t>(at_ + reg), 4);
  }
  void put(std::uint16_t reg, std::uint32_t value) const {
    function_.config_write(static_cast<std::uint16_t>(at_ + reg), 4, value);
  }
  std::unexpected<Error> abort(std::string_view why) const {
    put(kControl, kControlAbort);
    return fail(Errno::kIo, why);
  }
  /// Waits until `bit` of the status has the wanted value, as long as
  /// doe_statemachine_work() does. A function-level reset may clear the mailbox at
  /// any time, and with it an answer that will then never come: Linux keeps resets
  /// and exchanges apart no better, and its exchange fails when the time is over.
  [[nodiscard]] bool wait(std::uint32_t bit, bool set) const {
    for (unsigned i = 0; i < kMaxPolls; ++i) {
      const std::uint32_t status = get(kStatus);
      if ((status & kStatusError) != 0) return false;
      if (((status & bit) != 0) == set) return true;
      schedule::pause(kPollIntervalNs);
    }
    return false;
  }

 private:
  hw::PciFunction& function_;
  const std::uint16_t at_;
};

/// PCI_DOE_DATA_OBJECT_HEADER_1: vendor and type, of a request and of its answer.
constexpr std::uint32_t kHeaderMask = 0x00ff'ffff;

constinit Meddler* g_meddler = nullptr;  // written while no task runs

/// A scenario's meddler is there again when its machine is.
class MeddlerOfRun final : public schedule::RolledBack {
 public:
  void save() override { saved_ = g_meddler; }
  void go_back() override { g_meddler = saved_; }
  void forget() override {}

 private:
  Meddler* saved_ = nullptr;
};

/// pci_doe_recv_resp(): whether the answer is still there is looked at before its last dword is
/// taken off the mailbox. After a reset all of them read as zero.
Result<Bytes> take_answer(const Mailbox& mailbox, std::uint32_t asked) {
  constexpr std::size_t kHeaderDwords = 2;
  const auto take = [&mailbox] {
    const std::uint32_t dword = mailbox.get(kReadMailbox);
    mailbox.put(kReadMailbox, 0);  // any write takes the dword off the mailbox
    return dword;
  };
  Writer out;
  const std::uint32_t header = mailbox.get(kReadMailbox);
  if ((header & kHeaderMask) != asked)  // an answer to something else is none
    return mailbox.abort("the device's DOE answer is of another protocol");
  mailbox.put(kReadMailbox, 0);
  const std::uint32_t length = take();
  const std::size_t dwords = length & 0x3ffffU;
  if (dwords < kHeaderDwords || dwords > kMaxDwords)
    return mailbox.abort("the device's DOE answer has an impossible length");
  out.le(header).le(length);
  for (std::size_t left = dwords - kHeaderDwords; left > 1; --left) out.le(take());
  if (dwords > kHeaderDwords) {
    out.le(mailbox.get(kReadMailbox));
    if ((mailbox.get(kStatus) & kStatusReady) == 0)
      return mailbox.abort("the device's DOE answer is shorter than it says");
    mailbox.put(kReadMailbox, 0);
  }
  if ((mailbox.get(kStatus) & kStatusError) != 0)
    return mailbox.abort("the DOE mailbox tells an error behind its answer");
  return out.take();
}

Result<Bytes> carry_object(hw::PciFunction& function, ByteView object) {
  const auto at = hw::find_extended_capability(function, hw::kExtendedDoe);
  if (!at) return fail(Errno::kNxio, "the function has no DOE mailbox");
  const Mailbox mailbox(function, *at);
  if (!mailbox.wait(kStatusBusy, false)) {
    mailbox.put(kControl, kControlAbort);
    if (!mailbox.wait(kStatusBusy, false)) return fail(Errno::kBusy, "the DOE mailbox stays busy");
  }
  Reader in(object);
  for (std::size_t i = 0; i < object.size() / 4; ++i)
    mailbox.put(kWriteMailbox, in.le<std::uint32_t>());
  mailbox.put(kControl, kControlGo);
  if (!mailbox.wait(kStatusReady, true)) return mailbox.abort("the device gave no DOE answer");

  return take_answer(mailbox, Reader(object).le<std::uint32_t>() & kHeaderMask);
}

/// One turn of pci_doe_discovery(): what is at `index`, which becomes the next one.
Result<DoeFeature> discover_one(hw::PciFunction& function, std::uint8_t& index) {
  constexpr std::uint32_t kWords = 3;
  const std::uint32_t header = kDoeDiscovery.vendor | std::uint32_t{kDoeDiscovery.type} << 16U;
  TEEIO_ASSIGN(
      const Bytes answer,
      carry_object(function, Writer().le(header).le(kWords).le(std::uint32_t{index}).take()));
  if (answer.size() != kWords * sizeof(std::uint32_t))
    return fail(Errno::kIo, "a DOE discovery's answer has another size");
  const auto found = Reader(ByteView(answer).last(4)).le<std::uint32_t>();
  index = static_cast<std::uint8_t>(found >> 24U);
  return DoeFeature{static_cast<std::uint16_t>(found), static_cast<std::uint8_t>(found >> 16U)};
}

/// pci_doe_abort(): the mailbox is in step again.
bool abort_is_over(const Mailbox& mailbox) {
  mailbox.put(kControl, kControlAbort);
  for (unsigned i = 0; i < kMaxPolls; ++i) {
    if ((mailbox.get(kStatus) & (kStatusBusy | kStatusError)) == 0) return true;
    schedule::pause(kPollIntervalNs);
  }
  return false;
}

}  // namespace

Result<std::vector<DoeFeature>> doe_discover(hw::PciFunction& function) {
  constexpr std::size_t kMost = 256;  // indices
  const auto at = hw::find_extended_capability(function, hw::kExtendedDoe);
  if (!at) return fail(Errno::kNxio, "the function has no DOE mailbox");
  if (!abort_is_over(Mailbox(function, *at)))
    return fail(Errno::kIo, "the DOE mailbox does not end its abort");
  std::vector<DoeFeature> features;
  std::uint8_t index = 0;
  do {
    if (features.size() == kMost) return fail(Errno::kBusy, "the DOE mailbox names no last index");
    TEEIO_ASSIGN(const DoeFeature one, discover_one(function, index));
    features.push_back(one);
  } while (index != 0);
  return features;
}

bool is_doe_register(hw::PciFunction& function, std::uint16_t at) {
  const auto start = hw::find_extended_capability(function, hw::kExtendedDoe);
  if (!start) return false;
  const auto reg = static_cast<std::uint16_t>(at - *start);
  return reg == kControl || reg == kWriteMailbox || reg == kReadMailbox;
}

void set_meddler(Meddler* meddler) {
  static MeddlerOfRun of_run;
  if (schedule::RunHeap* heap = schedule::RunHeap::current(); heap != nullptr) heap->add(of_run);
  g_meddler = meddler;
}

Result<Bytes> doe_exchange(hw::PciFunction& function, ByteView object) {
  if (g_meddler == nullptr) return carry_object(function, object);
  return g_meddler->exchange(object,
                             [&function](ByteView other) { return carry_object(function, other); });
}

}  // namespace teeio::tsm
