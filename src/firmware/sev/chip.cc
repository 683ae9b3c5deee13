#include "firmware/sev/chip.h"

#include "crypto/random.h"

namespace teeio::sev {
namespace {

constexpr unsigned kTeeShift = 8, kSnpShift = 48, kMicrocodeShift = 56;

}  // namespace

std::uint64_t TcbVersion::encode() const {
  return std::uint64_t{boot_loader} | std::uint64_t{tee} << kTeeShift |
         std::uint64_t{snp} << kSnpShift | std::uint64_t{microcode} << kMicrocodeShift;
}

TcbVersion TcbVersion::decode(std::uint64_t word) {
  return {.boot_loader = static_cast<std::uint8_t>(word),
          .tee = static_cast<std::uint8_t>(word >> kTeeShift),
          .snp = static_cast<std::uint8_t>(word >> kSnpShift),
          .microcode = static_cast<std::uint8_t>(word >> kMicrocodeShift)};
}

bool TcbVersion::at_most(const TcbVersion& other) const {
  return boot_loader <= other.boot_loader && tee <= other.tee && snp <= other.snp &&
         microcode <= other.microcode;
}

const Chip::Id& Chip::id() {
  if (!named_) crypto::fill_random(id_);
  named_ = true;
  return id_;
}

}  // namespace teeio::sev
