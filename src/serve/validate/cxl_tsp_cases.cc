// CXL's TEE Security Protocol. Messages and numbers: libspdm
// include/industry_standard/cxl_tsp.h; cases: intel/tee-io-validator doc/tsp_test/TspTestCase.
#include <fmt/format.h>

#include <bit>

#include "serve/validate/cxl.h"

namespace teeio::serve::validate {
namespace {

constexpr std::uint8_t kTspVersion10 = 0x10;
enum class Code : std::uint8_t {
  kGetVersion = 0x81,
  kGetCapabilities = 0x82,
  kSetConfiguration = 0x83,
  kGetConfiguration = 0x84,
  kGetReport = 0x85,
  kLock = 0x86,
};
constexpr std::uint8_t kError = 0x7f;
constexpr std::uint16_t kAlreadyLocked = 0x0d;
// Memory encryption features; TE state features.
constexpr unsigned kEncryption = 1, kCkidBased = 2, kRangeBased = 4;
constexpr unsigned kWriteAccess = 1, kReadAccess = 2, kImplicit = 4, kOutOfBand = 8, kInBand = 0x10,
                   kSanitize = 0x20;
constexpr unsigned kAesXts = 3;  // 128 and 256
constexpr std::size_t kSetBytes = 0x160;

/// The response of the request's code; anything else is a failure.
std::expected<Bytes, Verdict> ask(Session& session, Code code, ByteView rest = Bytes(2)) {
  const Bytes request = Writer().le(kTspVersion10).le(std::to_underlying(code)).bytes(rest).take();
  auto answer = ask_cxl(session, CxlProtocol::kTsp, request);
  if (!answer) return answer;
  const auto wanted = static_cast<std::uint8_t>(std::to_underlying(code) & 0x7fU);
  if (byte_at(*answer, 0) != kTspVersion10 || byte_at(*answer, 1) != wanted)
    return std::unexpected(failed(fmt::format("version {:#04x}, code {:#04x} came",
                                              byte_at(*answer, 0), byte_at(*answer, 1))));
  return answer;
}

struct Capabilities {
  unsigned encryption = 0, algorithms = 0, range_keys = 0, te_state = 0;
  std::uint32_t out_of_band = 0, in_band = 0;
  unsigned configuration = 0;
};
std::expected<Capabilities, Verdict> capabilities(Session& session) {
  constexpr std::size_t kBytes = 0x34;
  const auto answer = ask(session, Code::kGetCapabilities);
  if (!answer) return std::unexpected(answer.error());
  if (answer->size() < kBytes)
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
  return found;
}

struct Configuration {
  unsigned encryption = 0, algorithm = 0, te_state = 0, configuration = 0;
  std::uint32_t out_of_band = 0;
  std::uint8_t state = 0;
};
std::expected<Configuration, Verdict> configuration(Session& session) {
  constexpr std::size_t kStateAt = 36;
  const auto answer = ask(session, Code::kGetConfiguration);
  if (!answer) return std::unexpected(answer.error());
  if (answer->size() <= kStateAt)
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
  found.state = byte_at(*answer, kStateAt);
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
Bytes wanted(const Capabilities& has) {
  const unsigned keys =
      (has.encryption & kCkidBased) != 0 ? kCkidBased : has.encryption & kRangeBased;
  const unsigned algorithms = has.algorithms & kAesXts;
  const unsigned algorithm = 1U << static_cast<unsigned>(std::countr_zero(algorithms));
  return Writer()
      .le(static_cast<std::uint16_t>(kEncryption | keys))
      .le(std::uint32_t{algorithms == 0 ? 0 : algorithm})
      .zeros(kSetBytes - 8)
      .take();
}

Verdict version(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  TEEIO_CASE_ASSIGN(const Bytes answer, ask(session, Code::kGetVersion));
  constexpr std::size_t kCount = 4;
  TEEIO_CASE(byte_at(answer, kCount) == 1 && byte_at(answer, kCount + 1) == kTspVersion10,
             "{} versions come, the first is {:#04x}", byte_at(answer, kCount),
             byte_at(answer, kCount + 1));
  return passed();
}

Verdict capabilities_agree(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  TEEIO_CASE_ASSIGN(const Capabilities has, capabilities(session));
  const bool explicit_change = (has.te_state & (kOutOfBand | kInBand)) != 0;
  TEEIO_CASE((has.encryption & kEncryption) != 0, "no encryption is supported: {:#06x}",
             has.encryption);
  TEEIO_CASE((has.algorithms & kAesXts) != 0, "neither AES-XTS-128 nor -256 is supported: {:#010x}",
             has.algorithms);
  TEEIO_CASE(((has.encryption & kRangeBased) != 0) == (has.range_keys != 0),
             "range based encryption is {}supported with {} keys",
             (has.encryption & kRangeBased) != 0 ? "" : "not ", has.range_keys);
  TEEIO_CASE((has.te_state & (kWriteAccess | kSanitize)) == 0 || explicit_change,
             "no explicit change of the TE state: {:#06x}", has.te_state);
  TEEIO_CASE(
      (has.te_state & kReadAccess) == 0 || explicit_change || (has.te_state & kImplicit) != 0,
      "read access control without any change of the TE state: {:#06x}", has.te_state);
  TEEIO_CASE(
      (has.te_state & kImplicit) == 0 || ((has.te_state & kInBand) != 0 && (has.in_band & 1U) != 0),
      "implicit changes without explicit ones in-band of 64 bytes: {:#06x}, {:#010x}", has.te_state,
      has.in_band);
  return passed();
}

Verdict set_configuration(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, unlocked(bench));
  TEEIO_CASE_ASSIGN(const Capabilities has, capabilities(session));
  TEEIO_CASE_ASSIGN(const Bytes answer, ask(session, Code::kSetConfiguration, wanted(has)));
  (void)answer;
  return passed();
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
  TEEIO_CASE((now.encryption & ~has.encryption) == 0, "encryption {:#06x} is enabled of {:#06x}",
             now.encryption, has.encryption);
  TEEIO_CASE((now.algorithm & ~has.algorithms) == 0 && std::popcount(now.algorithm & kAesXts) <= 1,
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

Verdict lock_again(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  TEEIO_CASE_ASSIGN(const Configuration now, configuration(session));
  if (now.state != 1) return skipped("the target is not locked");
  const Bytes request =
      Writer().le(kTspVersion10).le(std::to_underlying(Code::kLock)).zeros(2).take();
  TEEIO_CASE_ASSIGN(const Bytes answer, ask_cxl(session, CxlProtocol::kTsp, request));
  TEEIO_CASE(byte_at(answer, 1) == kError && answer.size() >= 6, "code {:#04x} came",
             byte_at(answer, 1));
  const auto code = Reader(ByteView(answer).subspan(4)).le<std::uint16_t>();
  TEEIO_CASE(code == kAlreadyLocked, "error {:#04x} came", code);
  return passed();
}

Verdict unknown(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  const Bytes request = Writer().le(kTspVersion10).le(std::uint8_t{0xfe}).zeros(2).take();
  TEEIO_CASE_ASSIGN(const Bytes answer, ask_cxl(session, CxlProtocol::kTsp, request));
  TEEIO_CASE(byte_at(answer, 1) == kError, "code {:#04x} came", byte_at(answer, 1));
  return passed();
}

constexpr Case kTspCases[] = {
    {"tsp.version", "GET_TARGET_TSP_VERSION gets 1.0 alone",
     "CXL 3.1, 11.5 TSP; tee-io-validator 1.1", version},
    {"tsp.capabilities", "GET_TARGET_CAPABILITIES gets capabilities that go together",
     "CXL 3.1, 11.5 TSP; tee-io-validator 2.1", capabilities_agree},
    {"tsp.set", "SET_TARGET_CONFIGURATION with what is supported is taken while unlocked",
     "CXL 3.1, 11.5 TSP; tee-io-validator 3.1", set_configuration},
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
};

}  // namespace

std::span<const Case> cxl_tsp_cases() { return kTspCases; }

}  // namespace teeio::serve::validate
