// Links: serve
// Lines of a control socket, and of a file of negotiated state, to the devices of a machine:
// whatever they say, each line of the former gets one line of JSON, and the devices go on.
#include <algorithm>
#include <optional>
#include <string>

#include "crypto/random.h"
#include "fuzzer.h"
#include "serve/agreements.h"
#include "serve/control.h"

namespace teeio::fuzz {
namespace {

class NoKeyLog final : public serve::KeyLog {
 public:
  [[nodiscard]] bool wanted() const override { return false; }
  void line(const std::string& /*text*/) override {}
};

class Server final : public serve::ControlTarget {
 public:
  Server() {
    auto loaded = serve::Fleet::load("tdx-connect", {}, options_, log_);
    TEEIO_CHECK(loaded.has_value(), "the built-in machine is no machine");
    fleet_.emplace(std::move(*loaded));
  }
  serve::Fleet& fleet() override { return *fleet_; }
  std::expected<void, std::string> reload() override { return std::unexpected("not here"); }
  void stop() override {}

 private:
  NoKeyLog log_;
  serve::SpeakerOptions options_;
  std::optional<serve::Fleet> fleet_;
};

}  // namespace

/// Which of the two it is (bit 0), and the text.
void run(ByteView input) {
  const crypto::SeededRandom seeded(1);
  if (input.empty()) return;
  const bool is_file = (std::to_integer<unsigned>(input.front()) & 1U) != 0;
  std::string text(input.size() - 1, '\0');
  std::ranges::transform(input.subspan(1), text.begin(),
                         [](std::byte byte) { return static_cast<char>(byte); });
  Server server;
  if (is_file) {
    (void)serve::restore_agreements(server.fleet(), text);
  } else {
    serve::ControlSession session(server);
    const std::string out = session.receive(text);
    TEEIO_CHECK(session.broken() || std::ranges::count(out, '\n') <= std::ranges::count(text, '\n'),
                "a line gets more than one answer");
  }
  const std::string saved = serve::agreements_of(server.fleet());
  Server other;
  const auto back = serve::restore_agreements(other.fleet(), saved);
  TEEIO_CHECK(back && back->empty() && serve::agreements_of(other.fleet()) == saved,
              "a state that was saved does not come back");
}

}  // namespace teeio::fuzz
