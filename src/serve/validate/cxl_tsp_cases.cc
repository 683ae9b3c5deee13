// CXL's TEE Security Protocol. Messages and numbers: libspdm
// include/industry_standard/cxl_tsp.h; cases: intel/tee-io-validator doc/tsp_test/TspTestCase.
#include <fmt/format.h>

#include <bit>
#include <utility>

#include "serve/validate/cxl.h"

namespace teeio::serve::validate {
namespace {

namespace tsp = wire::cxl::tsp;
using tsp::Code;
using wire::cxl::byte_at;
using wire::cxl::Protocol;

/// The response of the request's code; anything else is a failure.
std::expected<Bytes, Verdict> ask(Session& session, Code code, ByteView rest = Bytes(2)) {
  const Bytes request =
      Writer().le(tsp::kVersion10).le(std::to_underlying(code)).bytes(rest).take();
  auto answer = ask_cxl(session, Protocol::kTsp, request);
  if (!answer) return answer;
  const auto wanted = static_cast<std::uint8_t>(std::to_underlying(code) & 0x7fU);
  if (byte_at(*answer, 0) != tsp::kVersion10 || byte_at(*answer, 1) != wanted)
    return std::unexpected(failed(fmt::format("version {:#04x}, code {:#04x} came",
                                              byte_at(*answer, 0), byte_at(*answer, 1))));
  return answer;
}

struct Capabilities {
  unsigned encryption = 0, algorithms = 0, range_keys = 0, te_state = 0;
  std::uint32_t out_of_band = 0, in_band = 0;
  unsigned configuration = 0;
  std::uint32_t ckids = 0;
  unsigned sessions = 0;
};
std::expected<Capabilities, Verdict> capabilities(Session& session) {
  const auto answer = ask(session, Code::kGetCapabilities);
  if (!answer) return std::unexpected(answer.error());
  if (answer->size() < tsp::kCapabilitiesBytes)
    return std::unexpected(failed(fmt::format("the response has {} bytes", answer->size())));
  Reader r(ByteView(*answer).subspan(2));
  Capabilities found;
  found.encryption = r.le<std::uint16_t>();
  found.algorithms = r.le<std::uint32_t>();
  found.range_keys = r.le<std::uint16_t>();
  r.skip(2);
  found.te_state = r.le<std::uint16_t>();
  r.skip(2);
  found.out_of_band = r.le<std::uint32_t>();
  found.in_band = r.le<std::uint32_t>();
  found.configuration = r.le<std::uint16_t>();
  r.skip(2);
  found.ckids = r.le<std::uint32_t>();
  found.sessions = r.le<std::uint8_t>();
  return found;
}

struct Configuration {
  unsigned encryption = 0, algorithm = 0, te_state = 0, configuration = 0;
  std::uint32_t out_of_band = 0;
  std::uint8_t state = 0;
};
std::expected<Configuration, Verdict> configuration(Session& session) {
  const auto answer = ask(session, Code::kGetConfiguration);
  if (!answer) return std::unexpected(answer.error());
  if (answer->size() < tsp::kConfigurationBytes)
    return std::unexpected(failed(fmt::format("the response has {} bytes", answer->size())));
  Reader r(ByteView(*answer).subspan(2));
  Configuration found;
  found.encryption = r.le<std::uint16_t>();
  found.algorithm = r.le<std::uint32_t>();
  r.skip(4);
  found.te_state = r.le<std::uint16_t>();
  r.skip(2);
  found.out_of_band = r.le<std::uint32_t>();
  r.skip(4);
  found.configuration = r.le<std::uint16_t>();
  found.state = byte_at(*answer, tsp::kStateAt);
  return found;
}

/// A session of a target that is not locked, which nothing but a reset undoes.
std::expected<Session, Verdict> unlocked(Bench& bench) {
  auto session = bench.session();
  if (!session) return session;
  const auto now = configuration(*session);
  if (!now) return std::unexpected(now.error());
  if (now->state != 0)
    return std::unexpected(skipped(fmt::format("the target is in state {} already", now->state)));
  return session;
}

/// What SET_TARGET_CONFIGURATION asks for: of what is supported, the least that makes sense.
struct Wanted {
  unsigned encryption = tsp::kEncryption;
  std::uint32_t algorithm = 0;
  unsigned te_state = 0;
  unsigned configuration = 0;

  explicit Wanted(const Capabilities& has) {
    const std::uint32_t algorithms = has.algorithms & tsp::kAesXts;
    algorithm = algorithms & (~algorithms + 1);  // its lowest bit, or none
    const unsigned can = tsp::can_be_enabled(has.encryption);
    if ((can & tsp::kCkidBased) != 0)
      encryption |= can & (tsp::kCkidBased | tsp::kCkidRequiredEnabled);
    else
      encryption |= can & tsp::kRangeBased;
  }
  [[nodiscard]] Bytes rest() const {
    constexpr std::size_t kWritten = 26;  // with the header
    return Writer()
        .le(static_cast<std::uint16_t>(encryption))
        .le(algorithm)
        .zeros(4)
        .le(static_cast<std::uint16_t>(te_state))
        .zeros(10)
        .le(static_cast<std::uint16_t>(configuration))
        .zeros(tsp::kSetBytes - kWritten)
        .take();
  }
};
Bytes wanted(const Capabilities& has) { return Wanted(has).rest(); }

/// The code of TSP's error to a request.
std::expected<std::uint32_t, Verdict> error_to(Session& session, const Bytes& request) {
  auto answer = ask_cxl(session, Protocol::kTsp, request);
  if (!answer) return std::unexpected(std::move(answer.error()));
  if (byte_at(*answer, 1) != tsp::kErrorResponse || answer->size() < tsp::kErrorCodeAt + 4)
    return std::unexpected(
        failed(fmt::format("code {:#04x} in {} bytes came", byte_at(*answer, 1), answer->size())));
  return Reader(ByteView(*answer).subspan(tsp::kErrorCodeAt)).le<std::uint32_t>();
}

Bytes request_of(Code code, ByteView rest, std::uint8_t version = tsp::kVersion10) {
  return Writer().le(version).le(std::to_underlying(code)).bytes(rest).take();
}

/// `request` gets that error.
Verdict refused_with(Session& session, const Bytes& request, tsp::Error error) {
  TEEIO_CASE_ASSIGN(const std::uint32_t code, error_to(session, request));
  TEEIO_CASE(code == std::to_underlying(error), "error {:#04x} came, not {:#04x}", code,
             std::to_underlying(error));
  return passed();
}

/// SET_TARGET_CONFIGURATION is refused for what is in it. Which of the two errors is said is
/// nobody's matter: the names fit both, and spdm-emu's responder says INVALID_REQUEST.
Verdict not_configured(Session& session, const Wanted& configuration, std::string_view what) {
  TEEIO_CASE_ASSIGN(const std::uint32_t code,
                    error_to(session, request_of(Code::kSetConfiguration, configuration.rest())));
  TEEIO_CASE(code == std::to_underlying(tsp::Error::kInvalidRequest) ||
                 code == std::to_underlying(tsp::Error::kInvalidSecurityConfiguration),
             "{}: error {:#04x} came", what, code);
  return passed();
}

Verdict version(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  TEEIO_CASE_ASSIGN(const Bytes answer, ask(session, Code::kGetVersion));
  constexpr std::size_t kCount = 4;
  TEEIO_CASE(byte_at(answer, kCount) == 1 && byte_at(answer, kCount + 1) == tsp::kVersion10,
             "{} versions come, the first is {:#04x}", byte_at(answer, kCount),
             byte_at(answer, kCount + 1));
  return passed();
}

/// Granularities, CKIDs and further sessions are there where their features are, and only there.
Verdict counts_agree(const Capabilities& has) {
  constexpr std::uint32_t kInBandLengths = 0x800007ff;
  constexpr std::uint32_t kCkids = 0x2000;
  constexpr unsigned kMoreSessions = 2, kMostSessions = 4;
  const bool by_ckid = (has.encryption & tsp::kCkidBased) != 0;
  const bool more = (has.configuration & kMoreSessions) != 0;
  TEEIO_CASE(((has.te_state & tsp::kOutOfBand) != 0) == (has.out_of_band != 0),
             "TE state features {:#06x} with out-of-band granularities {:#010x}", has.te_state,
             has.out_of_band);
  TEEIO_CASE(((has.te_state & tsp::kInBand) != 0) == ((has.in_band & kInBandLengths) != 0),
             "TE state features {:#06x} with in-band granularities {:#010x}", has.te_state,
             has.in_band);
  TEEIO_CASE(by_ckid ? has.ckids >= 2 && has.ckids < kCkids : has.ckids == 0,
             "encryption features {:#06x} with {} CKIDs", has.encryption, has.ckids);
  TEEIO_CASE(more ? has.sessions >= 1 && has.sessions <= kMostSessions : has.sessions == 0,
             "configuration features {:#06x} with {} secondary sessions", has.configuration,
             has.sessions);
  return passed();
}

Verdict capabilities_agree(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  TEEIO_CASE_ASSIGN(const Capabilities has, capabilities(session));
  const bool explicit_change = (has.te_state & (tsp::kOutOfBand | tsp::kInBand)) != 0;
  TEEIO_CASE((has.encryption & tsp::kEncryption) != 0, "no encryption is supported: {:#06x}",
             has.encryption);
  TEEIO_CASE((has.algorithms & tsp::kAesXts) != 0,
             "neither AES-XTS-128 nor -256 is supported: {:#010x}", has.algorithms);
  TEEIO_CASE(((has.encryption & tsp::kRangeBased) != 0) == (has.range_keys != 0),
             "range based encryption is {}supported with {} keys",
             (has.encryption & tsp::kRangeBased) != 0 ? "" : "not ", has.range_keys);
  TEEIO_CASE((has.te_state & (tsp::kWriteAccess | tsp::kSanitize)) == 0 || explicit_change,
             "no explicit change of the TE state: {:#06x}", has.te_state);
  TEEIO_CASE((has.te_state & tsp::kReadAccess) == 0 || explicit_change ||
                 (has.te_state & tsp::kImplicit) != 0,
             "read access control without any change of the TE state: {:#06x}", has.te_state);
  TEEIO_CASE((has.te_state & tsp::kImplicit) == 0 ||
                 ((has.te_state & tsp::kInBand) != 0 && (has.in_band & 1U) != 0),
             "implicit changes without explicit ones in-band of 64 bytes: {:#06x}, {:#010x}",
             has.te_state, has.in_band);
  return counts_agree(has);
}

Verdict set_configuration(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, unlocked(bench));
  TEEIO_CASE_ASSIGN(const Capabilities has, capabilities(session));
  TEEIO_CASE_ASSIGN(const Bytes answer, ask(session, Code::kSetConfiguration, wanted(has)));
  (void)answer;
  return passed();
}

/// A feature that is not supported, of each kind of which there is one.
Verdict set_unsupported(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, unlocked(bench));
  TEEIO_CASE_ASSIGN(const Capabilities has, capabilities(session));
  constexpr unsigned kTeStates = 0x3f;
  const unsigned encryption =
      (tsp::kRangeBased | tsp::kCkidBased) & ~tsp::can_be_enabled(has.encryption);
  const std::uint32_t algorithms = tsp::kAesXts & ~has.algorithms;
  const unsigned te_state = kTeStates & ~has.te_state;
  if (encryption == 0 && algorithms == 0 && te_state == 0)
    return skipped("the target supports everything");
  Wanted more(has);
  if (encryption != 0) {
    more.encryption = tsp::kEncryption | (encryption & (~encryption + 1));
    if (Verdict verdict = not_configured(session, more, "an encryption feature that it lacks");
        verdict.kind != Verdict::Kind::kPass)
      return verdict;
  }
  more = Wanted(has);
  if (algorithms != 0) {
    more.algorithm = algorithms & (~algorithms + 1);
    if (Verdict verdict = not_configured(session, more, "an algorithm that it lacks");
        verdict.kind != Verdict::Kind::kPass)
      return verdict;
  }
  more = Wanted(has);
  more.te_state = te_state & (~te_state + 1);
  return te_state == 0 ? passed()
                       : not_configured(session, more, "a TE state feature that it lacks");
}

Verdict set_two_algorithms(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, unlocked(bench));
  TEEIO_CASE_ASSIGN(const Capabilities has, capabilities(session));
  Wanted both(has);
  both.algorithm = tsp::kAesXts;
  return not_configured(session, both, "both algorithms at once");
}

Verdict other_version(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  return refused_with(session, request_of(Code::kGetCapabilities, Bytes(2), 0x20),
                      tsp::Error::kVersionMismatch);
}

Verdict half_a_request(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, unlocked(bench));
  return refused_with(session, request_of(Code::kSetConfiguration, Bytes(tsp::kSetBytes / 2)),
                      tsp::Error::kInvalidRequest);
}

/// Whatever is enabled is supported.
Verdict get_configuration(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  TEEIO_CASE_ASSIGN(const Capabilities has, capabilities(session));
  TEEIO_CASE_ASSIGN(const Configuration before, configuration(session));
  if (before.state == 0) {  // what a target has before anybody set it is not said
    TEEIO_CASE_ASSIGN(const Bytes done, ask(session, Code::kSetConfiguration, wanted(has)));
    (void)done;
  }
  TEEIO_CASE_ASSIGN(const Configuration now, configuration(session));
  TEEIO_CASE((now.encryption & ~tsp::can_be_enabled(has.encryption)) == 0,
             "encryption {:#06x} is enabled of {:#06x}", now.encryption, has.encryption);
  TEEIO_CASE(
      (now.algorithm & ~has.algorithms) == 0 && std::popcount(now.algorithm & tsp::kAesXts) <= 1,
      "algorithm {:#010x} is selected of {:#010x}", now.algorithm, has.algorithms);
  TEEIO_CASE((now.te_state & ~has.te_state) == 0, "TE state features {:#06x} of {:#06x}",
             now.te_state, has.te_state);
  TEEIO_CASE((now.out_of_band & ~has.out_of_band) == 0, "granularity {:#010x} of {:#010x}",
             now.out_of_band, has.out_of_band);
  TEEIO_CASE((now.configuration & ~(has.configuration & 1U)) == 0,
             "configuration features {:#06x} of {:#06x}", now.configuration, has.configuration);
  TEEIO_CASE(now.state <= 2, "there is no state {}", now.state);
  return passed();
}

Verdict report(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  constexpr std::uint16_t kPortion = 0x200;
  std::size_t size = 0;
  for (std::uint16_t remainder = 1; remainder != 0;) {
    const Bytes rest = Writer().zeros(2).le(static_cast<std::uint16_t>(size)).le(kPortion).take();
    TEEIO_CASE_ASSIGN(const Bytes answer, ask(session, Code::kGetReport, rest));
    TEEIO_CASE(answer.size() >= 8, "the response has {} bytes", answer.size());
    Reader r(ByteView(answer).subspan(4));
    const auto portion = r.le<std::uint16_t>();
    remainder = r.le<std::uint16_t>();
    TEEIO_CASE(portion > 0 && portion <= kPortion && r.rest().size() == portion,
               "a portion of {} bytes is announced and {} came", portion, r.rest().size());
    size += portion;
    TEEIO_CASE(size + remainder <= 0xffff, "the report has no end");
  }
  TEEIO_CASE(size >= 4, "the report has {} bytes", size);
  return passed();
}

/// CONFIG_LOCKED is left by a reset alone, so that a device on a bus is not brought there.
Verdict lock(Bench& bench) {
  if (bench.target().bus != nullptr) return skipped("only a reset unlocks, and this is a real bus");
  TEEIO_CASE_ASSIGN(Session session, unlocked(bench));
  TEEIO_CASE_ASSIGN(const Capabilities has, capabilities(session));
  TEEIO_CASE_ASSIGN(const Bytes set, ask(session, Code::kSetConfiguration, wanted(has)));
  TEEIO_CASE_ASSIGN(const Bytes locked, ask(session, Code::kLock));
  TEEIO_CASE_ASSIGN(const Configuration now, configuration(session));
  TEEIO_CASE(now.state == 1, "the state is {} then", now.state);
  return passed();
}

/// A session of a locked target.
std::expected<Session, Verdict> locked(Bench& bench) {
  auto session = bench.session();
  if (!session) return session;
  const auto now = configuration(*session);
  if (!now) return std::unexpected(now.error());
  if (now->state != 1) return std::unexpected(skipped("the target is not locked"));
  return session;
}

Verdict lock_again(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, locked(bench));
  return refused_with(session, request_of(Code::kLock, Bytes(2)), tsp::Error::kAlreadyLocked);
}

Verdict set_locked(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, locked(bench));
  TEEIO_CASE_ASSIGN(const Capabilities has, capabilities(session));
  return refused_with(session, request_of(Code::kSetConfiguration, wanted(has)),
                      tsp::Error::kInvalidSecurityState);
}

Verdict unknown(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  TEEIO_CASE_ASSIGN(const std::uint32_t code, error_to(session, request_of(Code{0xfe}, Bytes(2))));
  (void)code;
  return passed();
}

constexpr Case kTspCases[] = {
    {"tsp.version", "GET_TARGET_TSP_VERSION gets 1.0 alone",
     "CXL 3.1, 11.5 TSP; tee-io-validator 1.1", version},
    {"tsp.capabilities", "GET_TARGET_CAPABILITIES gets capabilities that go together",
     "CXL 3.1, 11.5 TSP; tee-io-validator 2.1", capabilities_agree},
    {"tsp.set", "SET_TARGET_CONFIGURATION with what is supported is taken while unlocked",
     "CXL 3.1, 11.5 TSP; tee-io-validator 3.1", set_configuration},
    {"tsp.set.unsupported", "SET_TARGET_CONFIGURATION with what is not supported gets TSP's error",
     "CXL 3.1, 11.5 TSP", set_unsupported},
    {"tsp.set.algorithms", "SET_TARGET_CONFIGURATION with two algorithms gets TSP's error",
     "CXL 3.1, 11.5 TSP", set_two_algorithms},
    {"tsp.set.length", "Half a SET_TARGET_CONFIGURATION gets INVALID_REQUEST", "CXL 3.1, 11.5 TSP",
     half_a_request},
    {"tsp.version.other", "A request of another TSP version gets VERSION_MISMATCH",
     "CXL 3.1, 11.5 TSP", other_version},
    {"tsp.get", "Whatever GET_TARGET_CONFIGURATION shows as enabled is supported",
     "CXL 3.1, 11.5 TSP; tee-io-validator 4.1", get_configuration},
    {"tsp.report", "GET_TARGET_CONFIGURATION_REPORT comes whole, in portions",
     "CXL 3.1, 11.5 TSP; tee-io-validator 5.1", report},
    {"tsp.unknown", "A TSP request that does not exist gets TSP's error", "CXL 3.1, 11.5 TSP",
     unknown},
    {"tsp.lock", "LOCK_TARGET_CONFIGURATION locks", "CXL 3.1, 11.5 TSP; tee-io-validator 6.1",
     lock},
    {"tsp.lock.again", "LOCK_TARGET_CONFIGURATION of a locked target gets ALREADY_LOCKED",
     "CXL 3.1, 11.5 TSP; tee-io-validator 6.2", lock_again},
    {"tsp.lock.set", "SET_TARGET_CONFIGURATION of a locked target gets INVALID_SECURITY_STATE",
     "CXL 3.1, 11.5 TSP", set_locked},
};

}  // namespace

std::span<const Case> cxl_tsp_cases() { return kTspCases; }

}  // namespace teeio::serve::validate
