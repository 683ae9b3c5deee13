// Exhaustive search reaches each answer that some order gives: what hardware does without a
// lock is recorded (schedule/monitor.h).

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>

#include "base/check.h"
#include "explore/run.h"
#include "explore/scenario/catalogue.h"
#include "explore/scenario/designs.h"
#include "explore/scenario/guest.h"
#include "explore/scenario/stage.h"
#include "explore/scenario/text.h"
#include "explore/scenario/unexplored.h"
#include "firmware/sev/fenced_mmio.h"
#include "firmware/sev/guest_message.h"
#include "firmware/sev/secure_tables.h"
#include "firmware/sev/tio_messages.h"
#include "host/kvm/sev/sev_vm.h"
#include "host/vfio/device.h"
#include "hw/vtd/vtd_iommu.h"
#include "schedule/run_heap.h"
#include "schedule/task.h"

namespace teeio::explore {
namespace {

constexpr std::uint64_t kBase = 0x10'0000;
constexpr std::uint64_t kConfig = std::uint64_t{7} << vfio::kRegionShift;

using Answers = std::set<std::string>;
Answers* g_answers = nullptr;  // a scenario's body is a plain function

void note(const std::string& answer) {
  const schedule::OutsideRunHeap outside;
  g_answers->insert(std::string(answer.c_str()));
}

Answers answers_of(void (*body)(const machine::Config&), const char* design) {
  Answers answers;
  g_answers = &answers;
  const auto config = parse_design(design);
  EXPECT_TRUE(config.has_value());
  const Scenario scenario =
      make_scenario({.name = "orders", .description = "Of a test.", .body = body}, *config);
  const auto result = run_scenario(scenario, {.max_schedules = 20'000, .shrink = false});
  EXPECT_EQ(result.verdict, ScenarioResult::Verdict::kExhausted);
  g_answers = nullptr;
  return answers;
}

// RMPUPDATE takes the pages away that the guest has validated.
void validate_against_shared(const machine::Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.with_mmio();
  stage.vm_may_die();
  const auto guest = *vmm.snp_guest();
  const sev::GuestMessage message{
      .sequence = guest.sequence.at(0) + 1,
      .type = static_cast<std::uint8_t>(sev::TioMessage::kMmioValidateRequest),
      .key = 0,
      .payload = Writer()
                     .le(static_cast<std::uint16_t>(vmm.virt_id))
                     .zeros(14)
                     .le(raw(kMmioGpa))
                     .le(1U)
                     .le(0U)
                     .le(sev::kValidated)
                     .le(std::uint16_t{2})
                     .zeros(12)
                     .take()};
  const auto key = guest.message_keys.at(0);
  const Bytes sealed = message.seal(key);
  Result<Bytes> got = Bytes{};
  stage.play({{"guest",
               [&] {
                 got = vmm.send(abi::TSM_REQ_VALIDATE_MMIO, abi::IOMMU_VDEVICE_TSM_TVM_ARCH_SEV,
                                sealed);
               }},
              {"vmm", [&] { (void)vmm.set_private(kMmioGpa, kPageSize, false); }}});
  const Unexplored after;
  if (!got) return note("refused");
  const auto answer = sev::SealedMessage::decode(*got);
  const auto opened = answer->open(key);
  Reader in(opened->payload);
  in.skip(2);
  note("status " + std::to_string(in.le<std::uint16_t>()));
}

TEST(Orders, MmioIsValidatedBeforeAndAfterRmpupdate) {
  constexpr const char* kNotAssigned = "status 3";
  EXPECT_EQ(answers_of(validate_against_shared, "sev"), (Answers{"status 0", kNotAssigned}));
}

/// A function whose engine fills the page after its ring, which is mapped.
struct Engine {
  explicit Engine(Stage& stage) : vmm(stage.vmm()) {
    must(vmm.open_device(kVf0));
    must(vmm.bind_iommufd());
    memory = vmm.memory().map(4 * kPageSize);
    abi::iommu_ioas_alloc ioas{.size = sizeof(ioas), .flags = 0, .out_ioas_id = 0};
    call(IOMMU_IOAS_ALLOC, ioas);
    id = ioas.out_ioas_id;
    map(0);
  }
  template <class T>
  void call(std::uint32_t command, T& arg) const {
    TEEIO_CHECK(vmm.ioctl(vmm.iommufd, command, arg).has_value(), "an iommufd call failed");
  }
  void map(std::uint64_t page) const {
    abi::iommu_ioas_map map{};
    map.size = sizeof(map);
    map.flags = abi::IOMMU_IOAS_MAP_FIXED_IOVA | abi::IOMMU_IOAS_MAP_READABLE |
                abi::IOMMU_IOAS_MAP_WRITEABLE;
    map.ioas_id = id;
    map.user_va = memory + page * kPageSize;
    map.length = kPageSize;
    map.iova = kBase + page * kPageSize;
    call(IOMMU_IOAS_MAP, map);
  }
  void unmap(std::uint64_t page) const {
    abi::iommu_ioas_unmap unmap{};
    unmap.size = sizeof(unmap);
    unmap.ioas_id = id;
    unmap.iova = kBase + page * kPageSize;
    unmap.length = kPageSize;
    call(IOMMU_IOAS_UNMAP, unmap);
  }
  void attach(std::uint32_t pasid = 0) const {
    abi::vfio_device_attach_iommufd_pt arg{};
    arg.argsz = sizeof(arg);
    arg.flags = pasid != 0 ? VFIO_DEVICE_ATTACH_PASID : 0;
    arg.pt_id = id;
    arg.pasid = pasid;
    TEEIO_CHECK(vmm.ioctl(vmm.vfio, VFIO_DEVICE_ATTACH_IOMMUFD_PT, arg).has_value(), "attach");
  }
  void write(std::uint64_t offset, std::uint32_t value) const {
    (void)vmm.pwrite(vmm.vfio, offset, bytes_of(value));
  }
  void start(std::uint64_t flags = 2, std::uint64_t pasid = 0) const {
    const std::uint64_t descriptor[4] = {flags | std::uint64_t{8} << 32U, 0x1111, kBase + kPageSize,
                                         pasid << 32U};
    must(vmm.memory().write(memory, bytes_of(descriptor)));
    constexpr std::uint16_t kMemoryAndMaster = 6;
    (void)vmm.pwrite(vmm.vfio, kConfig + 4, bytes_of(kMemoryAndMaster));
    write(0x10, kBase);
    write(0x18, 4);
    write(0x08, 1);
  }
  [[nodiscard]] std::uint32_t ring() const {
    std::uint32_t error = 0;
    write(0x24, 1);
    (void)vmm.pread(vmm.vfio, 0x28, writable_bytes_of(error));
    return error;
  }

  Vmm& vmm;
  std::uint64_t memory = 0;
  std::uint32_t id = 0;
};

void map_against_transfer(const machine::Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  const Engine engine(stage);
  engine.attach();
  engine.start();
  std::uint32_t error = 0;
  stage.play({{"vmm", [&] { engine.map(1); }}, {"device", [&] { error = engine.ring(); }}});
  note(error == 0 ? "reached" : "fault");
}

void unmap_against_transfer(const machine::Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  const Engine engine(stage);
  engine.map(1);
  engine.attach();
  engine.start();
  std::uint32_t error = 0;
  stage.play({{"vmm", [&] { engine.unmap(1); }}, {"device", [&] { error = engine.ring(); }}});
  note(error == 0 ? "reached" : "fault");
}

TEST(Orders, ATransferComesBeforeAndAfterAMap) {
  for (const char* design : {"tdx", "sev"}) {
    EXPECT_EQ(answers_of(map_against_transfer, design), (Answers{"fault", "reached"})) << design;
    EXPECT_EQ(answers_of(unmap_against_transfer, design), (Answers{"fault", "reached"})) << design;
  }
}

// A VF's requests have a PASID as long as the PF's capability is on.
void pasid_against_reset(const machine::Config& plain) {
  machine::Config design = plain;
  design.cards.front().pasid_bits = 4;
  Stage stage(design, Stage::Card::kAsAtBoot);
  Vmm& pf = stage.vmm();
  must(pf.open_device(kPf));
  must(pf.bind_iommufd());
  Engine engine(stage);
  engine.map(1);
  abi::iommu_hwpt_alloc hwpt{};
  hwpt.size = sizeof(hwpt);
  hwpt.flags = abi::IOMMU_HWPT_ALLOC_PASID;
  hwpt.dev_id = engine.vmm.dev_id;
  hwpt.pt_id = engine.id;
  engine.call(IOMMU_HWPT_ALLOC, hwpt);
  engine.id = hwpt.out_hwpt_id;
  engine.attach();
  engine.attach(3);
  constexpr std::uint64_t kHasPasid = 1U << 10U;
  std::uint32_t error = 0;
  stage.play({{"vf",
               [&] {
                 engine.write(0x08, 2);
                 engine.start(2 | kHasPasid, 3);
                 error = engine.ring();
               }},
              {"pf", [&] { (void)pf.ioctl(pf.vfio, VFIO_DEVICE_RESET, std::uint64_t{0}); }}});
  const Unexplored after;
  std::uint64_t status = 0;
  must(engine.vmm.memory().read(engine.memory + 24, writable_bytes_of(status)));
  note("error " + std::to_string(error) + " status " + std::to_string(status & 0xffff'ffffU));
}

TEST(Orders, APasidComesBeforeAndAfterThePfsReset) {
  // Without PASID Enable the descriptor fails, with the engine's kPasid.
  EXPECT_TRUE(answers_of(pasid_against_reset, "tdx").contains("error 10 status 2147483658"));
}

// The first open saves the registers that the last close writes back: under memory_lock, as a
// reset has them at zero meanwhile. (It resets the function itself, and is refused with EAGAIN
// where root's reset holds device_lock(): pci_try_reset_function().)
TEST(Orders, TheFirstOpenSavesNoRegistersOfAReset) {
  const auto scenario = parse_text_scenario(R"(scenario bind-against-reset
card as-at-boot
setup
  iommu = open /dev/iommu
  vfio = open /dev/vfio/devices/vfio0
thread binder
  VFIO_DEVICE_BIND_IOMMUFD vfio iommufd=iommu -> ok EAGAIN
thread resetter in root
  write /sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/reset 1 -> ok
finish
  close vfio
  holds "command register of 0000:01:00.0" 0x0002
)",
                                            "bind-against-reset.scenario");
  ASSERT_TRUE(scenario.has_value()) << scenario.error();
  const auto result = run_scenario(make_scenario(*scenario, default_designs().front()), {});
  EXPECT_EQ(result.verdict, ScenarioResult::Verdict::kExhausted)
      << (result.failure ? result.failure->what : "");
}

// --- Pieces of a machine by themselves ---

/// Two tasks, each of which the other may precede.
template <class First, class Second>
void play(First first, Second second) {
  auto a = schedule::Task::spawn("first", first);
  auto b = schedule::Task::spawn("second", second);
  a.join();
  b.join();
}

constexpr std::uint16_t kOneRid = 8, kOtherRid = 9;
constexpr sev::Asid kAsid = 1;

/// A register that a guest reads behind a fence.
struct Register final : hw::MmioTarget {
  void mmio_read(std::uint64_t, std::span<std::byte> out) override {
    std::ranges::fill(out, std::byte{1});
  }
  void mmio_write(std::uint64_t, ByteView) override {}
};

/// An IOMMU's secure side, with two functions of one guest, whose requests it lets pass.
struct Fences {
  Fences() {
    guard.open(0, kAsid);
    for (const std::uint16_t rid : {kOneRid, kOtherRid}) {
      guard.assign(rid, kAsid);
      guard.write(rid, {.valid = true, .read = true, .write = true, .asid = kAsid});
    }
  }
  object::Trace trace;
  hw::PhysicalMemory memory{1U << 20U};
  sev::Rmp rmp{memory};
  sev::IoGuard guard{trace};
  sev::SecureTables tables{guard, rmp, 0};
  schedule::Monitor card{schedule::Rank::kDevice};
};

void fence_against_transfer(const machine::Config&) {
  Fences at;
  bool passes = false;
  play(
      [&] {
        const schedule::Section section(at.card, schedule::Section::kByParts);
        at.tables.request_failed(kOneRid);
      },
      [&] {
        const schedule::Section section(at.card, schedule::Section::kByParts);
        passes = at.tables.entry(kOtherRid).has_value();
      });
  note(passes ? "passes" : "fenced");
}

void fence_against_register(const machine::Config&) {
  Fences at;
  Register behind;
  sev::FencedMmio fenced(at.guard, 0, kOtherRid, behind);
  std::byte value{0};
  play(
      [&] {
        const schedule::Section section(at.card, schedule::Section::kByParts);
        at.tables.request_failed(kOneRid);
      },
      [&] { fenced.mmio_read(0, {&value, 1}); });
  note(value == std::byte{1} ? "the register" : "ones");
}

void owner_against_register(const machine::Config&) {
  Fences at;
  at.tables.request_failed(kOneRid);
  Register behind;
  sev::FencedMmio fenced(at.guard, 0, kOtherRid, behind);
  std::byte value{0};
  play(
      [&] {
        const schedule::Section section(at.card, schedule::Section::kByParts);
        at.guard.assign(kOtherRid, 0);
      },
      [&] { fenced.mmio_read(0, {&value, 1}); });
  note(value == std::byte{1} ? "the register" : "ones");
}

TEST(Orders, AFenceIsRaisedBeforeAndAfterAnotherFunctionsTransfer) {
  EXPECT_EQ(answers_of(fence_against_transfer, "sev"), (Answers{"fenced", "passes"}));
}

TEST(Orders, AGuestReadsARegisterBeforeAndAfterItsFence) {
  EXPECT_EQ(answers_of(fence_against_register, "sev"), (Answers{"ones", "the register"}));
  EXPECT_EQ(answers_of(owner_against_register, "sev"), (Answers{"ones", "the register"}));
}

void count_against_rmpupdate(const machine::Config&) {
  hw::PhysicalMemory memory(1U << 20U);
  schedule::Monitor monitor(schedule::Rank::kFirmware);
  sev::Rmp rmp(memory);
  rmp.record(monitor);
  const Hpa page = *memory.alloc_page();
  std::size_t assigned = 0;
  play([&] { (void)rmp.update(page, {.assigned = true, .asid = kAsid}); },
       [&] { assigned = rmp.assigned(); });
  note(std::to_string(assigned));
}

void count_against_allocation(const machine::Config&) {
  hw::PhysicalMemory memory(1U << 20U);
  schedule::Monitor monitor(schedule::Rank::kFirmware);
  std::uint64_t pages = 0;
  play(
      [&] {
        const schedule::Section section(monitor, schedule::Section::kByParts);
        (void)memory.alloc_page();
      },
      [&] {
        const schedule::Section section(monitor, schedule::Section::kByParts);
        pages = memory.pages_in_use();
      });
  note(std::to_string(pages));
}

TEST(Orders, WhatACensusCountsIsCountedBeforeAndAfterAChange) {
  EXPECT_EQ(answers_of(count_against_rmpupdate, "sev"), (Answers{"0", "1"}));
  EXPECT_EQ(answers_of(count_against_allocation, "sev"), (Answers{"0", "1"}));
}

struct Window final : hw::WindowTarget {
  Result<void> read(std::uint64_t, std::span<std::byte>) override { return {}; }
  Result<void> write(std::uint64_t, ByteView) override { return {}; }
  std::span<std::byte> direct() override { return {}; }
};

/// A transfer by a translation that is not taken back: an IOMMU without tables, as after an
/// invalidation that somebody forgot.
void transfer_against(void (*give_back)(hw::PhysicalMemory&, Hpa), bool window) {
  object::Trace trace;
  hw::PhysicalMemory memory(1U << 20U);
  hw::VtdIommu iommu(memory, trace, 0);
  schedule::Monitor card(schedule::Rank::kDevice);
  Window target;
  const Hpa page = window ? *memory.map_window(target, kPageSize) : *memory.alloc_page();
  bool reached = false;
  play(
      [&] {
        const schedule::Section section(card, schedule::Section::kByParts);
        const auto found = iommu.translate({kOneRid, std::nullopt}, hw::TBit::kShared,
                                           Iova{raw(page)}, hw::DmaAccess::kWrite);
        reached = memory.write(found->address, bytes_of(std::uint64_t{1})).has_value();
      },
      [&] {
        const schedule::Section section(card, schedule::Section::kByParts);
        give_back(memory, page);
      });
  note(reached ? "reached" : "fault");
}

void transfer_against_free(const machine::Config&) {
  transfer_against([](hw::PhysicalMemory& memory, Hpa page) { memory.free_page(page); }, false);
}

void transfer_against_unpin(const machine::Config&) {
  transfer_against([](hw::PhysicalMemory& memory, Hpa page) { memory.unmap_window(page); }, true);
}

TEST(Orders, ATransferComesBeforeAndAfterItsMemoryIsGivenBack) {
  EXPECT_EQ(answers_of(transfer_against_free, "tdx"), (Answers{"fault", "reached"}));
  EXPECT_EQ(answers_of(transfer_against_unpin, "tdx"), (Answers{"fault", "reached"}));
}

}  // namespace
}  // namespace teeio::explore
