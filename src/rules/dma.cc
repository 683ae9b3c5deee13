#include <fmt/format.h>

#include <optional>

#include "rules/rule.h"

namespace teeio::rules {
namespace {

using object::DmaKind;
using object::Event;
using object::Fact;

/// The breach that a transfer of this kind is; nullopt if it is none by itself.
std::optional<std::string_view> breach(std::uint64_t kind) {
  switch (static_cast<DmaKind>(kind)) {
    case DmaKind::kSharedToShared:
    case DmaKind::kTrustedToOwn:
    case DmaKind::kTrustedToSharedHalf:
      return std::nullopt;
    case DmaKind::kSharedToPrivate:
      return "T=0 DMA reached private memory";
    case DmaKind::kTrustedToShared:
      return "T=1 DMA reached shared memory";
    case DmaKind::kTrustedToOther:
      return "T=1 DMA reached another VM's private memory";
  }
  return "DMA of an unknown kind";
}

/// R7.
class DmaRule final : public Rule {
 public:
  void on_fact(const Event& event, Judgement& judge) override {
    if (event.fact != Fact::kDma || !event.function) return;
    const FunctionWorld& f = judge.world().function(*event.function);
    if (const auto what = breach(event.a))
      judge.broken(RuleId::kR7, event,
                   fmt::format("{}: {} at IOVA {:#x}", event.function->str(), *what, event.b),
                   {f.bound, f.trusted_dma_at});
    else if (event.a == static_cast<std::uint64_t>(DmaKind::kTrustedToOwn) && f.metadata_vm == 0)
      judge.broken(RuleId::kR7, event,
                   fmt::format("{}: T=1 DMA at IOVA {:#x} by a function that no VM owns",
                               event.function->str(), event.b),
                   {f.trusted_dma_at});
  }
};

}  // namespace

std::unique_ptr<Rule> make_dma_rule() { return std::make_unique<DmaRule>(); }

}  // namespace teeio::rules
