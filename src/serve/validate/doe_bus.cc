#include "serve/validate/doe_bus.h"

#include <poll.h>

#include <utility>

#include "base/files.h"
#include "schedule/task.h"
#include "wire/doe.h"

namespace teeio::serve::validate {
namespace {

constexpr std::uint16_t kDoe = 0x2e;
constexpr unsigned kMostMailboxes = 64;  // the list may be a circle
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

constexpr std::size_t kWord = 4;
constexpr std::uint64_t kMsNs = 1'000'000;

/// A real mailbox takes its time; one that is modelled is ready at once.
void pause() { (void)::poll(nullptr, 0, 1); }

std::uint64_t deadline(unsigned timeout_ms) { return schedule::now_ns() + timeout_ms * kMsNs; }

}  // namespace

std::expected<DoeBus, std::string> DoeBus::open(Bdf function, unsigned timeout_ms) {
  auto config = ConfigFile::open(function);
  if (!config) return std::unexpected(config.error());
  DoeBus bus(std::move(*config));
  if (!bus.find_spdm(timeout_ms))
    return std::unexpected(function.str() + ": no DOE mailbox whose discovery lists SPDM");
  return bus;
}

std::string DoeBus::connected_tsm(Bdf function) {
  auto text = read_file(pci_attribute(function, "tsm/connect"));
  if (!text) return {};
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return *text;
}

std::uint32_t DoeBus::status() const { return config_.read(mailbox_ + kStatus); }

bool DoeBus::find_spdm(unsigned timeout_ms) {
  auto at = config_.find_extended(kDoe);
  for (unsigned left = kMostMailboxes; at && left > 0; --left) {
    mailbox_ = *at;
    if (lists_spdm(timeout_ms)) return true;
    at = config_.find_extended(kDoe, config_.next_extended(*at));
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
  config_.write(mailbox_ + kControl, kAbort);
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
    config_.write(mailbox_ + kWriteMailbox, word);
  }
  config_.write(mailbox_ + kControl, kGo);
  const std::uint64_t end = deadline(timeout_ms);
  for (;;) {
    const std::uint32_t now = status();
    if (now == ConfigFile::kGone) return std::unexpected(Loss::kClosed);
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
    const std::uint32_t word = config_.read(mailbox_ + kReadMailbox);
    config_.write(mailbox_ + kReadMailbox, 0);
    for (unsigned n = 0; n < kWord; ++n) object.push_back(static_cast<std::byte>(word >> (8 * n)));
    if (i != 1) continue;
    words = word & (kMostWords - 1);
    if (words == 0) words = kMostWords;
    if (words < 2) return std::unexpected(Loss::kNonsense);
  }
  return object;
}

}  // namespace teeio::serve::validate
