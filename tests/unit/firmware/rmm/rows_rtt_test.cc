// What makes each check of the commands about realms' tables and what they map fail: see
// rows_test.cc.
#include "unit/firmware/rmm/rows.h"

namespace teeio::rmm {
namespace {

using M = Story;

constexpr std::uint64_t kBlock = 1U << 21U;
constexpr std::uint64_t kUndelegated = 1ULL << 63U;
constexpr Gpa kShared{Rtt::kProtected + raw(M::kIpa)};

void no_rd(M& m) { m.rd = m.granule(); }
void a_granule(M& m) { m.instead = m.granule(); }
void empty(M& m) { m.top = m.base; }
void runs(M& m) { m.rmm.set_running(m.rec, true); }
void place(M& m, Gpa base, std::uint64_t bytes = kPageSize) {
  m.base = base;
  m.top = base + bytes;
}
void list_of(M& m, std::uint64_t count, std::uint64_t address) {
  m.flags = {.type = AddressFlags::kList, .count = count};
  m.word = address;
}
void list_without_entries(M& m) { list_of(m, 0, raw(m.list)); }
void list_off(M& m) { list_of(m, 1, raw(m.list) + 4); }
/// A descriptor that says which level is meant, and names nothing.
void no_blocks(M& m) { m.word = raw(m.spare); }
/// Such a one, and then a block of another level.
void another_size(M& m) {
  EXPECT_TRUE(m.memory.write_u64(m.list, raw(m.spare)));
  EXPECT_TRUE(m.memory.write_u64(m.list + 8, M::one(Hpa{kBlock}, 2)));
  list_of(m, 2, raw(m.list));
}

/// The realm asks for device memory at `base`, `address`.
void asked(M& m, Gpa base, Hpa address) {
  place(m, base);
  m.ask(m.base, m.top, address);
}
void ripas_asked(M& m, Gpa base) {
  place(m, base);
  (void)m.rmm.rsi_ipa_state_set(m.rec, m.base, m.top, 1, false);
}

/// A NEW realm with tables, a page of the host's, and a granule for its data.
void new_realm(M& m) {
  ASSERT_RMI(m.rmm.realm_create(m.rd, {.vm = 1, .rtt = m.rtt}));
  m.make_tables();
  m.word = M::one(m.spare);
}
/// The same, with tables where nothing is protected, and a page of the host's to map there.
void shared_realm(M& m) {
  ASSERT_RMI(m.rmm.realm_create(m.rd, {.vm = 1, .rtt = m.rtt}));
  ASSERT_RMI(m.rmm.rtt_create(m.rd, m.granule(), kShared, 2));
  ASSERT_RMI(m.rmm.rtt_create(m.rd, m.granule(), kShared, 3));
  place(m, kShared);
  m.word = M::one(m.params);
}
void share(M& m, Hpa page) {
  ASSERT_RMI(m.rmm.rtt_unprot_map(m.rd, m.base, m.top, {}, M::one(page)));
}
void other_data(M& m) {
  ASSERT_RMI(m.rmm.rtt_data_map(m.rd, m.base, m.top, {}, M::one(m.granule())));
}

const Cases kData{
    {.row = &row::kRttDataMapInit,
     .prepare = new_realm,
     .call =
         [](M& m) {
           return m.rmm.rtt_data_map_init(m.rd, m.spare, m.base,
                                          m.instead != Hpa{0} ? m.instead : m.params, m.count - 1);
         },
     .wrong = {{"flags", [](M& m) { m.count = 3; }},
               {"self", [](M& m) { m.spare = m.rd; }},
               {"source", a_granule},
               {"rd", no_rd},
               {"realm", [](M& m) { ASSERT_RMI(m.rmm.realm_activate(m.rd)); }},
               {"place", [](M& m) { place(m, Gpa{Rtt::kProtected}); }},
               {"walk", [](M& m) { place(m, M::kIpa + kBlock); }},
               {"entry", other_data},
               {"granule", [](M& m) { m.spare = m.list; }}}},
    {.row = &row::kRttDataMap,
     .prepare = new_realm,
     .call = [](M& m) { return m.rmm.rtt_data_map(m.rd, m.base, m.top, m.flags, m.word); },
     .wrong = {{"rd", no_rd},
               {"realm", [](M& m) { (void)m.rmm.realm_terminate(m.rd); }},
               {"range", empty},
               {"type", [](M& m) { m.flags.type = AddressFlags::kNone; }},
               {"list_count", list_without_entries},
               {"list", list_off},
               {"descriptor", [](M& m) { m.word |= kUndelegated; }},
               {"place", [](M& m) { place(m, Gpa{Rtt::kProtected}); }},
               {"short", [](M& m) { m.word = M::one(Hpa{kBlock}, 2); }},
               {"walk", [](M& m) { place(m, M::kIpa + kBlock); }},
               {"blocks", no_blocks},
               {"size", another_size},
               {"pa",
                [](M& m) {
                  place(m, M::kIpa + kBlock, kBlock);
                  m.word = M::one(m.spare + kPageSize, 2);
                }},
               {"entry", other_data},
               {"granule", [](M& m) { m.word = M::one(m.list); }}}},
    {.row = &row::kRttUnprotMap,
     .prepare = shared_realm,
     .call =
         [](M& m) {
           return m.rmm.rtt_unprot_map(
               m.rd, m.base, m.top, {.addresses = m.flags, .memory = m.caching, .access = m.level},
               m.word);
         },
     .wrong = {{"rd", no_rd},
               {"realm", [](M& m) { (void)m.rmm.realm_terminate(m.rd); }},
               {"range", empty},
               {"type", [](M& m) { m.flags.type = AddressFlags::kNone; }},
               {"list_count", list_without_entries},
               {"list", list_off},
               {"place", [](M& m) { place(m, M::kIpa); }},
               {"short", [](M& m) { m.word = M::one(Hpa{kBlock}, 2); }},
               {"access", [](M& m) { m.level = 4; }},
               {"walk", [](M& m) { place(m, kShared + kBlock); }},
               {"blocks", no_blocks},
               {"size", another_size},
               {"pa",
                [](M& m) {
                  place(m, kShared + kBlock, kBlock);
                  m.word = M::one(m.spare + kPageSize, 2);
                }},
               {"memory", [](M& m) { m.caching = UnprotectedFlags::kReserved; }},
               {"entry", [](M& m) { share(m, m.list); }}}},
    {.row = &row::kRttUnprotUnmap,
     .prepare =
         [](M& m) {
           shared_realm(m);
           share(m, m.list);
           m.word = 0;
         },
     .call = [](M& m) { return m.rmm.rtt_unprot_unmap(m.rd, m.base, m.top, m.flags, m.word); },
     .wrong = {{"rd", no_rd},
               {"range", empty},
               {"place", [](M& m) { place(m, M::kIpa); }},
               {"sbz", [](M& m) { m.word = 1; }},
               {"list_count", list_without_entries},
               {"list", list_off},
               {"type", [](M& m) { m.flags.type = 3; }},
               {"walk", [](M& m) { place(m, kShared + kBlock + kPageSize); }},
               {"entry", [](M& m) { place(m, kShared + kBlock); }}}},
    {.row = &row::kRttInitRipas,
     .prepare = new_realm,
     .call = [](M& m) { return m.rmm.rtt_init_ripas(m.rd, m.base, m.top); },
     .wrong = {{"range", empty},
               {"rd", no_rd},
               {"place", [](M& m) { place(m, Gpa{Rtt::kProtected}); }},
               {"realm", [](M& m) { ASSERT_RMI(m.rmm.realm_activate(m.rd)); }},
               {"walk", [](M& m) { place(m, M::kIpa + kBlock + kPageSize); }},
               {"entry", [](M& m) { place(m, M::kIpa + kBlock); }}}},
    {.row = &row::kRttDataUnmap,
     .prepare =
         [](M& m) {
           new_realm(m);
           other_data(m);
           m.word = 0;
         },
     .call = [](M& m) { return m.rmm.rtt_data_unmap(m.rd, m.base, m.top, m.flags, m.word); },
     .wrong = {{"rd", no_rd},
               {"range", empty},
               {"place", [](M& m) { place(m, Gpa{Rtt::kProtected}); }},
               {"sbz", [](M& m) { m.word = 1; }},
               {"list_count", list_without_entries},
               {"list", list_off},
               {"type", [](M& m) { m.flags.type = 3; }},
               {"walk", [](M& m) { place(m, M::kIpa + kBlock + kPageSize); }},
               {"entry", [](M& m) { place(m, M::kIpa + kBlock); }}}}};

const Cases kTables{
    {.row = &row::kRttDevMap,
     .prepare =
         [](M& m) {
           m.unlocked();
           (void)m.delegate(M::kBar);
         },
     .call = [](M& m) { return m.rmm.rtt_dev_map(m.rd, m.vdev, m.base, m.top, m.flags, m.word); },
     .wrong = {{"rd", no_rd},
               {"realm", [](M& m) { (void)m.rmm.realm_terminate(m.rd); }},
               {"range", empty},
               {"type", [](M& m) { m.flags.type = AddressFlags::kNone; }},
               {"list_count", list_without_entries},
               {"list", list_off},
               {"descriptor", [](M& m) { m.word |= kUndelegated; }},
               {"place", [](M& m) { place(m, Gpa{Rtt::kProtected}); }},
               {"short", [](M& m) { m.word = M::one(M::kBar, 2); }},
               {"vdev", [](M& m) { m.vdev = m.granule(); }},
               {"foreign", [](M& m) { m.other_realm(); }},
               {"walk", [](M& m) { place(m, M::kIpa + kBlock); }},
               {"blocks", no_blocks},
               {"size", another_size},
               {"pa",
                [](M& m) {
                  place(m, M::kIpa + kBlock, kBlock);
                  m.word = M::one(M::kBar + kPageSize, 2);
                }},
               {"outside", [](M& m) { m.word = M::one(M::kOtherBar); }},
               {"entry",
                [](M& m) {
                  m.map(1);
                  place(m, M::kIpa + kPageSize);
                }},
               {"granule", [](M& m) { m.word = M::one(M::kBar + kPageSize); }}}},
    {.row = &row::kRttDevUnmap,
     .prepare =
         [](M& m) {
           m.unlocked();
           m.map(0);
           m.word = 0;
         },
     .call = [](M& m) { return m.rmm.rtt_dev_unmap(m.rd, m.base, m.top, m.flags, m.word); },
     .wrong = {{"rd", no_rd},
               {"range", empty},
               {"place", [](M& m) { place(m, Gpa{Rtt::kProtected}); }},
               {"sbz", [](M& m) { m.word = 1; }},
               {"list_count", list_without_entries},
               {"list", list_off},
               {"type", [](M& m) { m.flags.type = 3; }},
               {"walk", [](M& m) { place(m, M::kIpa + kBlock + kPageSize); }},
               {"entry", [](M& m) { place(m, M::kIpa + kBlock); }}}},
    {.row = &row::kRttDevValidate,
     .prepare =
         [](M& m) {
           m.run();
           asked(m, M::kIpa + kPageSize, M::kBar + kPageSize);
         },
     .call = [](M& m) { return m.rmm.rtt_dev_validate(m.rd, m.rec, m.base, m.top); },
     .wrong = {{"range", empty},
               {"rd_rec", [](M& m) { m.rec = m.granule(); }},
               {"running", runs},
               {"foreign", [](M& m) { m.other_realm(); }},
               {"request", [](M& m) { place(m, M::kIpa); }},
               {"walk", [](M& m) { asked(m, M::kIpa + kBlock + kPageSize, M::kBar + kPageSize); }},
               {"entry", [](M& m) { asked(m, M::kIpa + kPageSize, M::kBar); }}}},
    {.row = &row::kRttCreate,
     .prepare =
         [](M& m) {
           m.make_realm();
           (void)m.rmm.rtt_create(m.rd, m.granule(), m.base, 2);
           m.rtt = m.granule();
         },
     .call = [](M& m) { return m.rmm.rtt_create(m.rd, m.rtt, m.base, m.level); },
     .wrong = {{"granule", [](M& m) { m.rtt = m.params; }},
               {"rd", no_rd},
               {"level", [](M& m) { m.level = 1; }},
               {"walk", [](M& m) { place(m, M::kIpa + (std::uint64_t{1} << 30U)); }},
               {"entry",
                [](M& m) { (void)m.rmm.rtt_create(m.rd, m.granule(), m.base, m.level); }}}},
    {.row = &row::kRttDestroy,
     .prepare = [](M& m) { m.unlocked(); },
     .call = [](M& m) { return m.rmm.rtt_destroy(m.rd, m.base, m.level); },
     .wrong = {{"rd", no_rd},
               {"level", [](M& m) { place(m, M::kIpa + kPageSize); }},
               {"walk", [](M& m) { place(m, M::kIpa + kBlock); }},
               {"live", [](M& m) { m.map(0); }}}},
    {.row = &row::kRttFold,
     .prepare = [](M& m) { m.unlocked(); },
     .call = [](M& m) { return m.rmm.rtt_fold(m.rd, m.base, m.level); },
     .wrong = {{"rd", no_rd},
               {"level", [](M& m) { place(m, M::kIpa + kPageSize); }},
               {"walk", [](M& m) { place(m, M::kIpa + (std::uint64_t{1} << 30U)); }},
               {"table", [](M& m) { place(m, M::kIpa + kBlock); }},
               {"mixed", [](M& m) { m.map(0); }}}},
    {.row = &row::kRttReadEntry,
     .prepare = [](M& m) { m.unlocked(); },
     .call = [](M& m) { return m.rmm.rtt_read_entry(m.rd, m.base, m.level); },
     .wrong = {{"rd", no_rd}, {"level", [](M& m) { m.level = 4; }}}},
    {.row = &row::kRttSetRipas,
     .prepare =
         [](M& m) {
           m.unlocked();
           ripas_asked(m, M::kIpa);
         },
     .call = [](M& m) { return m.rmm.rtt_set_ripas(m.rd, m.rec, m.base, m.top); },
     .wrong = {{"range", empty},
               {"rd_rec", [](M& m) { m.rec = m.granule(); }},
               {"running", runs},
               {"foreign", [](M& m) { m.other_realm(); }},
               {"request", [](M& m) { place(m, M::kIpa + kPageSize); }},
               {"walk", [](M& m) { ripas_asked(m, M::kIpa + kBlock + kPageSize); }},
               {"entry", [](M& m) { m.map(0); }}}}};

}  // namespace
}  // namespace teeio::rmm
