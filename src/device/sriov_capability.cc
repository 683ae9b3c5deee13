#include "device/sriov_capability.h"

namespace teeio::device {
namespace {

constexpr std::uint16_t kSerialNumberId = 0x0003;
constexpr std::uint16_t kAriId = 0x000e;
constexpr std::uint16_t kSriovId = 0x0010;
constexpr std::uint16_t kSriovSize = 0x40;

constexpr unsigned kCapabilities = 0x04;
constexpr unsigned kControl = 0x08;
constexpr unsigned kInitialVfs = 0x0c;
constexpr unsigned kTotalVfs = 0x0e;
constexpr unsigned kNumVfs = 0x10;
constexpr unsigned kFirstVfOffset = 0x14;
constexpr unsigned kVfStride = 0x16;
constexpr unsigned kVfDeviceId = 0x1a;
constexpr unsigned kSupportedPageSizes = 0x1c;
constexpr unsigned kSystemPageSize = 0x20;
constexpr unsigned kFirstVfBar = 0x24;

constexpr std::uint32_t kAriPreserved = 1U << 1U;
constexpr std::uint32_t kVfEnable = 1U << 0U;
constexpr std::uint32_t kVfMemoryEnable = 1U << 3U;
constexpr std::uint32_t kControlWritable = 0x19;  // VF enable, memory enable, ARI hierarchy
constexpr std::uint32_t kPageSizes = 0x553;       // 4 KiB, 8, 64, 256 KiB, 1 MiB, 4 MiB
constexpr std::uint32_t kPageSize4K = 1;
constexpr std::uint32_t kBar64 = 0x4;
constexpr std::uint32_t kBarPrefetchable = 0x8;

}  // namespace

SriovCapability::SriovCapability(hw::ConfigSpace& config, const Options& options)
    : config_(config), offset_(config.add_extended_capability(kSriovId, 1, kSriovSize)) {
  config.set(at(kCapabilities), 4, kAriPreserved);
  if (options.vfs != 0) config.set(at(kControl), 2, kVfEnable | kVfMemoryEnable);
  config.set_writable(at(kControl), 2, kControlWritable);
  config.set(at(kInitialVfs), 2, options.vfs);
  config.set(at(kTotalVfs), 2, options.vfs);
  config.set(at(kNumVfs), 2, options.vfs);
  config.set_writable(at(kNumVfs), 2, 0xffff);
  config.set(at(kFirstVfOffset), 2, 1);
  config.set(at(kVfStride), 2, 1);
  config.set(at(kVfDeviceId), 2, options.vf_device_id);
  config.set(at(kSupportedPageSizes), 4, kPageSizes);
  config.set(at(kSystemPageSize), 4, kPageSize4K);
  config.set_writable(at(kSystemPageSize), 4, kPageSizes);
  for (unsigned i = 0; i < hw::kBarCount; ++i) {
    const hw::Bar& bar = options.vf_bars.at(i);
    if (bar.kind == hw::Bar::Kind::kNone) continue;
    const std::uint32_t type = (bar.kind == hw::Bar::Kind::kMemory64 ? kBar64 : 0U) |
                               (bar.prefetchable ? kBarPrefetchable : 0U);
    const std::uint64_t mask = ~(bar.size - 1);
    const unsigned low = kFirstVfBar + 4 * i;
    config.set(at(low), 4, static_cast<std::uint32_t>(raw(bar.base)) | type);
    config.set_writable(at(low), 4, static_cast<std::uint32_t>(mask));
    if (bar.kind != hw::Bar::Kind::kMemory64) continue;
    config.set(at(low + 4), 4, static_cast<std::uint32_t>(raw(bar.base) >> 32U));
    config.set_writable(at(low + 4), 4, static_cast<std::uint32_t>(mask >> 32U));
  }
  boot_ = programmed();
}

SriovCapability::Registers SriovCapability::programmed() const {
  Registers values{};
  for (unsigned i = 1; i < values.size(); ++i)  // the header is linked to what comes later
    values.at(i) = config_.read(at(4 * i), 4);
  constexpr std::uint32_t kAriHierarchy = 1U << 4U;
  values.at(kControl / 4) &= ~kAriHierarchy;
  return values;
}

bool SriovCapability::contains(std::uint16_t offset) const {
  return offset >= offset_ && offset < offset_ + kSriovSize;
}

bool SriovCapability::vf_answers(unsigned index) const {
  constexpr std::uint32_t kBoth = kVfEnable | kVfMemoryEnable;
  return (config_.read(at(kControl), 2) & kBoth) == kBoth && index < config_.read(at(kNumVfs), 2);
}

bool SriovCapability::in_place(unsigned index) const {
  Registers now = programmed();
  now.at(kNumVfs / 4) = boot_.at(kNumVfs / 4);
  return vf_answers(index) && now == boot_;
}

void add_ari(hw::ConfigSpace& config, std::uint8_t next_function) {
  const std::uint16_t offset = config.add_extended_capability(kAriId, 1, 8);
  config.set(static_cast<std::uint16_t>(offset + 5), 1, next_function);
}

void add_serial_number(hw::ConfigSpace& config, std::uint64_t serial) {
  const std::uint16_t offset = config.add_extended_capability(kSerialNumberId, 1, 12);
  config.set(static_cast<std::uint16_t>(offset + 4), 4, static_cast<std::uint32_t>(serial));
  config.set(static_cast<std::uint16_t>(offset + 8), 4, static_cast<std::uint32_t>(serial >> 32U));
}

}  // namespace teeio::device
