// What makes each check of the leaves about trusted DMA fail: see rows_test.cc.
#include "unit/firmware/tdx/rows.h"

namespace teeio::tdx {
namespace {

using M = Story;
using enum Operand;

/// A TD whose function has DMA tables, all its entries unaccepted.
void with_tables(M& m) {
  m.connect();
  m.td = m.running_td();
  m.bind(m.td);
}
void accepted(M& m) {
  with_tables(m);
  m.validate(m.td);
  m.accept(m.td);
}
void about(M& m, DmarLevel level) {
  m.index = M::dmar(level);
  m.index.iommu = static_cast<std::uint16_t>(m.iommu_id);
}
void blocked(M& m, DmarLevel level) {
  about(m, level);
  EXPECT_OK(m.module.tdh_dmar_block(m.index));
}
void invalidated(M& m) {
  accepted(m);
  blocked(m, DmarLevel::kPasid);
  EXPECT_OK(m.module.tdh_iq_inv_request(m.index));
  EXPECT_OK(m.module.tdh_iq_inv_process(M::kIommu));
}
/// The index names the IOMMU too.
DmarIndex index_of(M& m) {
  DmarIndex index = m.index;
  index.iommu = static_cast<std::uint16_t>(m.iommu_id);
  return index;
}
void hold_root(M& m) { m.hold_page(m.the_iommu().root_table); }
void far_function(M& m) { m.index.rid = 0x8000; }
void another_pasid(M& m) { m.index.pasid = 1; }
void fill_queue(M& m) {
  m.the_iommu().queue.resize(kQueueDescriptors, {.type = IqType::kRoot, .index = {}});
}
std::vector<Wrong> of_wait(std::vector<Wrong> others) {
  const auto bend = [](std::size_t i, std::uint64_t bit) {
    return [i, bit](M& m) { m.wait.at(i) |= bit; };
  };
  others.push_back({"wait", bend(0, 1U << 8U), kR9});
  others.push_back({"wait", bend(1, 2), kR10});
  others.push_back({"wait", bend(2, 1), kR11});
  others.push_back({"wait", bend(3, 1), kR12});
  return others;
}
/// The guest has asked for two invalidations, of which no IOMMU has got any.
void asked(M& m) {
  accepted(m);
  const Hpa frame = m.private_page(m.td, M::kRamGpa);
  EXPECT_OK(m.ask(m.td, M::kRamGpa, frame, {M::of_domain(), M::of_page(M::kRamGpa)}));
  m[kR8] = raw(m.td.tdr);
}
void hold_asked(M& m) { M::hold(m.the_td().tdinv_lock); }
std::vector<Wrong> of_add(std::vector<Wrong> others) {
  constexpr Operand kOperands[] = {kRdx, kR8, kR9, kR10, kR11, kR12, kR13, kR14};
  for (std::size_t i = 0; i < std::size(kOperands); ++i) {
    // A root entry has one quadword; a PASIDTE has all eight.
    if (i > 0) others.push_back({"unused", [i](M& m) { m.value.at(i) = 1; }, kOperands[i]});
    others.push_back({"value",
                      [i](M& m) {
                        m.index = M::dmar(DmarLevel::kPasid, M::kOther);
                        m.value = dmar_value(DmarLevel::kPasid, Hpa{0});
                        for (const DmarLevel level : {DmarLevel::kContext, DmarLevel::kDirectory})
                          (void)m.dmar_add(M::dmar(level, M::kOther), m.page());
                        m.value.at(i) ^= std::uint64_t{1} << 10U;
                      },
                      kOperands[i]});
  }
  return others;
}

const Cases kDmaCases{
    {.row = &row::kDmarAdd,
     .prepare =
         [](M& m) {
           with_tables(m);
           m.index = {.level = DmarLevel::kRoot, .rid = 0x4000, .iommu = 0, .pasid = 0};
           m[kRdx] = raw(m.page());
         },
     .call =
         [](M& m) {
           DmarValue value = m.value;
           if (value[0] == 0) value[0] = m[kRdx] | 1U;
           return m.module.tdh_dmar_add(index_of(m), value);
         },
     .wrong = of_add({{"index", [](M& m) { m.index.pasid = 1U << 20U; }},
                      {"dmar",
                       [](M& m) {
                         m.index.level = DmarLevel::kContext;
                         far_function(m);
                       }},
                      {"pasid",
                       [](M& m) {
                         m.index = M::dmar(DmarLevel::kDirectory);
                         m.index.pasid = 64;
                       }},
                      {"dmar_table", hold_root},
                      {"state", [](M& m) { m.index = M::dmar(DmarLevel::kRoot); }}})},
    {.row = &row::kDmarBlock,
     .prepare =
         [](M& m) {
           with_tables(m);
           m.index = M::dmar(DmarLevel::kPasid);
         },
     .call = [](M& m) { return m.module.tdh_dmar_block(index_of(m)); },
     .wrong = {{"index", [](M& m) { m.index.pasid = 1U << 20U; }},
               {"dmar", far_function},
               {"pasid", another_pasid},
               {"dmar_table", hold_root},
               {"state", [](M& m) { blocked(m, DmarLevel::kPasid); }},
               {"children", [](M& m) { m.index = M::dmar(DmarLevel::kDirectory); }},
               {"devifmt",
                [](M& m) { m.state().devifmt.tables.erase(devifmt_table(M::kFunction, 1)); }},
               {"devif", [](M& m) { m.the_slot().devif.reset(); }}}},
    {.row = &row::kDmarRead,
     .prepare =
         [](M& m) {
           with_tables(m);
           m.index = M::dmar(DmarLevel::kPasid);
         },
     .call = [](M& m) { return m.module.tdh_dmar_read(index_of(m)); },
     .wrong = {{"index", [](M& m) { m.index.pasid = 1U << 20U; }},
               {"dmar", far_function},
               {"pasid", another_pasid},
               {"dmar_table", hold_root}}},
    {.row = &row::kDmarRemove,
     .prepare = invalidated,
     .call = [](M& m) { return m.module.tdh_dmar_remove(index_of(m)); },
     .wrong = {{"index", [](M& m) { m.index.pasid = 1U << 20U; }},
               {"dmar", far_function},
               {"pasid", another_pasid},
               {"dmar_table", hold_root},
               {"state", [](M& m) { m.index = M::dmar(DmarLevel::kDirectory); }},
               {"inv_state",
                [](M& m) {
                  for (auto& [key, entry] : m.state().dmar) entry.inv = InvState::kQueued;
                }},
               {"busy",
                [](M& m) {
                  EXPECT_OK(m.module.tdh_dmar_remove(m.index));
                  blocked(m, DmarLevel::kDirectory);
                  EXPECT_OK(m.module.tdh_iq_inv_request(m.index));
                  EXPECT_OK(m.module.tdh_iq_inv_process(M::kIommu));
                  for (const auto& [key, entry] : m.state().dmar)
                    if (entry.state == DmarState::kBlocked) m.hold_page(entry.table);
                },
                kRcx},
               {"devifmt",
                [](M& m) { m.state().devifmt.tables.erase(devifmt_table(M::kFunction, 1)); }},
               {"devif", [](M& m) { m.the_slot().devif.reset(); }}}},
    {.row = &row::kIqInvRequestIotlb,
     .prepare =
         [](M& m) {
           accepted(m);
           EXPECT_OK(m.module.tdh_mem_track(m.td.tdr));
           m[kR8] = raw(m.td.tdr);
         },
     .call =
         [](M& m) { return m.module.tdh_iq_inv_request_iotlb(m.iommu_id, m.page_in(kR8), m.wait); },
     .wrong = of_wait({{"full", fill_queue},
                       {"needed", [](M& m) { m.the_td().iommus[M::kIommu].pasidte_ref_cnt = 0; }},
                       {"queued", [](M& m) { m.the_td().iommus[M::kIommu].inv_req = true; }}})},
    {.row = &row::kIqInvRequestTd,
     .prepare = asked,
     .call =
         [](M& m) {
           return m.module.tdh_iq_inv_request_td(m.iommu_id, m.page_in(kR8), m.most, m.wait);
         },
     .wrong = of_wait({{"request", [](M& m) { m.most = 0; }},
                       {"full", fill_queue},
                       {"tdinv", hold_asked},
                       {"needed", [](M& m) { m.the_td().asked.left.clear(); }}})},
    {.row = &row::kIqInvRequest,
     .prepare =
         [](M& m) {
           with_tables(m);
           blocked(m, DmarLevel::kPasid);
         },
     .call = [](M& m) { return m.module.tdh_iq_inv_request(index_of(m), m.wait); },
     .wrong = of_wait({{"request", [](M& m) { m.index.level = DmarLevel{4}; }},
                       {"full", fill_queue},
                       {"subject", [](M& m) { m.index.pasid = 1U << 20U; }},
                       {"dmar", far_function},
                       {"pasid", another_pasid},
                       {"dmar_table", hold_root},
                       {"state", [](M& m) { m.index = M::dmar(DmarLevel::kDirectory); }},
                       {"inv_state", [](M& m) { (void)m.module.tdh_iq_inv_request(m.index); }}})},
    {.row = &row::kIqInvProcess,
     .prepare =
         [](M& m) {
           asked(m);
           EXPECT_OK(m.module.tdh_mem_track(m.td.tdr));
           EXPECT_OK(m.module.tdh_iq_inv_request_td(M::kIommu, m.td.tdr, 128));
           EXPECT_OK(m.module.tdh_iq_inv_request_iotlb(M::kIommu, m.td.tdr));
         },
     .call = [](M& m) { return m.module.tdh_iq_inv_process(m.iommu_id); },
     .wrong = {{"busy", [](M& m) { m.hold_page(m.td.tdr); }, kRcx},
               {"type", [](M& m) { m.the_iommu().queue.front().tdr = m.page(); }, kRcx},
               {"tdinv", hold_asked}}}};

}  // namespace
}  // namespace teeio::tdx
