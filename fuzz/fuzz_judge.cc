// Links: serve/validate
// The judge against a device whose answers are changed on their way: each case comes to a verdict,
// and finds nothing where nothing was changed.
#include <vector>

#include "crypto/random.h"
#include "fuzzer.h"
#include "machine/config.h"
#include "serve/served_device.h"
#include "serve/validate/suite.h"
#include "wire/spdm_capabilities.h"

namespace teeio::fuzz {
namespace {

namespace validate = serve::validate;

class NoKeyLog final : public serve::KeyLog {
 public:
  [[nodiscard]] bool wanted() const override { return false; }
  void line(const std::string& /*text*/) override {}
};

/// A device behind a bus that changes some answers.
class Bus final : public serve::Bus {
 public:
  explicit Bus(ByteView changes) : changes_(changes) { next_change(); }
  std::expected<Bytes, serve::Loss> exchange(ByteView packet, unsigned /*timeout_ms*/) override {
    Bytes answer = device_.answer(serve::PlatformTransport::kPciDoe, packet);
    if (!left_ || (*left_)-- != 0) return answer;
    return changed(std::move(answer));
  }
  [[nodiscard]] std::string name() const override { return "a bus"; }
  [[nodiscard]] bool was_honest() const { return honest_; }

 private:
  enum class Kind : std::uint8_t { kByte, kCut, kMore, kNone, kLost, kTwice };

  static const machine::CardConfig& card() {
    static const machine::Config kMachine = *machine::find_config("tdx-connect");
    return kMachine.cards.front();
  }
  static serve::SpeakerOptions options() {
    serve::SpeakerOptions options;
    options.mutual_auth = spdm::MutualAuth::kOptional;
    options.capabilities = spdm::default_responder_flags() | wire::kSpdmCapMutAuth |
                           wire::kSpdmCapEncap | wire::kSpdmCapCsr | wire::kSpdmCapSetCert |
                           wire::kSpdmCapEvent | wire::kSpdmCapGetKeyPairInfo |
                           wire::kSpdmCapEndpointInfoSig;
    options.cxl = true;
    return options;
  }
  /// How many answers go through before the next that is changed.
  void next_change() {
    const auto left = changes_.le<std::uint8_t>();
    left_ = changes_.ok() ? std::optional<unsigned>(left) : std::nullopt;
  }
  std::expected<Bytes, serve::Loss> changed(Bytes answer) {
    const Kind kind{static_cast<std::uint8_t>(changes_.le<std::uint8_t>() % 6)};
    const auto at = changes_.le<std::uint16_t>();
    const auto with = changes_.le<std::uint8_t>();
    if (!changes_.ok()) return answer;
    next_change();
    honest_ = false;
    switch (kind) {
      case Kind::kByte:
        if (!answer.empty()) answer[at % answer.size()] ^= std::byte{with};
        return answer;
      case Kind::kCut:
        answer.resize(answer.empty() ? 0 : at % answer.size());
        return answer;
      case Kind::kMore:
        answer.insert(answer.end(), at % 0x400, std::byte{with});
        return answer;
      case Kind::kNone:
        return Bytes{};
      case Kind::kLost:
        return std::unexpected(serve::Loss{static_cast<std::uint8_t>(with % 3)});
      case Kind::kTwice:
        answer.insert(answer.end(), answer.begin(), answer.end());
        return answer;
    }
    return answer;
  }

  NoKeyLog log_;
  const serve::SpeakerOptions options_ = options();
  serve::ServedDevice device_{card(), options_, log_};
  Reader changes_;
  std::optional<unsigned> left_;
  bool honest_ = true;
};

const std::vector<validate::PlannedCase>& cases() {
  static const auto kCases = [] {
    std::vector<std::string> all;
    for (const std::string_view name : validate::suite_names()) all.emplace_back(name);
    return validate::plan(all, {}, validate::Where::kSocket);
  }();
  return kCases;
}

}  // namespace

/// Which case; then changes: how many answers before, what, where, with which byte.
void run(ByteView input) {
  const crypto::SeededRandom seeded(1);
  Reader reader(input);
  const auto number = reader.le<std::uint16_t>();
  if (!reader.ok()) return;
  Bus bus(reader.rest());
  validate::Target target;
  target.bus = &bus;
  target.timeout_ms = 1;
  const auto result = validate::run_case(cases()[number % cases().size()], target);
  TEEIO_CHECK(!bus.was_honest() || result.verdict.kind != validate::Verdict::Kind::kFail,
              "a case fails on an honest device");
  TEEIO_CHECK(result.verdict.kind == validate::Verdict::Kind::kPass || !result.verdict.why.empty(),
              "a verdict without a reason");
}

}  // namespace teeio::fuzz
