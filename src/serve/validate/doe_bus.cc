#include "serve/validate/doe_bus.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "base/files.h"
#include "schedule/task.h"
#include "wire/doe.h"

namespace teeio::serve::validate {
namespace {

constexpr std::uint16_t kFirstExtended = 0x100;
constexpr std::uint16_t kConfigBytes = 4096;
constexpr std::uint16_t kDoe = 0x2e;
// Registers of the capability.
constexpr std::uint16_t kControl = 0x08;
constexpr std::uint16_t kStatus = 0x0c;
constexpr std::uint16_t kWriteMailbox = 0x10;
constexpr std::uint16_t kReadMailbox = 0x14;
constexpr std::uint32_t kAbort = 1;
constexpr std::uint32_t kGo = 0x8000'0000;
constexpr std::uint32_t kBusy = 1;
constexpr std::uint32_t kError = 4;
constexpr std::uint32_t kReady = 0x8000'0000;
constexpr std::uint32_t kGone = ~0U;  // what an absent function reads as

constexpr std::size_t kWord = 4;
constexpr std::uint64_t kMsNs = 1'000'000;

std::string attribute(Bdf function, std::string_view name) {
  return fmt::format("/sys/bus/pci/devices/{}/{}", function.str(), name);
}

/// A real mailbox takes its time; one that is modelled is ready at once.
void pause() { (void)::poll(nullptr, 0, 1); }

std::uint64_t deadline(unsigned timeout_ms) { return schedule::now_ns() + timeout_ms * kMsNs; }

}  // namespace

std::expected<DoeBus, std::string> DoeBus::open(Bdf function, unsigned timeout_ms) {
  const std::string path = attribute(function, "config");
  Fd config(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!config.ok())
    return std::unexpected(fmt::format("{}: {}", path, std::system_category().message(errno)));
  DoeBus bus(function, std::move(config));
  if (bus.read(0) == kGone) return std::unexpected(function.str() + ": the function is gone");
  std::uint32_t word = 0;
  if (::pread(bus.config_.get(), &word, sizeof(word), kFirstExtended) != sizeof(word))
    return std::unexpected(path + ": extended config space cannot be read without root");
  if (!bus.find_spdm(timeout_ms))
    return std::unexpected(function.str() + ": no DOE mailbox whose discovery lists SPDM");
  return bus;
}

std::string DoeBus::connected_tsm(Bdf function) {
  auto text = read_file(attribute(function, "tsm/connect"));
  if (!text) return {};
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return *text;
}

std::uint32_t DoeBus::read(std::uint16_t offset) const {
  std::uint32_t value = 0;
  const bool whole = ::pread(config_.get(), &value, kWord, offset) == ssize_t{kWord};
  return whole ? value : kGone;
}

void DoeBus::write(std::uint16_t offset, std::uint32_t value) const {
  (void)!::pwrite(config_.get(), &value, kWord, offset);
}

std::uint32_t DoeBus::status() const {
  return read(static_cast<std::uint16_t>(mailbox_ + kStatus));
}

bool DoeBus::find_spdm(unsigned timeout_ms) {
  unsigned left = (kConfigBytes - kFirstExtended) / 4;  // the list may be a circle
  for (std::uint16_t at = kFirstExtended; at >= kFirstExtended && left > 0; --left) {
    const std::uint32_t header = read(at);
    if (header == 0 || header == kGone) return false;
    mailbox_ = at;
    if ((header & 0xffffU) == kDoe && lists_spdm(timeout_ms)) return true;
    at = static_cast<std::uint16_t>(header >> 20U & 0xffcU);
  }
  return false;
}

bool DoeBus::lists_spdm(unsigned timeout_ms) {
  std::uint8_t index = 0;
  for (unsigned left = 256; left > 0; --left) {
    const Bytes payload = wire::DoeDiscoveryRequest{index}.encode();
    const auto came =
        exchange(wire::DoeObject{wire::kPciSigVendorId, 0, payload}.encode(), timeout_ms);
    if (!came) return false;
    const auto object = wire::DoeObject::decode(*came);
    if (!object) return false;
    const auto response = wire::DoeDiscoveryResponse::decode(object->payload);
    if (!response) return false;
    if (response->vendor_id == wire::kPciSigVendorId &&
        response->type == std::to_underlying(wire::DoeType::kSpdm))
      return true;
    if (response->next_index == 0) return false;
    index = response->next_index;
  }
  return false;
}

bool DoeBus::make_ready(unsigned timeout_ms) {
  constexpr std::uint32_t kAny = kBusy | kError | kReady;
  if ((status() & kAny) == 0) return true;
  write(static_cast<std::uint16_t>(mailbox_ + kControl), kAbort);
  for (const std::uint64_t end = deadline(timeout_ms); schedule::now_ns() < end; pause())
    if ((status() & kAny) == 0) return true;
  return false;
}

std::expected<Bytes, Loss> DoeBus::exchange(ByteView packet, unsigned timeout_ms) {
  if (!make_ready(timeout_ms)) return std::unexpected(Loss::kTimeout);
  for (std::size_t i = 0; i < packet.size(); i += kWord) {
    std::uint32_t word = 0;
    for (std::size_t n = 0; n < kWord && i + n < packet.size(); ++n)
      word |= std::to_integer<std::uint32_t>(packet[i + n]) << (8 * n);
    write(static_cast<std::uint16_t>(mailbox_ + kWriteMailbox), word);
  }
  write(static_cast<std::uint16_t>(mailbox_ + kControl), kGo);
  const std::uint64_t end = deadline(timeout_ms);
  for (;;) {
    const std::uint32_t now = status();
    if (now == kGone) return std::unexpected(Loss::kClosed);
    if ((now & kError) != 0) return Bytes{};  // the object was refused
    if ((now & kReady) != 0) return receive();
    // An object of a type that is not listed is dropped, and nothing says so but time.
    if (schedule::now_ns() >= end) {
      if ((now & kBusy) != 0) return std::unexpected(Loss::kTimeout);
      return Bytes{};
    }
    pause();
  }
}

std::expected<Bytes, Loss> DoeBus::receive() const {
  constexpr std::size_t kMostWords = std::size_t{1} << 18U;
  Bytes object;
  std::size_t words = 2;  // until the second one says how many
  for (std::size_t i = 0; i < words; ++i) {
    if ((status() & kReady) == 0) return std::unexpected(Loss::kNonsense);
    const std::uint32_t word = read(static_cast<std::uint16_t>(mailbox_ + kReadMailbox));
    write(static_cast<std::uint16_t>(mailbox_ + kReadMailbox), 0);
    for (unsigned n = 0; n < kWord; ++n) object.push_back(static_cast<std::byte>(word >> (8 * n)));
    if (i != 1) continue;
    words = word & (kMostWords - 1);
    if (words == 0) words = kMostWords;
    if (words < 2) return std::unexpected(Loss::kNonsense);
  }
  return object;
}

}  // namespace teeio::serve::validate
