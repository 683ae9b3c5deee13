// Links: firmware/sev
// The secure processor's commands with whatever a host may put into their buffers, and what
// lies in memory behind them: scatter lists, data objects, guest messages.

#include <algorithm>
#include <array>

#include "firmware/sev/attestation.h"
#include "firmware/sev/launch.h"
#include "firmware/sev/tio.h"
#include "fuzzer.h"

namespace teeio::sev {
namespace {

constexpr std::size_t kPages = 24;
constexpr std::size_t kLargePages = 4;  ///< of them, in one entry of 2 MiB

/// A secure processor, a root port, and pages in several states that commands may name.
struct Machine {
  object::Trace trace;
  hw::PhysicalMemory memory{4 * kRmp2M};
  hw::RootPort port{trace,
                    {.bdf = {0, 0, 1, 0},
                     .header = {.identity = {.vendor = 0x1efe, .device = 1},
                                .primary = 0,
                                .secondary = 1,
                                .subordinate = 1,
                                .memory = {},
                                .io = {},
                                .prefetchable = {}},
                     .ide_streams = 2,
                     .tee_io = true}};
  Rmp rmp{memory};
  Platform psp{memory, trace, rmp, {}};
  IoGuard guard{trace};
  Launch launch{psp, guard};
  Attestation attestation{psp};
  Tio tio{psp, guard, {TioPort{.port = &port, .number = 1, .root = 0}}};
  std::array<Hpa, kPages> pages{};
  Hpa buffer = *memory.alloc_page();

  Machine() {
    for (std::size_t n = 0; n < kPages - kLargePages; ++n) {
      pages[n] = *memory.alloc_page();
      if (n % 2 == 0) (void)rmp.update(pages[n], {.assigned = true, .immutable = true});
    }
    Hpa large = *memory.alloc_page();
    while (raw(large) % kRmp2M != 0) large = *memory.alloc_page();
    for (std::uint64_t at = kPageSize; at < kRmp2M; at += kPageSize) (void)*memory.alloc_page();
    const auto made =
        rmp.update(large, {.assigned = true, .immutable = true, .size = RmpSize::k2M});
    TEEIO_CHECK(made == RmpStatus::kSuccess, "the frames are no 2 MiB");
    for (std::size_t n = 0; n < kLargePages; ++n)
      pages[kPages - kLargePages + n] = large + n * kPageSize;
    (void)memory.write(buffer, Writer().le(kInitRmp | kInitTioEnable).zeros(60).take());
    (void)psp.command(kSnpInitEx, buffer);
    GuestContext& guest = psp.make_guest(pages[0]);
    guest.state = GuestContext::State::kRunning;
    guest.asid = 5;
  }
  /// An address of one of the pages, so that most commands get further than the first look.
  void point(Bytes& command, std::size_t at, std::byte which) const {
    const std::size_t index = std::to_integer<std::size_t>(which) % kPages;
    const Bytes address = Writer().le(raw(pages.at(index))).take();
    if (at + address.size() <= command.size())
      std::ranges::copy(address, command.begin() + static_cast<std::ptrdiff_t>(at));
  }
};

struct Command {
  std::uint16_t number;
  std::uint32_t length;
  bool says_length;
};
/// Half of the choices are SEV-TIO's commands, the others those about platform and guests.
Command command_of(std::uint8_t choice) {
  if (choice % 2 == 0) {
    const auto number = static_cast<std::uint16_t>(0xd0 + choice / 2 % 0x15);
    return {number, tio_length(TioCommand{number}), true};
  }
  const Row& row = *rows()[choice / 2 % rows().size()];
  const bool says_length =
      std::ranges::any_of(row.checks, [](const Check& c) { return c.id == "says"; });
  return {row.number, row.length, says_length};
}

}  // namespace
}  // namespace teeio::sev

void teeio::fuzz::run(ByteView input) {
  using namespace teeio::sev;
  (void)SealedMessage::decode(input);
  (void)SecureDte::decode(input.first(std::min(input.size(), SecureDte::kSize)));
  if (const auto object = DataObject::decode(input)) {
    const auto back = DataObject::decode(object->encode());
    TEEIO_CHECK(back && back->data == object->data, "a data object does not come back");
  }
  Machine machine;
  Reader in(input);
  for (int commands = 0; commands < 16 && !in.rest().empty(); ++commands) {
    const auto [number, length, says_length] = command_of(in.le<std::uint8_t>());
    const auto kind = in.le<std::uint8_t>();
    if ((kind & 0x80U) != 0) {  // what lies in a page
      const ByteView bytes = in.take(std::min<std::size_t>(in.rest().size(), kind));
      const Hpa page = machine.pages.at(kind % kPages);
      if (machine.rmp.state(page) != PageState::kContext) (void)machine.memory.write(page, bytes);
      continue;
    }
    Bytes command(length);
    const ByteView body = in.take(std::min<std::size_t>(in.rest().size(), kind % 64));
    std::ranges::copy(body.first(std::min<std::size_t>(body.size(), command.size())),
                      command.begin());
    for (std::size_t at = says_length ? 8 : 0; at + 8 <= command.size(); at += 8)
      if ((kind & 1U) == 0) machine.point(command, at, command[at]);
    if (says_length) std::ranges::copy(Writer().le(length).take(), command.begin());
    (void)machine.memory.write(machine.buffer, command);
    (void)machine.psp.command(number, machine.buffer);
  }
}
