#pragma once

#include <utility>
#include <vector>

#include "hw/config_space.h"
#include "hw/doe_mailbox.h"

namespace teeio::hw {

/// A DOE mailbox that answers discovery as a DSM's does, and drops everything else.
class TestMailbox final : public DoeHandler {
 public:
  /// What is at each index, `then` as the next index of the last one.
  struct Names {
    std::vector<std::uint8_t> types = {0, 1, 2};  ///< discovery, CMA, secured CMA
    std::uint8_t then = 0;
    std::uint8_t answers_as = 0;  ///< type in the answer's header
    bool longer = false;          ///< a word more than an answer has
  };
  explicit TestMailbox(ConfigSpace& config) : TestMailbox(config, Names{}) {}
  TestMailbox(ConfigSpace& config, Names names)
      : config_(config), names_(std::move(names)), mailbox_(config, *this) {}

  std::uint32_t read(std::uint16_t offset, unsigned size) const {
    return mailbox_.contains(offset) ? mailbox_.read(offset, size) : config_.read(offset, size);
  }
  void write(std::uint16_t offset, unsigned size, std::uint32_t value) {
    if (mailbox_.contains(offset)) mailbox_.write(offset, size, value);
  }
  Bytes handle(ByteView object) override {
    Reader in(object);
    if (in.le<std::uint32_t>() != kDiscovery || object.size() != kObject) return {};
    in.skip(4);
    const auto index = static_cast<std::uint8_t>(in.le<std::uint32_t>());
    ++asked;
    const std::size_t at = index % names_.types.size();
    const bool last = at + 1 == names_.types.size();
    const std::uint32_t next = last ? names_.then : static_cast<std::uint32_t>(at + 1);
    const std::uint32_t words = names_.longer ? 4 : 3;
    Writer out;
    out.le(kDiscovery | std::uint32_t{names_.answers_as} << 16U).le(words);
    out.le(kDiscovery | std::uint32_t{names_.types[at]} << 16U | next << 24U);
    if (names_.longer) out.le(std::uint32_t{0});
    return out.take();
  }

  unsigned asked = 0;

 private:
  static constexpr std::uint32_t kDiscovery = 1;  ///< PCI-SIG's, type 0
  static constexpr std::size_t kObject = 12;
  ConfigSpace& config_;
  Names names_;
  DoeMailbox mailbox_;
};

}  // namespace teeio::hw
