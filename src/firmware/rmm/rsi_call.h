#pragma once

#include <algorithm>

#include "base/check.h"
#include "firmware/rmm/rmm.h"

namespace teeio::rmm {

/// A call of the realm, or its second half: its arrow and the checks of its row.
class Rmm::RsiCall {
 public:
  RsiCall(Rmm& rmm, const Row& row)
      : rmm_(rmm),
        row_(row),
        call_(rmm.trace_.call(object::Lane::kGuest, object::Lane::kFirmware, row.name)) {
    rmm_.mutex_.assert_held();
  }
  ~RsiCall() { rmm_.mutex_.assert_held(); }
  RsiCall(const RsiCall&) = delete;
  RsiCall& operator=(const RsiCall&) = delete;
  RsiResult refuse(std::string_view id) {
    const auto check = std::ranges::find(row_.checks, id, &Check::id);
    TEEIO_CHECK(check != row_.checks.end(), "a call refuses for a reason that its row has not");
    call_.refuse(row_.status_name(check->code), check->refused_when);
    const RsiCode code = check->code == Code::kRealm    ? RsiCode::kState
                         : check->code == Code::kDevice ? RsiCode::kDevice
                                                        : RsiCode::kInput;
    return {.code = code, .refused_by = &*check};
  }

 private:
  const Rmm& rmm_;
  const Row& row_;
  object::Trace::Call call_;
};

}  // namespace teeio::rmm
