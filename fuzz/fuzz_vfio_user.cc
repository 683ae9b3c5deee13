// Links: serve/vfio_user
// A client of a DMA-engine card's function: VERSION with the first bytes as its data, then
// messages of any kind, with descriptors of any kind.
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <utility>

#include "device/dma_engine_card.h"
#include "fuzzer.h"
#include "object/trace.h"
#include "serve/vfio_user/session.h"

namespace teeio::vfio_user {
namespace {

/// Answers with what the input has left.
class Wire final : public DmaWire {
 public:
  explicit Wire(Reader& input) : input_(input) {}
  Result<Bytes> exchange(Command command, ByteView payload) override {
    TEEIO_CHECK(command == Command::kDmaRead || command == Command::kDmaWrite, "another command");
    if (input_.le<std::uint8_t>() < 0x40) return fail(Errno::kIo, "gone");
    Bytes answer(payload.begin(), payload.begin() + 16);
    const ByteView rest = input_.take(std::min<std::size_t>(input_.rest().size(), 64));
    answer.insert(answer.end(), rest.begin(), rest.end());
    answer.resize(input_.le<std::uint8_t>() < 0x80 ? answer.size() : 16 + 4096);
    return answer;
  }

 private:
  Reader& input_;
};

Fd descriptor(unsigned kind) {
  switch (kind % 3) {
    case 0:
      return Fd(::eventfd(0, EFD_CLOEXEC));
    case 1: {
      Fd memory(::memfd_create("fuzz", MFD_CLOEXEC));
      (void)!::ftruncate(memory.get(), 0x4000);
      return memory;
    }
    default:
      return Fd(::dup(2));
  }
}

void check(const Message& sent, const Answer& answer) {
  if (answer.bytes.empty()) {
    TEEIO_CHECK(!sent.header.wants_reply(), "a command has no answer");
    return;
  }
  const Header header = Header::decode(ByteView(answer.bytes).first<Header::kSize>());
  const bool error = (header.flags & Header::kError) != 0;
  TEEIO_CHECK(header.is_reply() && header.size == answer.bytes.size() &&
                  header.id == sent.header.id && header.command == sent.header.command,
              "an answer's header is wrong");
  TEEIO_CHECK(error == !answer.refused.empty(), "an error has no reason");
  TEEIO_CHECK(!error || (header.error != 0 && header.size == Header::kSize),
              "an error has no errno, or more than it");
}

Message next_message(Reader& input) {
  Message message;
  message.header.id = input.le<std::uint8_t>();
  message.header.command = Command{static_cast<std::uint16_t>(input.le<std::uint8_t>() % 20)};
  const auto shape = input.le<std::uint8_t>();
  message.header.flags = (shape & 1U) != 0 ? Header::kNoReply : 0U;
  for (unsigned i = 0; i < (shape >> 1U & 3U); ++i)
    message.fds.push_back(descriptor((shape >> 3U) + i));
  const ByteView payload =
      input.take(std::min<std::size_t>(input.rest().size(), input.le<std::uint8_t>()));
  message.payload.assign(payload.begin(), payload.end());
  message.header.size = static_cast<std::uint32_t>(Header::kSize + payload.size());
  return message;
}

void talk(Reader& input) {
  object::Trace trace;
  device::DmaEngineCard card(trace, {.pf = {.bus = 1}, .vfs = 1, .bars_move = true});
  Function function(*card.functions().at(input.le<std::uint8_t>() % 2));
  Wire wire(input);
  Session session(function, wire);
  for (bool first = true; !input.rest().empty(); first = false) {
    Message message = next_message(input);
    if (first) message.header.command = Command::kVersion;
    const Message header_only{message.header, {}, {}};
    const Answer answer = session.handle(std::move(message));
    check(header_only, answer);
    if (answer.close) return;
  }
}

}  // namespace
}  // namespace teeio::vfio_user

void teeio::fuzz::run(ByteView input) {
  const int free = ::dup(2);
  ::close(free);
  Reader reader(input);
  vfio_user::talk(reader);
  const int still_free = ::dup(2);
  ::close(still_free);
  TEEIO_CHECK(free == still_free, "a descriptor leaks");
}
