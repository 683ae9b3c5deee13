#pragma once

#include "serve/validate/bench.h"
#include "serve/validate/case.h"

namespace teeio::serve::validate {

// Cases of the ide_km suite that look at the stream's status in the registers that QUERY_RESP
// has; skipped where it has none.
Verdict registers_go(Bench& bench);
Verdict registers_half(Bench& bench);
Verdict registers_switch(Bench& bench);
Verdict registers_stop(Bench& bench);

}  // namespace teeio::serve::validate
