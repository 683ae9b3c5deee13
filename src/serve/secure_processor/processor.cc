#include "serve/secure_processor/processor.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "firmware/sev/io_guard.h"
#include "firmware/sev/launch.h"
#include "firmware/sev/tio.h"
#include "hw/physical_memory.h"

namespace teeio::secure_processor {
namespace {

std::vector<sev::TioPort> known_ports(const std::vector<std::unique_ptr<hw::RootPort>>& ports) {
  std::vector<sev::TioPort> known;
  for (const auto& port : ports)
    known.push_back({.port = port.get(), .number = port->bdf().device, .root = 0});
  return known;
}

}  // namespace

/// What power-on makes anew.
struct Processor::Chip {
  Chip(object::Trace& trace, std::vector<sev::TioPort> ports, const spdm::ChannelSetup& channels)
      : guard(trace),
        psp(memory, trace, rmp, {}),
        launch(psp, guard),
        tio(psp, guard, std::move(ports), channels) {
    base = *memory.alloc_page();
    for (std::uint64_t at = kPageSize; at < kMemoryBytes; at += kPageSize) {
      const auto page = memory.alloc_page();
      TEEIO_CHECK(page && *page == base + at, "memory is no row of pages");
    }
  }

  hw::PhysicalMemory memory{kMemoryBytes};
  Hpa base{0};
  sev::Rmp rmp{memory};
  sev::IoGuard guard;
  sev::Platform psp;
  sev::Launch launch;
  sev::Tio tio;
};

Processor::Processor(object::Trace& trace, std::vector<std::unique_ptr<hw::RootPort>> ports,
                     spdm::ChannelSetup channels)
    : trace_(trace),
      ports_(std::move(ports)),
      channels_(std::move(channels)),
      chip_(std::make_unique<Chip>(trace, known_ports(ports_), channels_)) {}
Processor::~Processor() = default;

Hpa Processor::memory_base() const { return chip_->base; }

sev::Status Processor::command(std::uint16_t number, Hpa buffer) {
  const sev::Status status = chip_->psp.command(number, buffer);
  if (number != sev::kSnpGctxCreate || status != sev::Status::kSuccess) return status;
  if (const auto page = chip_->memory.read_u64(buffer))
    chip_->psp.name_guest(Hpa{*page}, ++guests_);
  return status;
}

sev::RmpStatus Processor::rmp_update(Hpa page, const sev::RmpUpdate& wanted) {
  return chip_->rmp.update(page, wanted);
}

void Processor::read(std::uint64_t offset, std::span<std::byte> out) {
  while (!out.empty()) {
    const std::size_t size = std::min<std::size_t>(out.size(), kPageSize - offset % kPageSize);
    if (!chip_->memory.read(chip_->base + offset, out.first(size)))
      std::ranges::fill(out.first(size), std::byte{0xff});
    out = out.subspan(size);
    offset += size;
  }
}

void Processor::write(std::uint64_t offset, ByteView in) {
  while (!in.empty()) {
    const std::size_t size = std::min<std::size_t>(in.size(), kPageSize - offset % kPageSize);
    write_piece(offset, in.first(size));
    in = in.subspan(size);
    offset += size;
  }
}

void Processor::write_piece(std::uint64_t offset, ByteView in) {
  const Hpa page = page_of(chip_->base + offset);
  if (const auto fault = chip_->rmp.check_host(page, sev::RmpAccess::kWrite)) {
    if (std::exchange(told_, raw(page)) == raw(page)) return;
    trace_.call(object::Lane::kFirmware, "write to a page of the firmware's")
        .refuse("RMP fault", sev::rmp_fault_text(*fault));
    return;
  }
  (void)chip_->memory.write(chip_->base + offset, in);
}

hw::RootPort* Processor::port(std::uint32_t number) const {
  const auto found =
      std::ranges::find_if(ports_, [&](const auto& port) { return port->bdf().device == number; });
  return found == ports_.end() ? nullptr : found->get();
}

void Processor::reset() {
  chip_.reset();
  for (const auto& port : ports_) port->reset(hw::ResetKind::kHot);
  chip_ = std::make_unique<Chip>(trace_, known_ports(ports_), channels_);
  guests_ = 0;
  told_ = UINT64_MAX;
}

}  // namespace teeio::secure_processor
