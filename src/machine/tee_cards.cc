#include "machine/tee_cards.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "device/dma_engine_card.h"
#include "device/nvme/nvme_card.h"

namespace teeio::machine {
namespace {

Result<nvme::NameSpace> open_namespace(const NamespaceConfig& config) {
  return config.file.empty() ? nvme::NameSpace::in_memory(config.bytes)
                             : nvme::NameSpace::open(config.file, config.bytes);
}

std::vector<device::ReportOptions> reports_of(const CardConfig& card) {
  std::vector<device::ReportOptions> reports;
  for (unsigned function = 0; function <= card.vfs; ++function)
    reports.push_back(card.report_of(function));
  return reports;
}

Result<std::unique_ptr<device::TeeCard>> make_nvme(object::Trace& trace, const CardConfig& card,
                                                   const CardUse& use) {
  std::vector<std::vector<nvme::NameSpace>> spaces(card.vfs + 1U);
  if (use.storage)
    for (const NamespaceConfig& config : card.namespaces) {
      TEEIO_ASSIGN(auto space, open_namespace(config));
      spaces.at(config.function).push_back(std::move(space));
    }
  return std::make_unique<nvme::NvmeCard>(trace,
                                          nvme::NvmeCard::Options{.pf = card.bdf,
                                                                  .vfs = card.vfs,
                                                                  .window = card.window,
                                                                  .ide_streams = card.ide_streams,
                                                                  .ide = card.ide,
                                                                  .serial = card.serial,
                                                                  .spdm = use.spdm,
                                                                  .rom = card.rom,
                                                                  .rom_bytes = card.rom_bytes,
                                                                  .bars_move = use.bars_move,
                                                                  .reports = reports_of(card)},
                                          std::move(spaces));
}

}  // namespace

Result<std::unique_ptr<device::TeeCard>> make_tee_card(object::Trace& trace, const CardConfig& card,
                                                       const CardUse& use) {
  if (card.model == CardConfig::Model::kNvme) return make_nvme(trace, card, use);
  return std::make_unique<device::DmaEngineCard>(
      trace, device::DmaEngineCard::Options{.pf = card.bdf,
                                            .vfs = card.vfs,
                                            .window = card.window,
                                            .ide_streams = card.ide_streams,
                                            .ide = card.ide,
                                            .memory_bytes = card.memory_bytes,
                                            .serial = card.serial,
                                            .spdm = use.spdm,
                                            .msi_vectors = card.msi_vectors,
                                            .intx = card.intx,
                                            .rom = card.rom,
                                            .rom_bytes = card.rom_bytes,
                                            .bars_move = use.bars_move,
                                            .reports = reports_of(card),
                                            .pasid_bits = card.pasid_bits});
}

std::string storage_problem(const Config& config) {
  for (const CardConfig& card : config.cards)
    for (const NamespaceConfig& space : card.namespaces)
      if (const auto opened = open_namespace(space); !opened)
        return fmt::format("{}{}card {}: namespace '{}': {}: {}", space.where,
                           space.where.empty() ? "" : ": ", card.bdf.str(),
                           space.file.empty() ? "in memory" : space.file,
                           errno_name(opened.error().code), opened.error().why);
  return {};
}

}  // namespace teeio::machine
