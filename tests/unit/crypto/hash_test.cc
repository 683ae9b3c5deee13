#include "crypto/hash.h"

#include <gtest/gtest.h>

#include "crypto/hkdf.h"
#include "schedule/run_heap.h"
#include "unit/crypto/hex.h"

namespace teeio::crypto {
namespace {

using enum HashAlgorithm;

// FIPS 180-4 and FIPS 202, the examples for "abc".
TEST(Hash, GivesThePublishedDigestsOfAbc) {
  EXPECT_EQ(to_hex(hash(kSha256, text("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(hash(kSha384, text("abc"))),
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
            "8086072ba1e7cc2358baeca134c825a7");
  EXPECT_EQ(to_hex(hash(kSha512, text("abc"))),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
  EXPECT_EQ(to_hex(hash(kSha3_256, text("abc"))),
            "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532");
  EXPECT_EQ(to_hex(hash(kSha3_384, text("abc"))),
            "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b2"
            "98d88cea927ac7f539f1edf228376d25");
  EXPECT_EQ(to_hex(hash(kSha3_512, text("abc"))),
            "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e"
            "10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0");
}

// What an explored run has at its checkpoint is there again in the next.
TEST(RunningHash, GoesBackWithTheRunThatBeganIt) {
  const auto heap = schedule::RunHeap::take();
  if (heap == nullptr) GTEST_SKIP() << "a sanitizer has the heap";
  const auto inside = [](auto action) {
    schedule::detail::t_in_run_heap = true;
    action();
    schedule::detail::t_in_run_heap = false;
  };
  RunningHash* transcript = nullptr;
  inside([&] {
    transcript = new RunningHash(kSha384);
    transcript->update(text("ab"));
    {
      const RunningHash over(kSha256);
    }  // ends before the checkpoint
  });
  heap->save();
  for (const char* rest : {"c", "d", "a longer rest than that"}) {
    inside([&] {
      transcript->update(text(rest));
      EXPECT_EQ(transcript->digest(), hash(kSha384, {text("ab"), text(rest)})) << rest;
      RunningHash since(*transcript);  // ends after it
      since.update(text("x"));
      EXPECT_EQ(since.digest(), hash(kSha384, {text("ab"), text(rest), text("x")})) << rest;
      // The run's end destroys what the next run has again.
      if (*rest == 'd') delete transcript;
    });
    heap->go_back();
    EXPECT_EQ(transcript->digest(), hash(kSha384, text("ab"))) << rest;
  }
}

TEST(RunningHash, IsTheHashOfEverythingSoFar) {
  RunningHash running(kSha384);
  running.update(text("a")).update(text("b"));
  EXPECT_EQ(running.digest(), hash(kSha384, text("ab")));
  running.update(text("c"));
  EXPECT_EQ(running.digest(), hash(kSha384, text("abc")));
  EXPECT_EQ(running.digest(), hash(kSha384, {text("ab"), text("c")}));
}

// A transcript forks: TH1 goes on to TH2 while M1M2 stays.
TEST(RunningHash, CopiesGoOnIndependently) {
  RunningHash one(kSha3_512);
  one.update(text("ab"));
  RunningHash other(one);
  other.update(text("c"));
  EXPECT_EQ(one.digest(), hash(kSha3_512, text("ab")));
  EXPECT_EQ(other.digest(), hash(kSha3_512, text("abc")));
  one = other;
  EXPECT_EQ(one.digest(), hash(kSha3_512, text("abc")));
}

// RFC 4231, test case 2.
TEST(Hmac, GivesThePublishedCodes) {
  const ByteView data = text("what do ya want for nothing?");
  EXPECT_EQ(to_hex(hmac(kSha256, text("Jefe"), data)),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(to_hex(hmac(kSha384, text("Jefe"), data)),
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
            "8e2240ca5e69e2c78b3239ecfab21649");
}

// RFC 5869, test case 1.
TEST(Hkdf, GivesThePublishedKeys) {
  const Secret key = hkdf_extract(kSha256, hex("000102030405060708090a0b0c"),
                                  hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"));
  EXPECT_EQ(to_hex(key.view()), "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
  EXPECT_EQ(to_hex(hkdf_expand(kSha256, key.view(), hex("f0f1f2f3f4f5f6f7f8f9"), 42).view()),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
}

// RFC 5869, test case 3: neither salt nor info.
TEST(Hkdf, TakesAnEmptySaltAsZeros) {
  const Secret key = hkdf_extract(kSha256, {}, hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"));
  EXPECT_EQ(to_hex(key.view()), "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04");
  EXPECT_EQ(to_hex(hkdf_expand(kSha256, key.view(), {}, 42).view()),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST(Hkdf, ExpandsOverSeveralBlocksFromTheSameBeginning) {
  const Bytes key(48, std::byte{7});
  const Secret longer = hkdf_expand(kSha384, key, text("info"), 300);
  const Secret shorter = hkdf_expand(kSha384, key, text("info"), 48);
  EXPECT_TRUE(std::ranges::equal(longer.view().first(48), shorter.view()));
}

}  // namespace
}  // namespace teeio::crypto
