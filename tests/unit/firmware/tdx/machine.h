#pragma once

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "firmware/tdx/module.h"
#include "hw/physical_memory.h"
#include "hw/root_port.h"
#include "hw/vtd/vtd_iommu.h"
#include "object/trace.h"
#include "schedule/task.h"
#include "unit/firmware/tdx/test_device.h"

namespace teeio::tdx {

#define EXPECT_CODE(expr, wanted) EXPECT_EQ((expr).status.name(), code_name(wanted))
#define EXPECT_OK(expr) EXPECT_EQ(name(expr), "TDX_SUCCESS")
#define ASSERT_OK(expr)                                                \
  do {                                                                 \
    const auto tdx_result = (expr);                                    \
    ASSERT_TRUE(tdx_result.ok()) << #expr << ": " << name(tdx_result); \
  } while (false)

inline std::string_view name(const LeafResult& r) { return r.status.name(); }
inline std::string_view name(const Module::GuestLeafResult& r) { return r.leaf.status.name(); }

/// One IOMMU, one root port, one card with two functions, the module, and the
/// steps that every story begins with. A test calls the leaves itself.
class Machine : public testing::Test {
 public:
  static constexpr std::uint32_t kIommu = 0;
  static constexpr std::uint32_t kSession = 3;
  static constexpr std::uint8_t kStream = 7;
  static constexpr FunctionId kFunction{0x0100};
  static constexpr FunctionId kOther{0x0101};
  static constexpr Hpa kBar{0x8000'0000};
  static constexpr Hpa kRegisters{0xfed9'0000};
  static constexpr Gpa kMmioGpa{0x4000'0000};
  static constexpr Gpa kRamGpa{0x10'0000};

  struct TestTd {
    Hpa tdr{0};
    Hpa vp{0};
    std::vector<Hpa> pages;  ///< all but the TDR, to reclaim
  };

  Machine() : Machine(spdm::ChannelSetup{}) {}
  explicit Machine(spdm::ChannelSetup channels)
      : module{memory,
               trace,
               {.hkids = 4,
                .iommus = {{.iommu = &iommu, .registers = kRegisters, .root_ports = {&port}}},
                .api = Api::kG2,
                .channels = std::move(channels)}} {}
  ~Machine() override { schedule::set_chooser({}); }

  Hpa page() { return *memory.alloc_page(); }

  /// What `count`-th and later schedule::choose(`what`) give 1, once.
  void inject_once(std::string_view wanted) {
    schedule::set_chooser([wanted, done = false](std::uint32_t, std::string_view what) mutable {
      if (done || what != wanted) return 0U;
      done = true;
      return 1U;
    });
  }

  TestTd make_td(std::uint16_t hkid, std::uint32_t vm) {
    TestTd td;
    td.tdr = page();
    EXPECT_TRUE(module.tdh_mng_create(td.tdr, hkid, vm).ok());
    EXPECT_TRUE(module.tdh_mng_key_config(td.tdr).ok());
    for (std::uint32_t i = 0; i < kTdcsPages; ++i) {
      td.pages.push_back(page());
      EXPECT_TRUE(module.tdh_mng_addcx(td.tdr, td.pages.back()).ok());
    }
    EXPECT_TRUE(module.tdh_mng_init(td.tdr, {.attributes = 0, .max_vcpus = 2}).ok());
    td.vp = page();
    EXPECT_TRUE(module.tdh_vp_create(td.tdr, td.vp).ok());
    for (std::uint32_t i = 0; i < kTdvpsPages; ++i) {
      td.pages.push_back(page());
      EXPECT_TRUE(module.tdh_vp_addcx(td.vp, td.pages.back()).ok());
    }
    EXPECT_TRUE(module.tdh_vp_init(td.vp, 0).ok());
    for (const Gpa gpa : {kMmioGpa, kRamGpa}) tables_for(td, gpa);
    return td;
  }

  /// The table pages above `gpa`'s 4 KiB entry that are missing.
  void tables_for(TestTd& td, Gpa gpa) {
    for (const Level level : {Level::k512G, Level::k1G, Level::k2M}) {
      const Gpa aligned{raw(gpa) & ~(level_bytes(level) - 1)};
      const Hpa table = page();
      if (module.tdh_mem_sept_add(td.tdr, aligned, level, table).ok())
        td.pages.push_back(table);
      else
        memory.free_page(table);
    }
  }

  TestTd running_td(std::uint16_t hkid = 1, std::uint32_t vm = 11) {
    TestTd td = make_td(hkid, vm);
    EXPECT_TRUE(module.tdh_mr_finalize(td.tdr).ok());
    return td;
  }

  /// A private page that the guest has accepted.
  Hpa private_page(TestTd& td, Gpa gpa) {
    const Hpa frame = page();
    EXPECT_TRUE(module.tdh_mem_page_aug(td.tdr, gpa, Level::k4K, frame).ok());
    inside(td, [&] { EXPECT_TRUE(module.tdg_mem_page_accept(td.vp, gpa, Level::k4K).ok()); });
    td.pages.push_back(frame);
    return frame;
  }

  /// Runs `body` as the guest's vCPU would: between enter and exit.
  template <class Body>
  void inside(const TestTd& td, Body body) {
    ASSERT_TRUE(module.begin_vp_enter(td.vp).ok());
    body();
    module.end_vp_enter(td.vp, TdExit::kOrdinary);
  }

  /// Takes the object in the message page to the device and brings its answer.
  void carry() { carry_between(message, message); }
  void carry_between(Hpa request, Hpa to) {
    Bytes object(kPageSize);
    ASSERT_TRUE(memory.read(request, object).has_value());
    const std::size_t dwords =
        std::to_integer<std::size_t>(object[4]) | std::to_integer<std::size_t>(object[5]) << 8U;
    object.resize(dwords * 4);
    last_object = object;
    const Bytes answer = relay(object);
    ASSERT_TRUE(memory.write(to, answer).has_value());
  }

  void setup_iommu() {
    config_iommu(module, kIommu);
    ASSERT_OK(module.tdh_iommu_setreg(kIommu, IommuRegister::kConfigRootPort, port.bdf().rid()));
  }
  /// Without its root ports.
  void config_iommu(Module& of, std::uint32_t id) {
    for (const IommuRegister which : kIommuPageRegisters)
      ASSERT_OK(of.tdh_iommu_setreg(id, which, raw(page())));
    ASSERT_OK(of.tdh_iommu_setreg(id, IommuRegister::kConfigIommu, 0));
  }
  void clear_iommu() {
    ASSERT_OK(module.tdh_iommu_setreg(kIommu, IommuRegister::kClearRootPort, port.bdf().rid()));
    ASSERT_OK(module.tdh_iommu_setreg(kIommu, IommuRegister::kClearIommu, 0));
  }

  void connect_spdm() {
    ASSERT_OK(module.tdh_spdm_create(kIommu, kSession, page()));
    LeafResult r = module.tdh_spdm_connect(kIommu, kSession, message);
    while (r.ok() && r.message_bytes() != 0) {
      carry();
      r = module.tdh_spdm_connect(kIommu, kSession, message);
    }
    ASSERT_OK(r);
    info_hash = {r.rdx, r.r8, r.r9, r.r10, r.r11, r.r12};
  }

  static IdeStreamConfig stream_config() {
    return {.root_port = 0,
            .register_block = 0,
            .key_id = 0,
            .stream_id = kStream,
            .rid_base = 0x0100,
            .rid_limit = 0x01ff,
            .address_base = kBar,
            .address_limit = Hpa{raw(kBar) + 0xf'ffff}};
  }

  LeafResult km(KmObject object, KmParameters key) {
    const LeafResult asked = module.tdh_ide_km_request(kIommu, kStream, object, key, 0, message);
    if (!asked.ok()) return asked;
    carry();
    return module.tdh_ide_km_response(kIommu, kStream, message);
  }

  template <class Step>
  static void each_key(Step step, std::uint8_t key_set = 0) {
    for (std::uint8_t sub = 0; sub < 3; ++sub)
      for (std::uint8_t direction = 0; direction < 2; ++direction)
        step(KmParameters{.sub_stream = KmParameters::SubStream{sub},
                          .direction = KmParameters::Direction{direction},
                          .key_set = key_set});
  }

  void make_stream() {
    ASSERT_OK(module.tdh_ide_stream_create(kIommu, kSession, stream_config(), page()));
    each_key([&](KmParameters key) { ASSERT_OK(km(KmObject::kKeyProg, key)); });
    each_key([&](KmParameters key) { ASSERT_OK(km(KmObject::kSetGo, key)); });
  }

  void connect() {
    setup_iommu();
    connect_spdm();
    make_stream();
  }

  void devifmt_tables() {
    for (std::uint8_t level = kDevifmtLevels; level >= 1; --level)
      ASSERT_OK(module.tdh_devifmt_add(kFunction, level, page()));
  }

  LeafResult create_devif(const TestTd& td, FunctionId function = kFunction) {
    return module.tdh_devif_create(td.tdr, function, kIommu, kStream, page(), page(), page());
  }

  void mmiomt_tables() {
    for (std::uint8_t level = kMmiomtLevels; level >= 1; --level)
      ASSERT_OK(module.tdh_mmiomt_add(kBar, level, page()));
  }

  static DmarIndex dmar(DmarLevel level, FunctionId function = kFunction) {
    return {.level = level,
            .rid = bdf_of(function).rid(),
            .iommu = static_cast<std::uint16_t>(kIommu),
            .pasid = 0};
  }

  LeafResult dmar_add(DmarIndex index, Hpa table) {
    return module.tdh_dmar_add(index, dmar_value(index.level, table));
  }

  void dmar_tables(FunctionId function = kFunction) {
    for (const DmarLevel level : {DmarLevel::kRoot, DmarLevel::kContext, DmarLevel::kDirectory})
      (void)dmar_add(dmar(level, function), page());
    ASSERT_OK(dmar_add(dmar(DmarLevel::kPasid, function), Hpa{0}));
  }

  /// One TDISP exchange, both halves.
  LeafResult tdisp(DevifRequest code, OnBehalfOf who = OnBehalfOf::kVmm,
                   FunctionId function = kFunction) {
    const LeafResult asked = module.tdh_devif_request(function, code, who, message);
    if (!asked.ok()) return asked;
    carry();
    return module.tdh_devif_response(function, who, message);
  }

  /// What the guest has asked for goes to the device and its answer comes back.
  LeafResult relay_guest() { return tdisp(DevifRequest::kNone, OnBehalfOf::kTd); }

  /// The guest's own exchange, relayed by the host.
  Module::GuestLeafResult guest_tdisp(const TestTd& td, DevifRequest code) {
    Module::GuestLeafResult result;
    inside(td, [&] { result.leaf = module.tdg_devif_request(td.vp, kFunction, code); });
    if (!result.ok()) return result;
    result.leaf = relay_guest();
    if (!result.ok()) return result;
    inside(td, [&] { result = module.tdg_devif_response(td.vp, kFunction, std::nullopt); });
    return result;
  }

  /// §7 up to step 7: a locked function with metadata of its BAR and DMA.
  void bind(const TestTd& td) {
    devifmt_tables();
    ASSERT_OK(create_devif(td));
    mmiomt_tables();
    ASSERT_OK(module.tdh_mmiomt_set(kBar, Level::k4K, kFunction));
    dmar_tables();
    ASSERT_OK(tdisp(DevifRequest::kLock));
  }

  void validate(const TestTd& td) {
    inside(td, [&] { ASSERT_OK(module.tdg_devif_validate(td.vp, kFunction, info_hash)); });
  }

  std::uint64_t handle() { return raw(kBar) + device.tdis[0x0100].lock.mmio_reporting_offset; }

  /// Steps 9 and 10.
  void accept(const TestTd& td) {
    ASSERT_OK(module.tdh_mmio_map(td.tdr, kMmioGpa, Level::k4K, kBar));
    inside(td, [&] {
      ASSERT_OK(module.tdg_mmio_accept(td.vp, kMmioGpa, Level::k4K, handle()));
      ASSERT_OK(module.tdg_dmar_accept(td.vp, kFunction));
    });
  }

  /// A TDI in RUN with its first BAR page and its DMA accepted.
  void run(const TestTd& td) {
    bind(td);
    validate(td);
    ASSERT_OK(guest_tdisp(td, DevifRequest::kReport));
    accept(td);
    ASSERT_OK(guest_tdisp(td, DevifRequest::kStart));
  }

  /// Block the DMA entry, have the IOMMU forget it, remove it.
  void dma_off(FunctionId function = kFunction) {
    ASSERT_OK(module.tdh_dmar_block(dmar(DmarLevel::kPasid, function)));
    ASSERT_OK(module.tdh_iq_inv_request(dmar(DmarLevel::kPasid, function)));
    ASSERT_OK(module.tdh_iq_inv_process(kIommu));
    ASSERT_OK(module.tdh_dmar_remove(dmar(DmarLevel::kPasid, function)));
  }

  /// Invalidations as a guest asks for them: VT-d 6.5.2.3 and 6.5.2.8.
  static InvalidationDescriptor of_domain() { return {2U | 2U << 4U | 3U << 6U}; }
  static InvalidationDescriptor of_page(Gpa gpa) {
    return {2U | 3U << 4U | 3U << 6U, raw(gpa) | 1U << 6U};
  }
  static InvalidationDescriptor status_wait(Gpa status, std::uint32_t data) {
    return {5U | 1U << 5U | std::uint64_t{data} << 32U, raw(status)};
  }
  /// The guest asks for them, from its page at `gpa`, which is `frame`.
  Module::GuestLeafResult ask(const TestTd& td, Gpa gpa, Hpa frame,
                              const std::vector<InvalidationDescriptor>& all) {
    EXPECT_TRUE(memory.write(frame, std::as_bytes(std::span(all)), memory.key_of(frame)));
    Module::GuestLeafResult result;
    inside(td, [&] { result = module.tdg_iq_inv_request(td.vp, all.size(), gpa); });
    return result;
  }

  std::expected<hw::Iommu::Translation, hw::IommuFault> trusted(Gpa gpa) {
    return iommu.translate(0x0100, hw::TBit::kTrusted, Iova{raw(gpa)}, hw::DmaAccess::kWrite);
  }

  static hw::RootPort::Options port_options() {
    hw::RootPort::Options options{};
    options.bdf.device = 1;
    options.header.secondary = 1;
    options.header.subordinate = 2;
    options.header.prefetchable = {.base = raw(kBar), .last = raw(kBar) + 0x1f'ffff};
    options.ide_streams = 2;
    options.tee_io = true;
    return options;
  }

  object::Trace trace;
  hw::PhysicalMemory memory{std::uint64_t{64} << 20U};
  hw::VtdIommu iommu{memory, trace, 0};
  hw::RootPort port{trace, port_options()};
  Module module;
  TestDevice device;
  /// How the host carries an object; a test may bend it.
  std::function<Bytes(ByteView object)> relay = [this](ByteView object) {
    return device.answer(object);
  };
  Hpa message = page();
  Bytes last_object;  ///< that was carried
  DeviceInfoHash info_hash{};
};

}  // namespace teeio::tdx
