// What makes each check of the newer API's leaves fail: see rows_test.cc.
#include "unit/firmware/tdx/rows.h"

namespace teeio::tdx {
namespace {

using M = Story;
using enum Operand;

/// An array of pages whose first is what the register says.
HpaArray array_of(M& m, Operand which, std::size_t count) {
  if (count == 1) return HpaArray(m[which]);
  Writer addresses;
  addresses.le(m[which]);
  for (std::size_t i = 1; i < count; ++i) addresses.le(raw(m.page()));
  const Hpa list = m.page();
  EXPECT_TRUE(m.memory.write(list, addresses.take()).has_value());
  return {list, count};
}
/// `offset` puts the page of addresses where none is.
HpaArray array_in(M& m, Operand which) {
  return HpaArray(array_of(m, which, m.pages_given).raw() | m.offset);
}
void no_list(M& m) { m.offset = 8; }
void too_few(M& m) { --m.pages_given; }
void no_answer(M& m) { EXPECT_TRUE(m.memory.write(m.page_in(kR8), m.last_object).has_value()); }

std::uint64_t name(const M& m) { return std::uint64_t{m.iommu_id} << 8U | m.session; }
G3Leaves& g3(M& m) { return m.module.g3(); }

/// An IOMMU that is set up through the newer API.
void with_iommu(M& m) {
  m.state().api = Api::kG3;
  m[kRdx] = raw(m.page());
  EXPECT_OK(g3(m).tdh_iommu_setup(M::kRegisters, array_of(m, kRdx, kIommuPages)));
  m[kRdx] = raw(m.page());
  m.pages_given = kSpdmPages;
}
LeafResult create(M& m) { return g3(m).tdh_spdm_create(m.function, array_in(m, kRdx)); }
void write_configuration(M& m, Hpa page, std::uint32_t capabilities, std::uint8_t slots) {
  Writer writer;
  writer.le(capabilities).le(std::uint8_t{0}).le(slots).le(std::uint8_t{0});
  EXPECT_TRUE(m.memory.write(page, writer.take()).has_value());
}
void with_session(M& m) {
  with_iommu(m);
  const LeafResult made = create(m);
  EXPECT_TRUE(made.ok());
  m.session = static_cast<std::uint32_t>(made.rcx & 0xffU);
  for (const Operand which : {kRdx, kR8, kR9, kR10}) m[which] = raw(m.page());
  write_configuration(m, m.page_in(kRdx), SpdmConfiguration::kKeyUpdate, 0xff);
  m.pages_given = kInfoPages;
}
G3Leaves::Messages messages(M& m, Operand answer, Operand request) {
  return {.answer = m.page_in(answer), .request = m.page_in(request)};
}
LeafResult connect(M& m) {
  return g3(m).tdh_spdm_connect(name(m), m.page_in(kRdx), messages(m, kR8, kR9), array_in(m, kR10));
}
/// The session was asked, and its answer is there.
void asking(M& m) {
  with_session(m);
  EXPECT_EQ(connect(m).status, Code::kSpdmRequest);
  m.carry_between(m.page_in(kR9), m.page_in(kR8));
}
void bound(M& m) {
  asking(m);
  EXPECT_OK(connect(m));
}

const Cases kSessionCases{
    {.row = &row::kG3IommuSetup,
     .prepare =
         [](M& m) {
           m.state().api = Api::kG3;
           m[kRcx] = raw(M::kRegisters);
           m[kRdx] = raw(m.page());
           m.pages_given = kIommuPages;
         },
     .call = [](M& m) { return g3(m).tdh_iommu_setup(m.page_in(kRcx), array_in(m, kRdx)); },
     .wrong = {{"registers", [](M& m) { m[kRcx] = 0x1000; }},
               {"iommu_state", [](M& m) { m.the_iommu().configured = true; }},
               {"array", too_few},
               {"list", no_list},
               {"root_port",
                [](M& m) {
                  EXPECT_TRUE(
                      m.port.configure_stream(0, {.stream_id = 1, .memory = {}}).has_value());
                }}}},
    {.row = &row::kG3IommuClear,
     .prepare = with_iommu,
     .call = [](M& m) { return g3(m).tdh_iommu_clear(m.iommu_id); },
     .wrong = {{"sessions", [](M& m) { m.the_iommu().active_spdm_session_count = 1; }}}},
    {.row = &row::kG3SpdmCreate,
     .prepare = with_iommu,
     .call = create,
     .wrong = {{"root_port", [](M& m) { m.function = FunctionId{0x4000}; }},
               {"array", too_few},
               {"list", no_list},
               {"sessions",
                [](M& m) {
                  for (std::uint32_t i = 0; i < kMaxSpdm; ++i) (void)m.the_iommu().sessions[i];
                }}}},
    {.row = &row::kG3SpdmDelete,
     .prepare = with_session,
     .call = [](M& m) { return g3(m).tdh_spdm_delete(name(m), m.page_in(kRdx)); },
     .wrong = {{"streams", [](M& m) { m.the_session().active_stream_count = 1; }}}},
    {.row = &row::kG3SpdmConnect,
     .prepare = asking,
     .call = connect,
     .wrong = {{"bound", [](M& m) { m.the_session().bound = true; }},
               {"configuration", [](M& m) { write_configuration(m, m.page_in(kRdx), 0, 0xfe); }},
               {"array", too_few},
               {"list", no_list},
               {"shared", [](M& m) { m[kR10] |= 8; }, kR10},
               {"answer", no_answer},
               {"space",
                [](M& m) {
                  SpdmSession& spdm = m.the_session();
                  Bytes answer(kPageSize);
                  EXPECT_TRUE(m.memory.read(m.page_in(kR8), answer).has_value());
                  answer.resize(std::to_integer<std::size_t>(answer[4]) * 4);
                  EXPECT_TRUE(spdm.channel->connect_response(answer).has_value());
                  spdm.asked = false;
                  spdm.info.resize(kInfoPages * kPageSize + 1);
                }}}},
    {.row = &row::kG3SpdmMng,
     .prepare =
         [](M& m) {
           bound(m);
           m[kR11] = raw(m.page());
         },
     .call =
         [](M& m) {
           const bool nonce = m[kR8] != 0;
           return g3(m).tdh_spdm_mng(name(m), m.operation,
                                     nonce ? std::optional(m.page_in(kR8)) : std::nullopt,
                                     messages(m, kR9, kR10), array_in(m, kR11));
         },
     .wrong = {{"operation", [](M& m) { m.operation = SpdmOperation{3}; }},
               {"under_way", [](M& m) { m.the_session().operation = SpdmOperation::kKeyUpdate; }},
               {"capability", [](M& m) { m.operation = SpdmOperation::kHeartbeat; }},
               {"parameter", [](M& m) { m[kR8] = 0; }},
               {"array", too_few},
               {"list", no_list},
               {"object",
                [](M& m) {
                  m.the_session().asked = true;
                  EXPECT_TRUE(m.memory.write(m.page_in(kR9), Bytes(kPageSize)).has_value());
                }},
               {"answer",
                [](M& m) {
                  m.the_session().asked = true;
                  EXPECT_TRUE(m.memory.write(m.page_in(kR9), m.last_object).has_value());
                }},
               // A plain channel has no keys.
               {"upkeep", [](M& m) { m.operation = SpdmOperation::kKeyUpdate; }},
               {"space", [](M& m) { m.the_session().info.resize(kInfoPages * kPageSize + 1); }}}},
    {.row = &row::kG3SpdmDisconnect,
     .prepare = bound,
     .call = [](M& m) { return g3(m).tdh_spdm_disconnect(name(m), messages(m, kRdx, kR8)); },
     .wrong = {{"streams", [](M& m) { m.the_session().active_stream_count = 1; }}}}};

// ---- Streams

std::uint32_t low(Hpa address) { return static_cast<std::uint32_t>(raw(address) >> 20U) & 0xfffU; }
/// Registers for a stream of one bus and 1 MiB.
G3Leaves::StreamRegisters registers_of(std::uint8_t bus, Hpa base) {
  return {.control = 0,
          .rid_1 = (std::uint32_t{bus} << 8U | 0xffU) << 8U,
          .rid_2 = std::uint32_t{bus} << 16U | 1U,
          .address_1 = 1U | low(base) << 8U | low(base) << 20U,
          .address_2 = static_cast<std::uint32_t>(raw(base) >> 32U),
          .address_3 = static_cast<std::uint32_t>(raw(base) >> 32U)};
}
void prepare_stream(M& m, const G3Leaves::StreamRegisters& registers) {
  m.stream_registers = registers;
  m[kR8] = raw(m.page());
  m.pages_given = kStreamPages;
}
LeafResult create_stream(M& m) {
  return g3(m).tdh_ide_stream_create({.root_port = m.rp_devfn, .selective = m.selective}, name(m),
                                     array_in(m, kR8), m.stream_registers);
}
void with_stream(M& m) {
  bound(m);
  prepare_stream(m, registers_of(1, M::kBar));
  const LeafResult made = create_stream(m);
  EXPECT_TRUE(made.ok());
  m.stream = static_cast<std::uint8_t>(made.rcx);
  m[kR9] = raw(m.page());
  m[kR10] = raw(m.page());
}
LeafResult km(M& m) {
  return g3(m).tdh_ide_stream_km(name(m), m.stream, m.km_operation, messages(m, kR9, kR10));
}
/// All messages of an operation but the last, whose answer is there.
void almost_keyed(M& m) {
  with_stream(m);
  for (int message = 0; message < 12; ++message) {
    EXPECT_EQ(km(m).status, Code::kSpdmRequest);
    m.carry_between(m.page_in(kR10), m.page_in(kR9));
  }
}

const Cases kStreamCases{
    {.row = &row::kG3IdeStreamCreate,
     .prepare =
         [](M& m) {
           with_stream(m);
           prepare_stream(m, registers_of(2, M::kBar + 0x10'0000));
         },
     .call = create_stream,
     .wrong = {{"link", [](M& m) { m.selective = false; }},
               {"control", [](M& m) { m.stream_registers.control = 1U << 8U; }},
               {"rid_valid", [](M& m) { m.stream_registers.rid_2 &= ~1U; }},
               {"address_valid", [](M& m) { m.stream_registers.address_1 &= ~1U; }},
               {"root_port", [](M& m) { m.rp_devfn = 0xf8; }},
               {"ide",
                [](M& m) {
                  m.the_iommu().root_ports[0] =
                      &m.plain_port.emplace(m.trace, hw::RootPort::Options{});
                  m.rp_devfn = 0;
                }},
               {"block",
                [](M& m) {
                  EXPECT_TRUE(
                      m.port.configure_stream(1, {.stream_id = 99, .memory = {}}).has_value());
                }},
               {"rids", [](M& m) { m.stream_registers.rid_1 = 3U << 16U; }},
               {"addresses", [](M& m) { m.stream_registers.address_2 = 1; }},
               {"rid_overlap", [](M& m) { m.stream_registers.rid_2 = 0x01ffU << 8U | 1U; }},
               {"address_overlap",
                [](M& m) { m.stream_registers.address_1 = registers_of(1, M::kBar).address_1; }},
               {"array", [](M& m) { m.pages_given = 2; }}}},
    {.row = &row::kG3IdeStreamBlock,
     .prepare = with_stream,
     .call = [](M& m) { return g3(m).tdh_ide_stream_block(name(m), m.stream); },
     .wrong = {}},
    {.row = &row::kG3IdeStreamDelete,
     .prepare =
         [](M& m) {
           with_stream(m);
           EXPECT_OK(g3(m).tdh_ide_stream_block(name(m), m.stream));
         },
     .call = [](M& m) { return g3(m).tdh_ide_stream_delete(name(m), m.stream); },
     .wrong = {{"not_blocked", [](M& m) { m.the_stream().blocked = false; }},
               {"devifs", [](M& m) { m.the_stream().devif_ref_cnt = 1; }}}},
    {.row = &row::kG3IdeStreamKm,
     .prepare = almost_keyed,
     .call = km,
     .wrong = {{"operation", [](M& m) { m.km_operation = KmOperation{3}; }},
               {"under_way", [](M& m) { m.km_operation = KmOperation::kStop; }},
               {"devifs",
                [](M& m) {
                  m.the_stream().km->operation = m.km_operation = KmOperation::kStop;
                  m.the_stream().devif_ref_cnt = 1;
                }},
               {"enabled",
                [](M& m) {
                  EXPECT_OK(km(m));
                  m.km_operation = KmOperation::kSetup;
                }},
               {"not_enabled",
                [](M& m) {
                  m.the_stream().km.reset();
                  m.the_stream().enabled = false;
                  m.km_operation = KmOperation::kRefresh;
                }},
               {"authentic", [](M& m) { not_the_sessions(m, m.page_in(kR9)); }},
               {"answer",
                [](M& m) {
                  using enum KmParameters::Direction;
                  m.the_stream().outstanding->parameters.direction = kRx;
                }},
               {"worn",
                [](M& m) {
                  EXPECT_OK(km(m));
                  m.the_session().worn = true;
                  m.km_operation = KmOperation::kRefresh;
                }},
               {"seal", [](M& m) {
                  EXPECT_OK(km(m));
                  m.the_session().channel->reset();
                  m.km_operation = KmOperation::kRefresh;
                }}}}};

}  // namespace
}  // namespace teeio::tdx
