// Words for the host that every guest has, by whatever instruction its vendor gives it.
#pragma once

#include <cstdint>

namespace host {

void port_out(std::uint16_t port, unsigned size, std::uint64_t value);
std::uint64_t mmio_read(std::uint64_t gpa, unsigned size);
void mmio_write(std::uint64_t gpa, unsigned size, std::uint64_t value);
void wait();

}  // namespace host
