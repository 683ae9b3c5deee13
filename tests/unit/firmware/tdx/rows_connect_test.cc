// What makes each check of the leaves about IOMMUs, sessions and streams fail: see
// rows_test.cc.
#include "unit/firmware/tdx/rows.h"

namespace teeio::tdx {
namespace {

using M = Story;
using enum Operand;

// ---- IOMMUs and sessions

/// A session that is not bound yet.
void with_session(M& m) {
  m.setup_iommu();
  EXPECT_OK(m.module.tdh_spdm_create(M::kIommu, M::kSession, m.page()));
  m[kR8] = raw(m.message);
}
void bound(M& m) {
  m.setup_iommu();
  m.connect_spdm();
  m[kR8] = raw(m.message);
}
/// The session has been asked for a message, and `carried` or not has its answer.
void asking(M& m, bool carried) {
  with_session(m);
  EXPECT_OK(m.module.tdh_spdm_connect(M::kIommu, M::kSession, m.message));
  if (carried) m.carry();
}
/// What the host brings is the request itself.
void no_answer(M& m) { EXPECT_TRUE(m.memory.write(m.message, m.last_object).has_value()); }
LeafResult connect(M& m) {
  return m.module.tdh_spdm_connect(m.iommu_id, m.session, m.page_in(kR8));
}
LeafResult recollect(M& m) {
  return m.module.tdh_spdm_recollect(m.iommu_id, m.session, m.nonce, m.page_in(kR8));
}

const Cases kSessionCases{
    {.row = &row::kSpdmCreate,
     .prepare =
         [](M& m) {
           m.setup_iommu();
           m[kR8] = raw(m.page());
         },
     .call = [](M& m) { return m.module.tdh_spdm_create(m.iommu_id, m.session, m.page_in(kR8)); },
     .wrong = {{"spdm_present",
                [](M& m) { (void)m.module.tdh_spdm_create(M::kIommu, m.session, m.page()); }}}},
    {.row = &row::kSpdmDelete,
     .prepare = with_session,
     .call = [](M& m) { return m.module.tdh_spdm_delete(m.iommu_id, m.session); },
     .wrong = {{"streams", [](M& m) { m.the_session().active_stream_count = 1; }}}},
    {.row = &row::kSpdmConnect,
     .prepare = [](M& m) { asking(m, true); },
     .call = connect,
     .wrong = {{"bound", [](M& m) { m.the_session().bound = true; }}, {"answer", no_answer}}},
    {.row = &row::kSpdmRecollect,
     .prepare = bound,
     .call = recollect,
     .wrong = {{"nonce",
                [](M& m) { m.the_session().recollecting.emplace().front() = std::byte{1}; }},
               {"object",
                [](M& m) {
                  m.the_session().asked = true;
                  EXPECT_TRUE(m.memory.write(m.message, Bytes(kPageSize)).has_value());
                }},
               {"answer",
                [](M& m) {
                  m.the_session().asked = true;
                  no_answer(m);
                }}}},
    {.row = &row::kSpdmInfo,
     .prepare = bound,
     .call =
         [](M& m) {
           return m.module.tdh_spdm_info(m.iommu_id, m.session, m.offset, m.page_in(kR8));
         },
     .wrong = {{"offset", [](M& m) { m.offset = 1U << 30U; }}}},
    {.row = &row::kSpdmDisconnect,
     .prepare = bound,
     .call =
         [](M& m) { return m.module.tdh_spdm_disconnect(m.iommu_id, m.session, m.page_in(kR8)); },
     .wrong = {{"streams", [](M& m) { m.the_session().active_stream_count = 1; }},
               {"object", [](M& m) {
                  m.the_session().ending = true;
                  EXPECT_TRUE(m.memory.write(m.message, Bytes(kPageSize)).has_value());
                }}}}};

// ---- Streams

void streaming(M& m) {
  m.connect();
  m[kR11] = raw(m.message);
  m[kR8] = raw(m.message);
}
/// A stream whose first key was asked for, and the answer is there.
void keying(M& m) {
  bound(m);
  EXPECT_OK(m.module.tdh_ide_stream_create(M::kIommu, M::kSession, M::stream_config(), m.page()));
  m[kR8] = raw(m.message);
  EXPECT_OK(
      m.module.tdh_ide_km_request(M::kIommu, M::kStream, KmObject::kKeyProg, {}, 0, m.message));
  m.carry();
}
/// All GO of what the device transmits, and the last answer is there.
void enabling(M& m, bool other_direction) {
  bound(m);
  EXPECT_OK(m.module.tdh_ide_stream_create(M::kIommu, M::kSession, M::stream_config(), m.page()));
  using Direction = KmParameters::Direction;
  M::each_key([&](KmParameters key) {
    if (other_direction || key.direction == Direction::kTx) (void)m.km(KmObject::kKeyProg, key);
  });
  KmParameters key{.direction = Direction::kTx};
  for (const auto sub : {KmParameters::SubStream::kPosted, KmParameters::SubStream::kNonPosted}) {
    key.sub_stream = sub;
    EXPECT_OK(m.km(KmObject::kSetGo, key));
  }
  key.sub_stream = KmParameters::SubStream::kCompletion;
  EXPECT_OK(
      m.module.tdh_ide_km_request(M::kIommu, M::kStream, KmObject::kSetGo, key, 0, m.message));
  m.carry();
}
LeafResult km_response(M& m) {
  return m.module.tdh_ide_km_response(m.iommu_id, m.stream_register(), m.page_in(kR8));
}
/// Another stream, of other requesters and addresses.
void second_stream(M& m) {
  streaming(m);
  m.config.register_block = 1;
  m.config.key_id = 1;
  m.config.stream_id = 9;
  m.config.rid_base = m.config.rid_limit = 0x200;
  m.config.address_base = m.config.address_base + 0x10'0000;
  m.config.address_limit = m.config.address_limit + 0x10'0000;
  m[kR15] = raw(m.page());
}

const Cases kStreamCases{
    {.row = &row::kIdeStreamCreate,
     .prepare = second_stream,
     .call =
         [](M& m) {
           return m.module.tdh_ide_stream_create(m.iommu_id, m.session, m.config, m.page_in(kR15));
         },
     .wrong = {{"root_port", [](M& m) { m.config.root_port = 1; }},
               {"ide",
                [](M& m) {
                  m.config.key_id = 0;
                  m.the_iommu().root_ports[0] =
                      &m.plain_port.emplace(m.trace, hw::RootPort::Options{});
                }},
               {"block", [](M& m) { m.config.register_block = 2; }},
               {"block_used", [](M& m) { m.config.register_block = 0; }},
               {"key_id", [](M& m) { m.config.key_id = 2; }},
               {"key_used", [](M& m) { m.config.key_id = 0; }},
               {"stream_id", [](M& m) { m.config.stream_id = M::kStream; }},
               {"rids", [](M& m) { m.config.rid_limit = 0; }},
               {"addresses", [](M& m) { m.config.address_limit = Hpa{0x1000}; }},
               {"rid_overlap", [](M& m) { m.config.rid_base = 0x1ff; }},
               {"address_overlap", [](M& m) { m.config.address_base = M::kBar; }},
               // The module has forgotten what the root port has not.
               {"hardware",
                [](M& m) {
                  m.the_iommu().streams.erase(M::kStream);
                  m.config.stream_id = M::kStream;
                }}}},
    {.row = &row::kIdeStreamBlock,
     .prepare = streaming,
     .call = [](M& m) { return m.module.tdh_ide_stream_block(m.iommu_id, m.stream_register()); },
     .wrong = {}},
    {.row = &row::kIdeStreamDelete,
     .prepare =
         [](M& m) {
           streaming(m);
           EXPECT_OK(m.module.tdh_ide_stream_block(M::kIommu, M::kStream));
         },
     .call = [](M& m) { return m.module.tdh_ide_stream_delete(m.iommu_id, m.stream_register()); },
     .wrong = {{"not_blocked", [](M& m) { m.the_stream().blocked = false; }},
               {"devifs", [](M& m) { m.the_stream().devif_ref_cnt = 1; }}}},
    {.row = &row::kIdeKmRequest,
     .prepare =
         [](M& m) {
           streaming(m);
           m.key.key_set = 1;
         },
     .call =
         [](M& m) {
           return m.module.tdh_ide_km_request(m.iommu_id, m.stream_register(), m.object, m.key,
                                              m.key_slot, m.page_in(kR11));
         },
     .wrong = {{"outstanding",
                [](M& m) { m.the_stream().outstanding = {.object = m.object, .parameters = {}}; }},
               {"object", [](M& m) { m.object = KmObject{3}; }},
               {"devifs",
                [](M& m) {
                  m.object = KmObject::kSetStop;
                  m.the_stream().devif_ref_cnt = 1;
                }},
               {"parameters", [](M& m) { m.key.key_set = 2; }},
               {"keys", [](M& m) { m.object = KmObject::kSetGo; }},
               {"slot", [](M& m) { m.key_slot = 2 * kKeySlotsOfStream; }},
               {"seal", [](M& m) { m.the_session().channel->reset(); }}}},
    {.row = &row::kIdeKmResponse,
     .prepare = keying,
     .call = km_response,
     .wrong = {{"outstanding", [](M& m) { m.the_stream().outstanding.reset(); }},
               {"authentic", [](M& m) { not_the_sessions(m, m.message); }},
               {"answer",
                [](M& m) {
                  m.the_stream().outstanding->parameters.direction = KmParameters::Direction::kTx;
                }},
               {"ready", [](M& m) {
                  m.the_iommu().streams.clear();
                  (void)m.port.release_stream(0);
                  m.the_iommu().sessions.clear();
                  m.the_iommu().active_spdm_session_count = 0;
                  m.clear_iommu();
                  enabling(m, false);
                }}}}};

TEST(StreamKeys, WithBothDirectionsProgrammedTheThirdGoEnables) {
  Story m;
  enabling(m, true);
  EXPECT_OK(km_response(m));
}

}  // namespace
}  // namespace teeio::tdx
