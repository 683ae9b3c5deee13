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

// Configurations of a selective stream where its registers can be written (--pci), each if the
// IDE capability has it.
Verdict config_header_encryption(Bench& bench);
Verdict config_aggregation(Bench& bench);
Verdict config_pcrc(Bench& bench);
Verdict config_requests(Bench& bench);
Verdict config_tee_limited(Bench& bench);

}  // namespace teeio::serve::validate
