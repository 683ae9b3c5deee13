// TdxHost::invalidate() on a queue that others have filled.

#include "firmware/tdx/state.h"
#include "host/kvm/tdx/tdx_host.h"
#include "unit/firmware/tdx/machine.h"

namespace teeio::kvm {
namespace {

using tdx::Code, tdx::IommuState, tdx::LeafResult, tdx::WaitDescriptor;

class TdxInvalidate : public tdx::Machine {
 protected:
  TdxInvalidate() {
    module.set_injection({.interruptions = false, .failures = false});
    connect();
    td = running_td();
    run(td);
    frame = private_page(td, kRamGpa);
  }
  /// Of the guest's invalidations, as many as go.
  LeafResult commit(const WaitDescriptor& wait) {
    return module.tdh_iq_inv_request_td(kIommu, td.tdr, 128, wait);
  }

  TdxHost host{module, memory, trace, 1, 0};
  Hpa status = page();
  TestTd td;
  Hpa frame{0};
};

// tdg_iq_inv_request.c lets a guest ask for 128, configure_iommu() makes a queue of 127: the
// host's own request for another function comes behind them.
TEST_F(TdxInvalidate, AQueueThatAGuestHasFilledIsWaitedFor) {
  const std::vector<tdx::InvalidationDescriptor> many(128, of_domain());
  ASSERT_OK(ask(td, kRamGpa, frame, many));
  ASSERT_OK(commit(tdx::wait_descriptor()));
  EXPECT_CODE(commit(tdx::wait_descriptor()), Code::kIqQueueFull);
  EXPECT_OK(
      host.invalidate(kIommu, status, [&](const WaitDescriptor& wait) { return commit(wait); }));
  EXPECT_TRUE(module.state().iommus[kIommu].queue.empty());
}

}  // namespace
}  // namespace teeio::kvm
