// Exhaustive search reaches each answer that some order gives: what hardware does without a
// lock is recorded (schedule/monitor.h).

#include <gtest/gtest.h>

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
#include "firmware/sev/guest_message.h"
#include "firmware/sev/tio_messages.h"
#include "host/kvm/sev/sev_vm.h"
#include "host/vfio/device.h"
#include "schedule/run_heap.h"

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
// reset has them at zero meanwhile.
TEST(Orders, TheFirstOpenSavesNoRegistersOfAReset) {
  const auto scenario = parse_text_scenario(R"(scenario bind-against-reset
card as-at-boot
setup
  iommu = open /dev/iommu
  vfio = open /dev/vfio/devices/vfio0
thread binder
  VFIO_DEVICE_BIND_IOMMUFD vfio iommufd=iommu -> ok
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

}  // namespace
}  // namespace teeio::explore
