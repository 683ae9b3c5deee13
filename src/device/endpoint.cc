#include "device/endpoint.h"

#include <algorithm>
#include <utility>

namespace teeio::device {
namespace {

constexpr std::uint32_t kPowerStateMask = 3;  // 0 is D0
constexpr std::uint32_t kBarFlags = 0xf;
constexpr std::uint32_t kDeviceControlBoot = 0x2810;

}  // namespace

Endpoint::Endpoint(object::Trace& trace, schedule::Monitor& card_lock, const Options& options)
    : trace_(trace),
      card_lock_(card_lock),
      bdf_(options.bdf),
      bars_(options.bars),
      bars_in_header_(options.bars_in_header),
      bars_move_(options.bars_move && options.bars_in_header),
      config_(hw::ConfigSpace::Looks::kWithoutLock) {
  const std::span<const hw::Bar> in_header(bars_.data(), bars_in_header_ ? bars_.size() : 0);
  hw::add_endpoint_header(config_, options.identity, in_header);
  // As a platform's firmware leaves a function to which it gave addresses.
  if (bars_in_header_) {
    const bool io = std::ranges::any_of(
        bars_, [](const hw::Bar& bar) { return bar.kind == hw::Bar::Kind::kIo; });
    config_.set(hw::kCommand, 2,
                hw::kCommandMemorySpace | (io ? std::uint32_t{hw::kCommandIoSpace} : 0U));
  }
  if (options.rom_bytes != 0) {
    rom_.emplace(options, [this] {
      const bool answers = rom_answers();
      complete();
      return answers;
    });
    hw::add_rom_bar(config_, rom_->bar);
  }
  power_ = hw::add_power_management(config_);
  express_ = hw::add_pci_express(
      config_,
      {.type = hw::ExpressType::kEndpoint, .function_level_reset = true, .tee_io = options.tee_io});
}

Endpoint::Rom::Rom(const Options& options, std::function<bool()> answers)
    : target(options.identity, options.rom_text, std::move(answers)),
      bar{.kind = hw::Bar::Kind::kMemory32,
          .size = options.rom_bytes,
          .base = options.rom,
          .target = &target} {}

void Endpoint::answer_bar(std::size_t number, hw::MmioTarget& target,
                          hw::PlainMemoryBar* plain_memory) {
  hw::Bar& bar = bars_.at(number);
  bar.target = &target;
  bar.plain = plain_memory;
  bar.plain_memory = plain_memory != nullptr;
}

std::uint32_t Endpoint::config_read(std::uint16_t offset, unsigned size_bytes) {
  const auto special = read_special(offset, size_bytes);
  const std::uint32_t value = special ? *special : config_.look(offset, size_bytes);
  complete();
  return value;
}

void Endpoint::config_write(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) {
  if (write_special(offset, size_bytes, value)) return complete();
  const schedule::Section section(card_lock_, schedule::Section::kByParts);
  touch(part_of(offset), schedule::Touch::How::kWrite);
  if (hw::flr_requested(express_, offset, size_bytes, value))
    reset_locked(hw::ResetKind::kFunctionLevel);
  apply_write(offset, size_bytes, value);
  complete();
}

/// A zero-length read is the flush of PCIe Base Spec 2.2.5: what it pushes, so does its answer.
void Endpoint::complete() const {
  if (port_ != nullptr) (void)port_->dma_read(bdf_.rid(), hw::TBit::kShared, Iova{0}, {});
}

void Endpoint::reset(hw::ResetKind kind) {
  const schedule::Section section(card_lock_, schedule::Section::kByParts);
  touch(CardPart::kFunction, schedule::Touch::How::kWrite);
  reset_locked(kind);
}

void Endpoint::reset_locked(hw::ResetKind kind) {
  complete();  // what it has sent is on the link, and the reset is not over before it is through
  // BAR registers keep what the host assigned: its save and restore around a
  // reset would put them back, and the bus decodes nothing else.
  config_.set(hw::kCommand, 2, 0);
  const auto power = static_cast<std::uint16_t>(power_ + hw::kPowerControl);
  config_.set(power, 2, config_.read(power, 2) & ~kPowerStateMask);
  config_.set(static_cast<std::uint16_t>(express_ + hw::kExpressDeviceControl), 2,
              kDeviceControlBoot);
  on_reset(kind);
}

void Endpoint::attach(hw::DmaPort& port) {
  const schedule::Section section(card_lock_, schedule::Section::kByParts);
  touch(CardPart::kFunction, schedule::Touch::How::kWrite);
  port_ = &port;
  on_attach();
}

void Endpoint::touch(CardPart what, schedule::Touch::How how) const {
  const std::uint64_t which = what == CardPart::kFunction ? bdf_.rid() : 0;
  card_lock_.touch(schedule::part(std::to_underlying(what), which), how);
}

bool Endpoint::in_d0() const {
  const auto control = static_cast<std::uint16_t>(power_ + hw::kPowerControl);
  return (config_.read(control, 2) & kPowerStateMask) == 0;
}

bool Endpoint::memory_enabled() const {
  return in_d0() && (config_.read(hw::kCommand, 2) & hw::kCommandMemorySpace) != 0;
}

bool Endpoint::io_enabled() const {
  return in_d0() && (config_.read(hw::kCommand, 2) & hw::kCommandIoSpace) != 0;
}

bool Endpoint::rom_answers() const {
  const auto control = static_cast<std::uint16_t>(power_ + hw::kPowerControl);
  const std::uint32_t register_value = config_.look(hw::kRomBar, 4);
  return (config_.look(hw::kCommand, 2) & hw::kCommandMemorySpace) != 0 &&
         (config_.look(control, 2) & kPowerStateMask) == 0 &&
         (register_value & hw::kRomEnable) != 0 &&
         (bars_move_ || (register_value & ~hw::kRomEnable) == raw(rom_->bar.base));
}

bool Endpoint::bus_master_enabled() const {
  return in_d0() && (config_.read(hw::kCommand, 2) & hw::kCommandBusMaster) != 0;
}

bool Endpoint::bars_in_place() const {
  if (!bars_in_header_ || bars_move_) return true;
  for (std::size_t i = 0; i < bars_.size(); ++i)
    if (bars_.at(i).kind != hw::Bar::Kind::kNone && bar_register(i) != raw(bars_.at(i).base))
      return false;
  return true;
}

std::uint64_t Endpoint::bar_register(std::size_t number) const {
  const auto low = static_cast<std::uint16_t>(hw::kFirstBar + 4 * number);
  std::uint64_t address = config_.read(low, 4) & ~kBarFlags;
  if (bars_.at(number).kind == hw::Bar::Kind::kMemory64)
    address |= std::uint64_t{config_.read(static_cast<std::uint16_t>(low + 4), 4)} << 32U;
  return address;
}

std::uint64_t Endpoint::bar_address(std::size_t number) const {
  return bars_move_ ? bar_register(number) : raw(bars_.at(number).base);
}

}  // namespace teeio::device
