// What a realm measures, and the token that it proves it with.
#include <fmt/format.h>

#include "unit/firmware/rmm/machine.h"
#include "wire/cbor.h"
#include "wire/cca_token.h"

namespace teeio::rmm {
namespace {

constexpr std::uint64_t kCall = 0xc400'0190;
constexpr std::uint64_t kRead = kCall + 2, kExtend = kCall + 3, kInit = kCall + 4,
                        kContinue = kCall + 5, kConfig = kCall + 6;
constexpr Gpa kRam = Machine::kIpa;

std::string hex(ByteView bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", std::to_integer<int>(byte));
  return text;
}

// The values were made apart from this code, from the structures' layouts
// (struct rmi_realm_params, measurement_desc_data, measurement_desc_rec, rmi_rec_params).
TEST(Measurements, TheInitialOneIsAChainOfDescriptors) {
  Measurements realm(HashAlgorithm::kSha256);
  realm.realm(
      {.flags = RealmFeatures::kDevices, .address_bits = 39, .breakpoints = 6, .watchpoints = 4});
  EXPECT_EQ(hex(realm.value(0)),
            "adb7fc171fa11c5e8acced14a6a910bd3c125aedd73353c835d8b7b2096e53f2");
  realm.data(Gpa{0x4000'0000}, kMeasureContent, Bytes(kPageSize));
  EXPECT_EQ(hex(realm.value(0)),
            "e4a66a042b14316806e5ab2a4b6277c63c2a9f00b2e97b26582aa22f41f10d13");
  realm.data(Gpa{0x4000'1000}, 0, Bytes(kPageSize, std::byte{7}));
  EXPECT_EQ(hex(realm.value(0)),
            "ea7e3e01097d9335e4fd81002aecc30459387ec09eca2aa15b29c17c2f61a8eb");
  realm.rec({.mpidr = 5, .pc = 0x1000, .gprs = {7}});  // whose MPIDR does not count
  EXPECT_EQ(hex(realm.value(0)),
            "b133f1577da3b93c3fe433c96ce6769de756cfaea1b2312de22bd43b6a181b49");
}

TEST(Measurements, OneOfTheRealmsGrowsByWhatItIsGiven) {
  Measurements realm(HashAlgorithm::kSha256);
  realm.extend(2, std::as_bytes(std::span("abc", 3)));
  EXPECT_EQ(hex(realm.value(2)),
            "365aa7d8f7f9402c4b9434502b4cc89ddb09fe50d7cd95b493b834c62d5a5370");
  EXPECT_EQ(hex(realm.value(1)), std::string(64, '0'));
}

/// As much of CBOR as tokens have.
class Items {
 public:
  explicit Items(ByteView in) : in_(in) {}
  /// The next head, which is of that major type; gives its argument.
  std::uint64_t head(unsigned major) {
    const auto first = std::to_integer<unsigned>(in_.take(1)[0]);
    EXPECT_EQ(first >> 5U, major);
    const unsigned info = first & 31U;
    if (info < 24) return info;
    std::uint64_t value = 0;
    for (const std::byte byte : in_.take(std::size_t{1} << (info - 24U)))
      value = value << 8U | std::to_integer<std::uint64_t>(byte);
    return value;
  }
  std::int64_t integer() {
    const bool negative = (in_.rest()[0] & std::byte{0xe0}) == std::byte{0x20};
    const auto value = static_cast<std::int64_t>(head(negative ? 1 : 0));
    return negative ? -1 - value : value;
  }
  ByteView bytes() { return in_.take(head(2)); }
  std::string text() {
    const ByteView chars = in_.take(head(3));
    return {reinterpret_cast<const char*>(chars.data()), chars.size()};
  }
  [[nodiscard]] bool ended() const { return in_.ok() && in_.rest().empty(); }

 private:
  Reader in_;
};

/// A COSE_Sign1 whose signature holds; gives the payload.
Bytes verified(ByteView sign1, const crypto::PublicKey& key) {
  Items items(sign1);
  EXPECT_EQ(items.head(6), 18U);
  EXPECT_EQ(items.head(4), 4U);
  const ByteView header = items.bytes();
  EXPECT_EQ(hex(header), "a1013822");  // {1: -35}
  EXPECT_EQ(items.head(5), 0U);
  const ByteView payload = items.bytes();
  const ByteView signature = items.bytes();
  EXPECT_TRUE(items.ended());
  const Bytes signed_part =
      wire::Cbor().array(4).text("Signature1").bytes(header).bytes({}).bytes(payload).take();
  EXPECT_TRUE(key.verify(crypto::SignatureAlgorithm::kEcdsaP384, crypto::HashAlgorithm::kSha384,
                         signed_part, signature));
  return {payload.begin(), payload.end()};
}

/// An EC2 key of P-384 (RFC 9053, 7.1).
crypto::PublicKey key_of(ByteView cose_key) {
  Items items(cose_key);
  EXPECT_EQ(items.head(5), 4U);
  EXPECT_EQ(items.integer(), 1);
  EXPECT_EQ(items.integer(), 2);
  EXPECT_EQ(items.integer(), -1);
  EXPECT_EQ(items.integer(), 2);
  EXPECT_EQ(items.integer(), -2);
  const ByteView x = items.bytes();
  EXPECT_EQ(items.integer(), -3);
  const ByteView y = items.bytes();
  EXPECT_TRUE(items.ended());
  constexpr std::uint8_t kInfo[] = {0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86,
                                    0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
                                    0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00, 0x04};
  const Bytes der = Writer().bytes(std::as_bytes(std::span(kInfo))).bytes(x).bytes(y).take();
  return *crypto::PublicKey::from_der(der);
}

struct RealmClaims {
  Bytes challenge, instance, personalisation, key, initial;
  std::string hash, key_hash, profile;
  std::int64_t mec_policy = -1;
  std::vector<Bytes> extensible;
};
Bytes copy(ByteView bytes) { return {bytes.begin(), bytes.end()}; }

RealmClaims realm_claims(ByteView payload) {
  Items items(payload);
  RealmClaims claims;
  for (std::uint64_t left = items.head(5); left > 0; --left) switch (items.integer()) {
      case 10:
        claims.challenge = copy(items.bytes());
        break;
      case 256:
        claims.instance = copy(items.bytes());
        break;
      case 265:
        claims.profile = items.text();
        break;
      case 44235:
        claims.personalisation = copy(items.bytes());
        break;
      case 44236:
        claims.hash = items.text();
        break;
      case 44237:
        claims.key = copy(items.bytes());
        break;
      case 44238:
        claims.initial = copy(items.bytes());
        break;
      case 44239:
        for (std::uint64_t n = items.head(4); n > 0; --n)
          claims.extensible.push_back(copy(items.bytes()));
        break;
      case 44240:
        claims.key_hash = items.text();
        break;
      case 44243:
        claims.mec_policy = items.integer();
        break;
      default:
        ADD_FAILURE() << "a claim that no realm token has";
    }
  EXPECT_TRUE(items.ended());
  return claims;
}

class Attest : public Machine {
 protected:
  Attest() = default;
  explicit Attest(Settings settings) : Machine(std::move(settings)) {}
  void SetUp() override { begin({.vm = 1, .rtt = rtt}); }
  void begin(const Rmm::RealmParams& with) {
    ASSERT_RMI(rmm.realm_create(rd, with));
    make_tables();
    ASSERT_RMI(rmm.rtt_data_map_init(rd, ram, kRam, params, kMeasureContent));
    ASSERT_RMI(create_rec(rd, rec));
    ASSERT_RMI(rmm.realm_activate(rd));
    ASSERT_RMI(rmm.rec_enter(rec, run_page, registers));
  }
  /// Makes a call that stays in the realm; gives its status.
  std::uint64_t call(std::initializer_list<std::uint64_t> x) {
    std::ranges::copy(x, registers.x.begin());
    EXPECT_TRUE(rmm.realm_call(rec, run_page, registers));
    return registers.x[0];
  }
  /// A token in pieces of that size.
  Bytes token(std::uint64_t piece = kPageSize) {
    EXPECT_EQ(call({kInit, 0x0807'0605'0403'0201, 2, 3, 4, 5, 6, 7, 8}), 0U);
    EXPECT_EQ(registers.x[1], kPageSize);
    Bytes whole;
    for (std::uint64_t status = 3; status == 3;) {
      status = call({kContinue, raw(kRam), 0, piece});
      EXPECT_TRUE(status == 3 || status == 0);
      Bytes bytes(registers.x[1]);
      EXPECT_TRUE(memory.read(ram, bytes, kRealmWorld));
      whole.insert(whole.end(), bytes.begin(), bytes.end());
    }
    return whole;
  }
  /// The parts of a token, verified as a relying party does.
  RealmClaims claims_of(ByteView whole) {
    Items items(whole);
    EXPECT_EQ(items.head(6), 907U);
    EXPECT_EQ(items.head(5), 2U);
    EXPECT_EQ(items.integer(), 44234);
    EXPECT_EQ(items.head(4), 2U);
    EXPECT_EQ(items.integer(), 263);
    const Bytes platform = verified(items.bytes(), rmm.platform_key());
    EXPECT_EQ(items.integer(), 44241);
    EXPECT_EQ(items.head(4), 2U);
    EXPECT_EQ(items.integer(), 263);
    const ByteView realm = items.bytes();
    EXPECT_TRUE(items.ended());
    Items outer(realm);
    (void)outer.head(6), (void)outer.head(4), (void)outer.bytes(), (void)outer.head(5);
    const RealmClaims claims = realm_claims(outer.bytes());
    (void)verified(realm, key_of(claims.key));
    // The platform vouches for the realm's key.
    Items vouched(platform);
    EXPECT_EQ(vouched.head(5), 8U);
    EXPECT_EQ(vouched.integer(), 10);
    EXPECT_EQ(hex(vouched.bytes()), hex(crypto::hash(crypto::HashAlgorithm::kSha256, claims.key)));
    return claims;
  }

  Hpa ram = granule();
  Hpa run_page = *memory.alloc_page();
  hw::ArmRegisters registers;
};

TEST_F(Attest, ATokenHasTheChallengeAndTheMeasurementsAndIsSignedTwice) {
  ASSERT_EQ(call({kExtend, 1, 3, 0x63'6261}), 0U);
  const RealmClaims claims = claims_of(token());
  EXPECT_EQ(hex(claims.challenge).substr(0, 32), "01020304050607080200000000000000");
  EXPECT_EQ(claims.profile, "tag:arm.com,2024:realm#2.0.0");
  EXPECT_EQ(claims.hash, "sha-256");
  EXPECT_EQ(claims.key_hash, "sha-256");
  EXPECT_EQ(claims.mec_policy, 0);
  EXPECT_EQ(claims.personalisation, Bytes(64));
  EXPECT_EQ(claims.instance.size(), 33U);
  EXPECT_EQ(claims.instance[0], std::byte{1});
  ASSERT_EQ(claims.extensible.size(), 4U);
  EXPECT_EQ(hex(claims.extensible[0]),
            "365aa7d8f7f9402c4b9434502b4cc89ddb09fe50d7cd95b493b834c62d5a5370");
  EXPECT_EQ(hex(claims.extensible[1]), std::string(64, '0'));
  ASSERT_EQ(call({kRead, 0}), 0U);
  EXPECT_EQ(hex(claims.initial), hex(bytes_of(registers.x).subspan(8, 32)));
}

// What `teeio evidence` reads.
TEST_F(Attest, ATokenIsReadBack) {
  const auto whole = wire::CcaToken::decode(token());
  ASSERT_TRUE(whole.has_value()) << whole.error().why;
  const auto realm = wire::CoseSign1::decode(whole->realm);
  const auto platform = wire::CoseSign1::decode(*whole->platform);
  ASSERT_TRUE(realm && platform);
  const auto claims = wire::CcaRealmClaims::decode(realm->payload);
  ASSERT_TRUE(claims.has_value()) << claims.error().why;
  EXPECT_EQ(hex(claims->challenge).substr(0, 32), "01020304050607080200000000000000");
  EXPECT_EQ(claims->private_mec, false);
  const auto of_platform = wire::CcaPlatformClaims::decode(platform->payload);
  ASSERT_TRUE(of_platform.has_value()) << of_platform.error().why;
  EXPECT_EQ(hex(of_platform->challenge),
            hex(crypto::hash(crypto::HashAlgorithm::kSha256, claims->public_key)));
}

TEST_F(Attest, ATokenComesInPiecesAndOnce) {
  const Bytes whole = token(100);
  (void)claims_of(whole);
  EXPECT_EQ(call({kContinue, raw(kRam), 0, 100}), 2U);  // ERROR_STATE
  // No room: nothing comes, and nothing is lost.
  ASSERT_EQ(call({kInit}), 0U);
  EXPECT_EQ(call({kContinue, raw(kRam), 8, 0}), 3U);
  EXPECT_EQ(registers.x[1], 0U);
  EXPECT_EQ(call({kContinue, raw(kRam), 8, kPageSize - 8}), 0U);
  EXPECT_EQ(registers.x[1], whole.size());
}

TEST_F(Attest, ATokenSaysWhatWasMeasuredWhenItWasBegun) {
  ASSERT_EQ(call({kInit}), 0U);
  ASSERT_EQ(call({kExtend, 1, 3, 0x63'6261}), 0U);
  ASSERT_EQ(call({kContinue, raw(kRam), 0, kPageSize}), 0U);
  Bytes whole(registers.x[1]);
  ASSERT_TRUE(memory.read(ram, whole, kRealmWorld));
  EXPECT_EQ(hex(claims_of(whole).extensible[0]), std::string(64, '0'));
}

TEST_F(Attest, ATokenWaitsForAPageThatTheHostBrings) {
  ASSERT_EQ(call({kInit}), 0U);
  ASSERT_RMI(rmm.rtt_data_unmap(rd, kRam, kRam + kPageSize, {}));
  registers.x[0] = kContinue;
  registers.x[1] = raw(kRam);
  registers.x[3] = kPageSize;
  EXPECT_FALSE(rmm.realm_call(rec, run_page, registers));
}

TEST_F(Attest, ShortMeasurementsHaveZerosBehindThem) {
  ASSERT_EQ(call({kRead, 1, 9, 9, 9, 9, 9, 9, 9}), 0U);
  for (std::size_t i = 1; i <= 8; ++i) EXPECT_EQ(registers.x[i], 0U) << i;
}

class AttestWithDefects : public Attest {
 protected:
  AttestWithDefects() : Attest({.defects = Defects::kAs9a7f8ef4}) {}
};

// handle_rsi_measurement_read() clears the plane's registers, and handle_realm_rsi() then
// writes x0 to x7 from its own copy.
TEST_F(AttestWithDefects, ShortMeasurementsLeaveRegistersAsTheyWere) {
  ASSERT_EQ(call({kRead, 1, 9, 9, 9, 9, 9, 9, 9}), 0U);
  for (std::size_t i = 1; i <= 8; ++i) EXPECT_EQ(registers.x[i], i >= 5 && i <= 7 ? 9U : 0U) << i;
}

class AttestSha384 : public Attest {
 protected:
  void SetUp() override {
    Rmm::RealmParams with{.vm = 1, .rtt = rtt, .hash = 2};
    with.personalisation.fill(std::byte{0xaa});
    begin(with);
  }
};

TEST_F(AttestSha384, AnotherHashIsToldAndUsed) {
  ASSERT_EQ(call({kConfig, raw(kRam)}), 0U);
  EXPECT_EQ(*memory.read_u64(ram, kRealmWorld), 39U);
  EXPECT_EQ(*memory.read_u64(ram + 8, kRealmWorld), 2U);
  EXPECT_EQ(*memory.read_u64(ram + 0x200, kRealmWorld), 0xaaaa'aaaa'aaaa'aaaaU);
  const RealmClaims claims = claims_of(token());
  EXPECT_EQ(claims.hash, "sha-384");
  EXPECT_EQ(claims.initial.size(), 48U);
  EXPECT_EQ(claims.personalisation, Bytes(64, std::byte{0xaa}));
}

}  // namespace
}  // namespace teeio::rmm
