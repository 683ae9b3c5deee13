#pragma once

#include <vector>

#include "explore/scenario/catalogue.h"

namespace teeio::explore {

/// Whether any door may bind: what says nothing about a design's settings is explored there
/// alone, and has no row in the table of designs.
[[nodiscard]] inline bool has_every_door(const machine::Config& design) {
  return design.bind_owner == iommufd::BindOwner::kAny;
}

// Each file of this room adds the scenarios of its theme to the catalogue.
void add_against_scenarios(std::vector<MachineScenario>& all);
void add_close_scenarios(std::vector<MachineScenario>& all);
void add_ending_scenarios(std::vector<MachineScenario>& all);
void add_mmio_scenarios(std::vector<MachineScenario>& all);
void add_twice_scenarios(std::vector<MachineScenario>& all);
void add_dma_buf_scenarios(std::vector<MachineScenario>& all);
void add_guest_memory_scenarios(std::vector<MachineScenario>& all);
void add_one_card_scenarios(std::vector<MachineScenario>& all);
void add_dma_scenarios(std::vector<MachineScenario>& all);
void add_vdevice_scenarios(std::vector<MachineScenario>& all);
void add_group_scenarios(std::vector<MachineScenario>& all);
void add_bus_scenarios(std::vector<MachineScenario>& all);
void add_sriov_scenarios(std::vector<MachineScenario>& all);
void add_request_scenarios(std::vector<MachineScenario>& all);
void add_low_power_scenarios(std::vector<MachineScenario>& all);
void add_queue_scenarios(std::vector<MachineScenario>& all);
void add_interrupt_scenarios(std::vector<MachineScenario>& all);
void add_ioeventfd_scenarios(std::vector<MachineScenario>& all);
void add_adversary_scenarios(std::vector<MachineScenario>& all);
void add_meddling_scenarios(std::vector<MachineScenario>& all);
void add_key_scenarios(std::vector<MachineScenario>& all);
void add_invalidation_scenarios(std::vector<MachineScenario>& all);
void add_translation_scenarios(std::vector<MachineScenario>& all);
void add_private_page_scenarios(std::vector<MachineScenario>& all);
void add_known_scenarios(std::vector<MachineScenario>& all);

}  // namespace teeio::explore
