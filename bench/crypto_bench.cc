// The cryptography of SPDM sessions against bare OpenSSL, in one run: what the
// record layer and the key handling cost beyond the primitives themselves.
// ITERATIONS=N runs each benchmark N times: instructions of one are the difference
// of two runs under callgrind (bench/instructions).
#include <benchmark/benchmark.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include <cstdlib>
#include <memory>

#include "base/check.h"
#include "crypto/identity.h"
#include "crypto/key_exchange.h"
#include "spdm/secured_session.h"

namespace teeio {
namespace {

void counted(benchmark::internal::Benchmark* one) {
  if (const char* const count = std::getenv("ITERATIONS"); count != nullptr)
    one->Iterations(std::atol(count));
}

using crypto::EphemeralKey;
using crypto::KeyExchangeGroup;
using crypto::KeyType;

// --- records -------------------------------------------------------------

struct FreeCipher {
  void operator()(EVP_CIPHER_CTX* p) const { EVP_CIPHER_CTX_free(p); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

Cipher bare_cipher(bool seal) {
  const std::array<unsigned char, 32> key{};
  Cipher context(EVP_CIPHER_CTX_new());
  EVP_CipherInit_ex2(context.get(), EVP_aes_256_gcm(), key.data(), nullptr, seal ? 1 : 0, nullptr);
  return context;
}

/// Two passes with contexts that are kept: nothing but a nonce, 6 bytes of
/// associated data, the text in place, and the tag.
void bare_gcm(benchmark::State& state) {
  const Cipher sealer = bare_cipher(true);
  const Cipher opener = bare_cipher(false);
  std::vector<unsigned char> text(static_cast<std::size_t>(state.range(0)));
  std::array<unsigned char, 6> header{};
  std::array<unsigned char, 12> nonce{};
  std::array<unsigned char, 16> tag{};
  const int size = static_cast<int>(text.size());
  int n = 0;
  for (auto _ : state) {
    ++nonce[0];
    EVP_EncryptInit_ex2(sealer.get(), nullptr, nullptr, nonce.data(), nullptr);
    EVP_EncryptUpdate(sealer.get(), nullptr, &n, header.data(), 6);
    EVP_EncryptUpdate(sealer.get(), text.data(), &n, text.data(), size);
    EVP_EncryptFinal_ex(sealer.get(), tag.data(), &n);
    EVP_CIPHER_CTX_ctrl(sealer.get(), EVP_CTRL_AEAD_GET_TAG, 16, tag.data());
    EVP_DecryptInit_ex2(opener.get(), nullptr, nullptr, nonce.data(), nullptr);
    EVP_DecryptUpdate(opener.get(), nullptr, &n, header.data(), 6);
    EVP_DecryptUpdate(opener.get(), text.data(), &n, text.data(), size);
    EVP_CIPHER_CTX_ctrl(opener.get(), EVP_CTRL_AEAD_SET_TAG, 16, tag.data());
    if (EVP_DecryptFinal_ex(opener.get(), tag.data(), &n) != 1) state.SkipWithError("tag");
  }
}

struct Pair {
  spdm::SecuredSession requester;
  spdm::SecuredSession responder;
};
Pair session_pair() {
  const spdm::Derivation how{0x12, crypto::HashAlgorithm::kSha384};
  const Bytes secret(48);
  const auto keys = spdm::KeySchedule::from_exchange(how, secret, crypto::Digest(48));
  spdm::SessionConfig config{.id = 0xfffeffff, .derivation = how};
  spdm::SecuredSession requester(config, keys.handshake());
  config.sealing = spdm::Direction::kResponses;
  return {std::move(requester), spdm::SecuredSession(config, keys.handshake())};
}

/// As a transport has it: a new record each time, opened where it lies.
void secured_message(benchmark::State& state) {
  Pair pair = session_pair();
  const Bytes message(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    auto record = pair.requester.seal(message);
    TEEIO_CHECK(record && pair.responder.open_in_place(*record), "a record does not open");
  }
}
void secured_message_to_a_copy(benchmark::State& state) {
  Pair pair = session_pair();
  const Bytes message(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    auto record = pair.requester.seal(message);
    TEEIO_CHECK(record && pair.responder.open(*record), "a record does not open");
  }
}
BENCHMARK(bare_gcm)->Apply(counted)->Arg(16)->Arg(256)->Arg(1024)->Arg(4096);
BENCHMARK(secured_message)->Apply(counted)->Arg(16)->Arg(256)->Arg(1024)->Arg(4096);
BENCHMARK(secured_message_to_a_copy)->Apply(counted)->Arg(4096);

// --- what a session is made of ----------------------------------------------

struct Algorithms {
  KeyType key;
  KeyExchangeGroup group;
  crypto::HashAlgorithm hash;
  const char* curve;
};
constexpr Algorithms kP256{KeyType::kP256, KeyExchangeGroup::kP256, crypto::HashAlgorithm::kSha256,
                           "P-256"};
constexpr Algorithms kP384{KeyType::kP384, KeyExchangeGroup::kP384, crypto::HashAlgorithm::kSha384,
                           "P-384"};
const Algorithms& algorithms(const benchmark::State& state) {
  return state.range(0) == 256 ? kP256 : kP384;
}

/// The primitives alone, on keys that OpenSSL has loaded: both ends' key pairs and
/// shared secrets, the responder's signature, and three verifications (itself
/// and the chain of three below a trusted root).
void bare_session_primitives(benchmark::State& state) {
  const Algorithms& use = algorithms(state);
  EVP_PKEY* const signer = EVP_EC_gen(use.curve);
  std::array<unsigned char, 32> digest{};
  std::array<unsigned char, 256> signature{};
  std::array<unsigned char, 66> secret{};
  for (auto _ : state) {
    EVP_PKEY* const one = EVP_EC_gen(use.curve);
    EVP_PKEY* const other = EVP_EC_gen(use.curve);
    for (const auto& [mine, theirs] : {std::pair(one, other), std::pair(other, one)}) {
      EVP_PKEY_CTX* const context = EVP_PKEY_CTX_new(mine, nullptr);
      std::size_t size = secret.size();
      EVP_PKEY_derive_init(context);
      EVP_PKEY_derive_set_peer_ex(context, theirs, 0);
      if (EVP_PKEY_derive(context, secret.data(), &size) != 1) state.SkipWithError("derive");
      EVP_PKEY_CTX_free(context);
    }
    EVP_PKEY_CTX* const context = EVP_PKEY_CTX_new(signer, nullptr);
    std::size_t size = signature.size();
    EVP_PKEY_sign_init(context);
    EVP_PKEY_sign(context, signature.data(), &size, digest.data(), digest.size());
    EVP_PKEY_verify_init(context);
    for (int i = 0; i < 3; ++i)
      if (EVP_PKEY_verify(context, signature.data(), size, digest.data(), digest.size()) != 1)
        state.SkipWithError("verify");
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(one);
    EVP_PKEY_free(other);
  }
  EVP_PKEY_free(signer);
}

const crypto::Pki& pki(const Algorithms& use) {
  static const crypto::Pki p256 = crypto::make_device_identity(1, KeyType::kP256);
  static const crypto::Pki p384 = crypto::make_device_identity(1, KeyType::kP384);
  return use.key == KeyType::kP256 ? p256 : p384;
}

/// The same through this room, and what else a session needs of it: the peer's chain
/// parsed, both ends' key schedules, and their records' keys.
void session_primitives(benchmark::State& state) {
  const Algorithms& use = algorithms(state);
  const crypto::Identity& device = pki(use).device;
  const Bytes blob = crypto::encode_spdm_chain(device.chain, use.hash);
  const crypto::TrustAnchors anchors(device.chain.certificates().first(1));
  const crypto::SpdmSigning what{.version = 0x12,
                                 .purpose = crypto::SigningPurpose::kResponderKeyExchangeRsp,
                                 .algorithm = crypto::default_algorithm(use.key),
                                 .hash = use.hash};
  const crypto::Digest th(crypto::hash_size(use.hash));
  const spdm::Derivation how{0x12, use.hash};
  for (auto _ : state) {
    const auto peer = crypto::SpdmCertificateChain::parse(blob, use.hash, anchors.certificates());
    TEEIO_CHECK(peer && peer->chain.verify(anchors), "the chain does not verify");
    const EphemeralKey one = EphemeralKey::generate(use.group);
    const EphemeralKey other = EphemeralKey::generate(use.group);
    const auto signature = device.key.sign_spdm(what, th);
    TEEIO_CHECK(peer->chain.leaf().public_key().verify_spdm(what, th, *signature), "signature");
    for (const auto* side : {&one, &other}) {
      const auto secret = side->derive((side == &one ? other : one).exchange_data());
      const auto keys = spdm::KeySchedule::from_exchange(how, secret->view(), th);
      spdm::SecuredSession session({.id = 1, .derivation = how}, keys.handshake());
      benchmark::DoNotOptimize(keys.finished(spdm::Direction::kRequests, th));
      benchmark::DoNotOptimize(keys.finished(spdm::Direction::kResponses, th));
      session.install(keys.data(th).secrets);
    }
  }
}
BENCHMARK(bare_session_primitives)
    ->Apply(counted)
    ->Arg(256)
    ->Arg(384)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(session_primitives)->Apply(counted)->Arg(256)->Arg(384)->Unit(benchmark::kMicrosecond);

// --- the parts ---------------------------------------------------------------

void parse_chain(benchmark::State& state) {
  const Bytes der = pki(algorithms(state)).device.chain.der();
  for (auto _ : state) benchmark::DoNotOptimize(crypto::CertificateChain::parse(der));
}
void verify_chain(benchmark::State& state) {
  const crypto::CertificateChain& chain = pki(algorithms(state)).device.chain;
  const crypto::TrustAnchors anchors(chain.certificates().first(1));
  for (auto _ : state) TEEIO_CHECK(chain.verify(anchors), "the chain does not verify");
}
void key_pair(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(EphemeralKey::generate(algorithms(state).group));
}
void shared_secret(benchmark::State& state) {
  const EphemeralKey one = EphemeralKey::generate(algorithms(state).group);
  const EphemeralKey other = EphemeralKey::generate(algorithms(state).group);
  for (auto _ : state) benchmark::DoNotOptimize(one.derive(other.exchange_data()));
}
void sign(benchmark::State& state) {
  const Algorithms& use = algorithms(state);
  const auto& key = pki(use).device.key;
  for (auto _ : state)
    benchmark::DoNotOptimize(key.sign(crypto::default_algorithm(use.key), use.hash, {}));
}
void verify(benchmark::State& state) {
  const Algorithms& use = algorithms(state);
  const auto& key = pki(use).device.key;
  const Bytes signature = *key.sign(crypto::default_algorithm(use.key), use.hash, {});
  for (auto _ : state)
    TEEIO_CHECK(
        key.public_key().verify(crypto::default_algorithm(use.key), use.hash, {}, signature),
        "a signature does not verify");
}
void key_schedule(benchmark::State& state) {
  const spdm::Derivation how{0x12, algorithms(state).hash};
  const crypto::Digest th(crypto::hash_size(how.hash));
  const Bytes secret(48);
  for (auto _ : state) {
    const auto keys = spdm::KeySchedule::from_exchange(how, secret, th);
    benchmark::DoNotOptimize(keys.finished(spdm::Direction::kRequests, th));
    benchmark::DoNotOptimize(keys.finished(spdm::Direction::kResponses, th));
    spdm::SecuredSession session({.id = 1, .derivation = how}, keys.handshake());
    session.install(keys.data(th).secrets);
  }
}
BENCHMARK(parse_chain)->Apply(counted)->Arg(256)->Arg(384)->Unit(benchmark::kMicrosecond);
BENCHMARK(verify_chain)->Apply(counted)->Arg(256)->Arg(384)->Unit(benchmark::kMicrosecond);
BENCHMARK(key_pair)->Apply(counted)->Arg(256)->Arg(384)->Unit(benchmark::kMicrosecond);
BENCHMARK(shared_secret)->Apply(counted)->Arg(256)->Arg(384)->Unit(benchmark::kMicrosecond);
BENCHMARK(sign)->Apply(counted)->Arg(256)->Arg(384)->Unit(benchmark::kMicrosecond);
BENCHMARK(verify)->Apply(counted)->Arg(256)->Arg(384)->Unit(benchmark::kMicrosecond);
BENCHMARK(key_schedule)->Apply(counted)->Arg(256)->Arg(384)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace teeio
