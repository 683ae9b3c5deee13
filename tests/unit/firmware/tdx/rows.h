#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "firmware/tdx/mmiomt.h"
#include "firmware/tdx/rows.h"
#include "firmware/tdx/state.h"
#include "schedule/races.h"
#include "unit/firmware/tdx/machine.h"
#include "wire/doe.h"

namespace teeio::tdx {

/// A machine on which one leaf is called, with one thing wrong. Registers are what the leaf
/// takes; the rest says what they stand for where they are no pages.
struct Story : Machine {
  Story() { module.set_injection({.interruptions = false, .failures = false}); }
  void TestBody() override {}

  std::uint64_t& operator[](Operand which) {
    const schedule::Unwatched made_at_first_use;
    return registers[which];
  }
  [[nodiscard]] Hpa page_in(Operand which) { return Hpa{registers[which]}; }
  [[nodiscard]] Gpa gpa() { return Gpa{registers[Operand::kRcx]}; }

  [[nodiscard]] std::uint64_t stream_register() const { return stream_bits | stream; }

  State& state() { return module.state(); }
  Td& the_td() { return *state().find_td(td.tdr); }
  Vcpu& the_vcpu() { return *state().find_vcpu(td.vp); }
  IommuState& the_iommu() { return state().iommus[kIommu]; }
  SpdmSession& the_session() { return the_iommu().sessions.at(session); }
  IdeStream& the_stream() { return the_iommu().streams.at(stream); }
  Devif& the_devif() { return *state().find_devif(kFunction); }
  DevifSlot& the_slot() { return state().devifmt.slots[static_cast<std::uint32_t>(kFunction)]; }
  DevifmtTable& devifmt_table_of(unsigned level_of_it) {
    return state().devifmt.tables.unrecorded(devifmt_table(kFunction, level_of_it));
  }
  Hpa devifmt_table_page(unsigned level_of_it) { return devifmt_table_of(level_of_it).page; }
  Hpa mmiomt_table_page(std::uint8_t level_of_it) {
    return state().mmiomt.tables.unrecorded(mmiomt_table(kBar, level_of_it)).page;
  }
  /// The S-EPT entry that the leaf is about.
  Sept::Place place() { return Sept(memory, the_td()).walk(gpa(), level); }
  /// A page that is the module's.
  Hpa taken() {
    const Hpa tdr = page();
    EXPECT_TRUE(module.tdh_mng_create(tdr, 4, 99).ok());
    return tdr;
  }
  /// "Another leaf has it", for the rest of the story.
  static void hold(TryLock& lock) { EXPECT_TRUE(lock.try_exclusive()); }
  void hold_page(Hpa which) { hold(state().pamt.entry(which).lock); }

  std::optional<hw::RootPort> plain_port;
  std::map<Operand, std::uint64_t> registers;
  TestTd td;
  std::uint32_t iommu_id = kIommu;
  std::uint32_t session = kSession;
  std::uint8_t stream = kStream;
  std::uint64_t stream_bits = 0;  ///< above it in its register
  Processor on;
  VpInitVersion version{.number = 1, .x2apic_id = 1};
  FunctionId function = kFunction;
  Level level = Level::k4K;
  std::uint8_t table_level = 1;
  DmarIndex index = dmar(DmarLevel::kRoot);
  DmarValue value{};
  WaitDescriptor wait = wait_descriptor();
  std::uint16_t hkid = 2;
  TdParameters parameters{.attributes = 0, .max_vcpus = 2};
  IdeStreamConfig config = stream_config();
  KmObject object = KmObject::kKeyProg;
  KmParameters key{};
  std::uint64_t key_slot = 0;
  DevifRequest request = DevifRequest::kState;
  OnBehalfOf who = OnBehalfOf::kVmm;
  bool no_update = false;
  std::optional<FunctionId> owner = kFunction;
  std::uint32_t offset = 0;
  std::array<std::byte, 32> nonce{};
  std::optional<Gpa> buffer;
  DevifField field = DevifField::kTdispVersion;
  std::uint64_t guest_handle = 0;
  std::uint16_t most = 128;
  std::uint64_t count = 1;
  ReservedBits rest;
  // Of the newer API.
  std::size_t pages_given = 0;  ///< with what a register says
  std::uint8_t rp_devfn = static_cast<std::uint8_t>(port_options().bdf.rid());
  bool selective = true;
  G3Leaves::StreamRegisters stream_registers{};
  SpdmOperation operation = SpdmOperation::kRecollect;
  KmOperation km_operation = KmOperation::kSetup;
};

/// What comes in a message page belongs to no session: in the clear, no SPDM at all.
inline void not_the_sessions(Story& m, Hpa page) {
  const Bytes object = wire::DoeObject{wire::kPciSigVendorId,
                                       std::to_underlying(wire::DoeType::kSecuredSpdm), Bytes(8)}
                           .encode();
  EXPECT_TRUE(m.memory.write(page, object).has_value());
}

/// What makes a check fail: by its id, and its operand where the row has several.
struct Wrong {
  std::string_view id;
  std::function<void(Story&)> act;
  std::optional<Operand> operand = std::nullopt;
};

/// How a row's leaf is called, and on which machine all is well.
struct Case {
  const Row* row;
  std::function<void(Story&)> prepare;
  std::function<LeafResult(Story&)> call;
  std::vector<Wrong> wrong;
};

inline std::map<const Row*, Case>& cases() {
  static std::map<const Row*, Case> all;
  return all;
}
struct Cases {
  Cases(std::initializer_list<Case> some) {
    for (const Case& one : some) cases().emplace(one.row, one);
  }
};

}  // namespace teeio::tdx
