// What a TD is measured by, and its report.
#include "firmware/tdx/measurement.h"

#include <algorithm>

#include "firmware/tdx/state.h"
#include "unit/firmware/tdx/machine.h"

namespace teeio::tdx {
namespace {

class Measured : public Machine {
 protected:
  /// A TD of one page with that first byte, all of it measured, and with a page to report to.
  TestTd measured_td(std::uint16_t hkid, std::byte first) {
    TestTd td = make_td(hkid, hkid);
    const Hpa source = page();
    EXPECT_TRUE(memory.write(source, ByteView(&first, 1)).has_value());
    EXPECT_TRUE(module.tdh_mem_page_add(td.tdr, kRamGpa, page(), source).ok());
    for (std::uint64_t at = 0; at < kPageSize; at += 256)
      EXPECT_TRUE(module.tdh_mr_extend(td.tdr, kRamGpa + at).ok());
    EXPECT_TRUE(module.tdh_mr_finalize(td.tdr).ok());
    frame = private_page(td, kRamGpa + kPageSize);
    return td;
  }
  Bytes report(const TestTd& td) {
    const Gpa where = kRamGpa + kPageSize;
    inside(td, [&] {
      EXPECT_TRUE(module.tdg_mr_report(td.vp, where, where + kTdReportBytes, 0).ok());
      EXPECT_TRUE(module.tdg_mr_verifyreport(td.vp, where).ok());
    });
    Bytes bytes(kTdReportBytes);
    EXPECT_TRUE(memory.read(frame, bytes, key_of(td)).has_value());
    return bytes;
  }
  void write_guest(const TestTd& td, std::size_t at, ByteView bytes) {
    EXPECT_TRUE(memory.write(frame + at, bytes, key_of(td)).has_value());
  }
  hw::KeyId key_of(const TestTd& td) { return module.state().find_td(td.tdr)->key(); }
  static ByteView mrtd(ByteView report) { return report.subspan(kReportMrtd, 48); }
  static ByteView rtmr(ByteView report, std::size_t i) {
    return report.subspan(kReportRtmrs + i * 48, 48);
  }

  Hpa frame{0};  ///< of the guest's page for reports
};

TEST_F(Measured, MrtdIsOfThePagesAsTheyWereAdded) {
  crypto::RunningHash wanted(crypto::HashAlgorithm::kSha384);
  const auto block = [&](std::string_view leaf, std::uint64_t gpa) {
    Writer writer;
    writer.bytes(std::as_bytes(std::span(leaf))).zeros(16 - leaf.size()).le(gpa).zeros(104);
    wanted.update(writer.take());
  };
  block("MEM.PAGE.ADD", raw(kRamGpa));
  Bytes chunk(256);
  chunk.front() = std::byte{7};
  for (std::uint64_t at = 0; at < kPageSize; at += 256) {
    block("MR.EXTEND", raw(kRamGpa) + at);
    wanted.update(chunk);
    chunk.front() = std::byte{0};
  }
  const Bytes got = report(measured_td(1, std::byte{7}));
  EXPECT_TRUE(std::ranges::equal(mrtd(got), wanted.digest().view()));
  const Bytes other = report(measured_td(2, std::byte{8}));
  EXPECT_FALSE(std::ranges::equal(mrtd(got), mrtd(other)));
}

TEST_F(Measured, AnRtmrIsExtended) {
  const TestTd td = measured_td(1, std::byte{1});
  Measurement data{};
  data.front() = std::byte{9};
  Measurement wanted{};
  write_guest(td, 2048, data);
  for (int i = 0; i < 2; ++i) {
    inside(td, [&] {
      EXPECT_TRUE(module.tdg_mr_rtmr_extend(td.vp, kRamGpa + kPageSize + 2048, 2).ok());
    });
    const crypto::Digest hash = crypto::hash(crypto::HashAlgorithm::kSha384, {wanted, data});
    std::ranges::copy(hash.view(), wanted.begin());
  }
  const Bytes got = report(td);
  EXPECT_TRUE(std::ranges::equal(rtmr(got, 2), wanted));
  EXPECT_TRUE(std::ranges::equal(rtmr(got, 1), Measurement{}));
}

TEST_F(Measured, AReportCannotBeChanged) {
  const TestTd td = measured_td(1, std::byte{1});
  const std::array<std::byte, kReportDataBytes> nonce{std::byte{5}};
  write_guest(td, kTdReportBytes, nonce);
  const Bytes got = report(td);
  EXPECT_TRUE(std::ranges::equal(ByteView(got).subspan(128, kReportDataBytes), nonce));
  for (const std::size_t at : {0U, 32U, 80U, 128U, 224U}) {
    const std::byte bent = got.at(at) ^ std::byte{1};
    write_guest(td, at, ByteView(&bent, 1));
    inside(td, [&] {
      EXPECT_CODE(module.tdg_mr_verifyreport(td.vp, kRamGpa + kPageSize).leaf,
                  Code::kInvalidReportmacstruct);
    });
    write_guest(td, at, ByteView(got).subspan(at, 1));
  }
}

TEST_F(Measured, AReportIntoAPageThatIsNotAcceptedIsAnEptViolation) {
  const TestTd td = measured_td(1, std::byte{1});
  const Gpa nowhere = kRamGpa + 2 * kPageSize;
  inside(td, [&] {
    EXPECT_EQ(module.tdg_mr_report(td.vp, nowhere, kRamGpa, 0).ept_violation, nowhere);
    EXPECT_EQ(module.tdg_mr_report(td.vp, kRamGpa, nowhere, 0).ept_violation, nowhere);
    EXPECT_EQ(module.tdg_mr_rtmr_extend(td.vp, nowhere, 0).ept_violation, nowhere);
  });
}

}  // namespace
}  // namespace teeio::tdx
