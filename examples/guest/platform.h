// The machine that minivmm builds for its guest: what both must agree on.
#pragma once

#include <cstdint>

namespace platform {

constexpr std::uint64_t kSharedBit = 1ULL << 47;  // of a TD's guest addresses
constexpr std::uint64_t kPage = 4096;

// RAM: private, but for its upper end.
constexpr std::uint64_t kRamSize = 2 << 20;
constexpr std::uint64_t kImage = 0x100000;        // where the guest is linked
constexpr std::uint64_t kFreshRam = 0x180000;     // private pages that the guest must accept
constexpr std::uint64_t kSharedRam = 0x1c0000;    // shared from here on
constexpr std::uint64_t kEvidence = 0x1e0000;     // struct EvidencePage and what follows it
constexpr std::uint64_t kBoard = 0x1f0000;        // struct Board
constexpr std::uint64_t kConsole = 0x1f1000;      // a page of text
constexpr std::uint64_t kResetPage = 0xfffff000;  // holds the first instruction
// An SNP guest's, beside the above: it begins at kImage.
constexpr std::uint64_t kSecrets = 0x17f000;   // private: what firmware tells the guest
constexpr std::uint64_t kGhcb = 0x1f2000;      // shared from here on: a page each
constexpr std::uint64_t kRequest = 0x1f3000;   // a message to firmware
constexpr std::uint64_t kResponse = 0x1f4000;  // and its answer
constexpr std::uint64_t kBlobs = 0x1e0000;     // what comes beside TDI_INFO
constexpr std::uint64_t kBlobPages = 16;

// A realm's: the upper half of its 39-bit space is unprotected, and shows the lower half's
// shared pages and what is emulated.
constexpr std::uint64_t kUnprotected = 1ULL << 38;
constexpr std::uint64_t kPorts = 0x6000'0000;  // stores are to port (offset / 16)

// The device's place in guest memory.
constexpr std::uint64_t kBar0 = 0x4000'0000;
constexpr std::uint64_t kBar2 = 0x4010'0000;
constexpr std::uint64_t kConfigSpace = 0x5000'0000;  // 4 KiB, emulated

// What the VMM tells the guest. Nothing of it needs to be believed.
struct Board {
  static constexpr std::uint64_t kMagic = 0x647261'6f426d76;
  std::uint64_t magic;
  std::uint32_t function_id;  // by which firmware knows the device
  std::uint32_t flags;
  std::uint64_t bar0_size;
  std::uint64_t bar2_size;
  // With kHasRoot: SHA-384 of the root certificate that the guest's owner trusts. An owner
  // has it in the measured image; here the VMM stands in for both.
  unsigned char root[48];
};
constexpr std::uint32_t kKeepBound = 1;    // Board::flags: do not ask to unbind
constexpr std::uint32_t kWantsFresh = 2;   // Board::flags: have the device measured anew
constexpr std::uint32_t kSharedOnly = 4;   // Board::flags: do not take the device into trust
constexpr std::uint32_t kHasRoot = 8;      // Board::flags: verify signatures, up to Board::root
constexpr std::uint32_t kGivesToken = 16;  // Board::flags: a realm's token to kToken: size, bytes
constexpr std::uint32_t kInvalidatesDma = 32;  // Board::flags: a TD has its IOTLB dropped once
constexpr std::uint64_t kToken = kResponse;    // shared

// Ports.
constexpr std::uint16_t kPortConsole = 0x3f8;    // characters
constexpr std::uint16_t kPortExit = 0xf4;        // 32 bits: kSuccess or a Failure
constexpr std::uint16_t kPortCheckpoint = 0xf5;  // 32 bits: private DMA has worked
constexpr std::uint32_t kSuccess = 0x600d;

// Requests for the TDI, sub-functions of TDG.VP.VMCALL; R12 is the function id.
// Intel's numbers are not public: these belong to this VMM and its guest.
constexpr std::uint64_t kTdiBind = 0x10100;
constexpr std::uint64_t kTdiUnbind = 0x10101;
constexpr std::uint64_t kTdiRelay = 0x10102;  // R13: the TDISP request that waits in firmware
// Fetches what the device proves: R13 says whether at connect, or now by measuring itself
// again. kEvidence holds the guest's nonce before and EvidencePage's size, then the bytes,
// after.
constexpr std::uint64_t kTdiEvidence = 0x10103;
constexpr std::uint64_t kKeptEvidence = 0;
constexpr std::uint64_t kFreshEvidence = 1;
constexpr std::uint64_t kMostEvidence = 4 * kPage;
struct EvidencePage {
  unsigned char nonce[32];
  std::uint64_t size;
};

// TDISP request codes that a guest may have relayed.
constexpr std::uint64_t kTdispGetReport = 0x84;
constexpr std::uint64_t kTdispGetState = 0x85;
constexpr std::uint64_t kTdispStart = 0x86;

}  // namespace platform
