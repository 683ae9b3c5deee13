// Both ends of SPDM in one thread, without a socket. The bare primitives that a
// session cannot do without are measured beside it, with the same calls.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdlib>
#include <optional>

#include "crypto/identity.h"
#include "crypto/key_exchange.h"
#include "crypto/random.h"
#include "spdm/requester.h"
#include "spdm/responder.h"

namespace {

using namespace teeio;
using namespace teeio::spdm;

void require(bool holds) {
  if (!holds) std::abort();
}

struct Strength {
  crypto::KeyType key;
  crypto::SignatureAlgorithm signature;
  crypto::HashAlgorithm hash;
  crypto::KeyExchangeGroup group;
  Algorithms (*algorithms)();
};
constexpr Strength kP256{crypto::KeyType::kP256, crypto::SignatureAlgorithm::kEcdsaP256,
                         crypto::HashAlgorithm::kSha256, crypto::KeyExchangeGroup::kP256,
                         Algorithms::p256};
constexpr Strength kP384{crypto::KeyType::kP384, crypto::SignatureAlgorithm::kEcdsaP384,
                         crypto::HashAlgorithm::kSha384, crypto::KeyExchangeGroup::kP384,
                         Algorithms::cnsa};

/// ITERATIONS=N runs each N times: instructions of one are the difference of two
/// runs under callgrind (bench/instructions).
void counted(benchmark::internal::Benchmark* one) {
  if (const char* const count = std::getenv("ITERATIONS"); count != nullptr)
    one->Iterations(std::atol(count));
}

/// A device's connection and its peer's. Certificates are made once.
struct Ends {
  explicit Ends(const Strength& strength, std::uint32_t transfer = 0x1200)
      : pki(crypto::make_device_identity(1, strength.key)), credentials(pki.device) {
    RequesterConfig theirs;
    theirs.settings.versions = {0x12};
    theirs.settings.algorithms = strength.algorithms();
    theirs.settings.data_transfer_size = transfer;
    theirs.settings.max_message_size = transfer;
    theirs.trust_anchors = {pki.device.chain.first()};
    ResponderConfig ours;
    ours.settings = theirs.settings;
    ours.credentials = &credentials;
    requester.emplace(std::move(theirs));
    responder.emplace(std::move(ours));
  }

  void run() {
    while (const Message* request = requester->request()) {
      const Bytes packet = wrap(Transport::kPciDoe, view(*request));
      auto step = responder->receive(*unwrap(Transport::kPciDoe, packet));
      if (auto* app = std::get_if<AppRequest>(&step)) step = *responder->answer(app->payload);
      const Bytes back = wrap(Transport::kPciDoe, view(std::get<Message>(step)));
      require(requester->take(*unwrap(Transport::kPciDoe, back)).has_value());
    }
    require(!requester->failure());
  }

  std::uint32_t open() {
    requester->connect();
    requester->get_certificates(0);
    requester->open_session({});
    run();
    return *requester->last_session();
  }

  crypto::Pki pki;
  FixedCredentials credentials;
  std::optional<Requester> requester;
  std::optional<Responder> responder;
};

/// GET_VERSION, CAPABILITIES, ALGORITHMS, DIGESTS, CERTIFICATE, KEY_EXCHANGE, FINISH.
void open_session(benchmark::State& state, const Strength& strength) {
  Ends ends(strength);
  for (auto _ : state) {
    // The requester knows nothing of the device from before.
    ends.requester->reset();
    benchmark::DoNotOptimize(ends.open());
  }
}
BENCHMARK_CAPTURE(open_session, p256, kP256)->Apply(counted)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(open_session, p384, kP384)->Apply(counted)->Unit(benchmark::kMicrosecond);

/// What such a session is made of: two ephemeral keys, two derivations, one
/// signature, and three verifications (two certificates below the root, and
/// KEY_EXCHANGE_RSP).
void bare_primitives(benchmark::State& state, const Strength& strength) {
  const auto key = crypto::PrivateKey::generate(strength.key);
  const Bytes message(146);
  const auto signature = key.sign(strength.signature, strength.hash, message);
  for (auto _ : state) {
    const auto one = crypto::EphemeralKey::generate(strength.group);
    const auto other = crypto::EphemeralKey::generate(strength.group);
    benchmark::DoNotOptimize(one.derive(other.exchange_data()));
    benchmark::DoNotOptimize(other.derive(one.exchange_data()));
    benchmark::DoNotOptimize(key.sign(strength.signature, strength.hash, message));
    for (int i = 0; i < 3; ++i)
      require(key.public_key()
                  .verify(strength.signature, strength.hash, message, *signature)
                  .has_value());
  }
}
BENCHMARK_CAPTURE(bare_primitives, p256, kP256)->Apply(counted)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(bare_primitives, p384, kP384)->Apply(counted)->Unit(benchmark::kMicrosecond);

/// One TDISP GET_DEVICE_INTERFACE_STATE in a session, from the requester's message
/// to its answer in hand. The argument is the largest message in bytes: nothing
/// may depend on it.
void tdisp_round_trip(benchmark::State& state) {
  Ends ends(kP384, static_cast<std::uint32_t>(state.range(0)));
  const std::uint32_t session = ends.open();
  static constexpr std::array kPciSig{std::byte{1}, std::byte{0}};
  const Bytes message(17, std::byte{1});  // protocol byte and TDISP header
  for (auto _ : state) {
    ends.requester->send_app(session, 3, kPciSig, message);
    ends.run();
    benchmark::DoNotOptimize(ends.requester->app_answer());
  }
}
BENCHMARK(tdisp_round_trip)->Apply(counted)->Arg(0x1200)->Arg(0x28000);

/// A message of so many bytes there and back.
void message_round_trip(benchmark::State& state) {
  Ends ends(kP384, 0x8000);
  const std::uint32_t session = ends.open();
  static constexpr std::array kPciSig{std::byte{1}, std::byte{0}};
  const Bytes message(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    ends.requester->send_app(session, 3, kPciSig, message);
    ends.run();
  }
  state.SetBytesProcessed(2 * state.range(0) * static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK(message_round_trip)->Apply(counted)->Arg(256)->Arg(1024)->Arg(4096);

}  // namespace
