#include "hw/root_port.h"

#include <fmt/format.h>

namespace teeio::hw {
namespace {

constexpr std::uint16_t kLinkCapabilities = 0x0c;  // of the PCI Express capability
constexpr unsigned kPortNumber = 24;               // shift
constexpr std::string_view kNoIde = "the root port has no IDE";

std::string_view why_not(IdeStreamState state) {
  switch (state) {
    case IdeStreamState::kBlocked:
      return "the IDE stream is blocked";
    case IdeStreamState::kFree:
    case IdeStreamState::kConfigured:
    case IdeStreamState::kKeys:
    case IdeStreamState::kEnabled:
      return "the IDE stream is not enabled";
  }
  return "?";
}

}  // namespace

RootPort::RootPort(object::Trace& trace, const Options& options)
    : trace_(trace),
      bdf_(options.bdf),
      secondary_(options.header.secondary),
      subordinate_(options.header.subordinate),
      window_(options.header.prefetchable) {
  add_bridge_header(config_, options.header);
  add_power_management(config_);
  const std::uint16_t express =
      add_pci_express(config_, {.type = ExpressType::kRootPort, .tee_io = options.tee_io});
  const auto link = static_cast<std::uint16_t>(express + kLinkCapabilities);
  config_.set(link, 4, config_.read(link, 4) | std::uint32_t{port_number()} << kPortNumber);
  if (options.ide_streams != 0) ide_.emplace(config_, options.ide_streams);
}

std::uint32_t RootPort::config_read(std::uint16_t offset, unsigned size_bytes) {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  return config_.read(offset, size_bytes);
}

void RootPort::config_write(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) {
  const schedule::Section section(mutex_);
  config_.write(offset, size_bytes, value);
  if (ide_ && offset >= ide_->offset()) ide_->registers_written();
}

void RootPort::reset(ResetKind) {
  const schedule::Section section(mutex_);
  if (!ide_) return;
  for (std::size_t n = 0; n < ide_->streams(); ++n) (void)ide_->release(n);
}

std::size_t RootPort::streams() const {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  return ide_ ? ide_->streams() : 0;
}

std::size_t RootPort::free_streams() const {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  return ide_ ? ide_->free_streams() : 0;
}

IdeStreamState RootPort::stream_state(std::size_t block) const {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  return ide_ && block < ide_->streams() ? ide_->state(block) : IdeStreamState::kFree;
}

std::optional<std::size_t> RootPort::find_stream(std::uint8_t stream_id) const {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  return ide_ ? ide_->find(stream_id) : std::nullopt;
}

template <class Step>
std::invoke_result_t<Step, IdePort&> RootPort::with_ide(Step step) {
  const schedule::Section section(mutex_);
  if (!ide_) return fail(Errno::kInval, kNoIde);
  return step(*ide_);
}

Result<void> RootPort::configure_stream(std::size_t block, const IdeAssociation& association) {
  return with_ide([&](IdePort& ide) { return ide.configure(block, association); });
}

namespace {

/// What a key's use is told apart by: with one key for several sub-streams no IV is used
/// twice, since its fixed field has the sub-stream (PCIe Base Spec 6.33.7).
std::uint64_t use_of(std::uint64_t digest, IdeKeySlot::SubStream sub_stream) {
  constexpr std::uint64_t kOdd = 0x9e37'79b9'7f4a'7c15;
  return digest ^ (kOdd * std::to_underlying(sub_stream));
}

}  // namespace

Result<void> RootPort::program_key(std::size_t block, IdeKeySlot slot, ByteView key) {
  std::uint8_t stream_id = 0;
  TEEIO_ASSIGN(const std::uint64_t digest, with_ide([&](IdePort& ide) {
                 auto used = ide.program_key(block, slot, key);
                 if (used) stream_id = ide.stream_id(block);
                 return used;
               }));
  trace_.fact(
      object::Lane::kDevice, object::Fact::kKeyUsed, "IDE key",
      {.detail = fmt::format("stream={} set={} sub_stream={} {}", stream_id, slot.key_set,
                             std::to_underlying(slot.sub_stream),
                             slot.direction == IdeKeySlot::Direction::kReceive ? "rx" : "tx"),
       .function = bdf_,
       .a = stream_id,
       .b = use_of(digest, slot.sub_stream)});
  return {};
}

Result<void> RootPort::key_go(std::size_t block, IdeKeySlot slot) {
  return with_ide([&](IdePort& ide) { return ide.go(block, slot); });
}

Result<void> RootPort::key_stop(std::size_t block, IdeKeySlot slot) {
  return with_ide([&](IdePort& ide) { return ide.stop(block, slot); });
}

Result<void> RootPort::enable_stream(std::size_t block) {
  return with_ide([&](IdePort& ide) { return ide.enable(block); });
}

Result<void> RootPort::block_stream(std::size_t block) {
  return with_ide([&](IdePort& ide) { return ide.block(block); });
}

Result<void> RootPort::release_stream(std::size_t block) {
  return with_ide([&](IdePort& ide) { return ide.release(block); });
}

bool RootPort::admits_access(Hpa address) const {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  return ide_ && ide_->has_address(raw(address));
}

Result<std::uint64_t> RootPort::admit_trusted(std::uint16_t rid) const {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  if (!ide_) return fail(Errno::kIo, kNoIde);
  const auto block = ide_->find_requester(rid);
  if (!block) return fail(Errno::kIo, "no IDE stream has this requester");
  const IdeStreamState state = ide_->state(*block);
  if (state != IdeStreamState::kEnabled) return fail(Errno::kIo, why_not(state));
  return ide_->generation();
}

}  // namespace teeio::hw
