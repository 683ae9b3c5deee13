#include <fmt/format.h>

#include "firmware/rmm/command.h"
#include "firmware/rmm/mapping.h"

// The host's memory in a realm's tables, where its addresses are not protected: TF-RMM
// runtime/rmi/rtt_map.c and rtt_unmap.c. Nobody looks whose memory that is: the realm, as the
// host itself, reaches no granule that is delegated.

namespace teeio::rmm {
namespace {

object::EventFields at_shared(Gpa ipa) { return {.detail = fmt::format("ipa={:#x}", raw(ipa))}; }

/// build_unprot_map_attrs(), with direct permissions: MEMATTR, S2AP of a descriptor.
std::uint64_t attributes_of(UnprotectedFlags flags) {
  constexpr unsigned kMemory = 2;
  constexpr std::uint64_t kReadable = 1U << 6U, kWritable = 1U << 7U;
  return std::uint64_t{flags.memory} << kMemory |
         ((flags.access & UnprotectedFlags::kRead) != 0 ? kReadable : 0) |
         ((flags.access & UnprotectedFlags::kWrite) != 0 ? kWritable : 0);
}

}  // namespace

/// unprot_map_one_entry(); empty: mapped. The same block twice is no error, if it is to be
/// reached as before.
std::string_view Rmm::map_shared(Realm& realm, Gpa ipa, Hpa block, std::uint8_t level,
                                 UnprotectedFlags flags) {
  if (flags.memory == UnprotectedFlags::kReserved) return "memory";
  const Rtt::Entry wanted{.address = block, .shared = true, .attributes = attributes_of(flags)};
  const Rtt::Entry entry = realm.rtt.entry(ipa, level);
  const bool table = realm.rtt.has_table(ipa, static_cast<std::uint8_t>(level + 1));
  if (table || raw(ipa) < Rtt::kProtected || (entry.address && entry != wanted)) return "entry";
  if (!entry.address) realm.rtt.set(ipa, level, wanted);
  return {};
}

RmiResult Rmm::rtt_unprot_map(Hpa rd, Gpa base, Gpa top, UnprotectedFlags flags,
                              std::uint64_t addresses) {
  constexpr std::uint8_t kAccess = UnprotectedFlags::kRead | UnprotectedFlags::kWrite;
  Command c(*this, row::kRttUnprotMap, at_shared(base));
  if (!c.begin()) return c.result();
  const auto range = map_range(c, rd, base, top, flags.addresses, addresses, Memory::kShared);
  if (!range) return c.result();
  RMM_REFUSE_IF((flags.access & ~kAccess) != 0, "access");
  return map_blocks(c, *range, [&](Gpa ipa, Hpa block) {
    return map_shared(*range->realm, ipa, block, range->level, flags);
  });
}

RmiResult Rmm::rtt_unprot_unmap(Hpa rd, Gpa base, Gpa top, AddressFlags flags,
                                std::uint64_t addresses) {
  Command c(*this, row::kRttUnprotUnmap, at_shared(base));
  return unmap_range(c, rd, base, top,
                     {.flags = flags, .addresses = addresses, .memory = Memory::kShared});
}

}  // namespace teeio::rmm
