// Links: host/kvm/sev
#include "fuzzer.h"
#include "host/kvm/sev/ghcb.h"

// A guest's page says what it likes: each field is there or not, and what is written back
// marks none as valid.
void teeio::fuzz::run(ByteView input) {
  using kvm::Ghcb;
  using Field = Ghcb::Field;
  hw::PhysicalMemory memory(4 * kPageSize);
  const Hpa page = *memory.alloc_page();
  TEEIO_CHECK(memory.write(page, input.first(std::min(input.size(), kPageSize))).has_value(),
              "the page is there");
  const hw::GuestMapping at{.address = page};
  auto ghcb = Ghcb::read(memory, at);
  TEEIO_CHECK(ghcb.has_value(), "the page is readable");
  (void)ghcb->usage();
  constexpr Field kFields[] = {Field::kRax,       Field::kRbx,      Field::kRcx,
                               Field::kRdx,       Field::kExitCode, Field::kExitInfo1,
                               Field::kExitInfo2, Field::kScratch};
  for (const Field field : kFields)
    if (const auto value = ghcb->get(field)) ghcb->set(field, ~*value);
  TEEIO_CHECK(ghcb->write(memory, at).has_value(), "the page is writable");
  const auto again = Ghcb::read(memory, at);
  for (const Field field : kFields)
    TEEIO_CHECK(!again->get(field), "a field stays valid after the host has answered");
}
