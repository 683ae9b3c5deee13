// What an SNP guest says to its host (GHCB) and, through it, to firmware (guest messages).
// Numbers: AMD's GHCB specification; for SEV-TIO AMD's public tree, AMDESE/linux-kvm,
// drivers/virt/coco/sev-guest/tio.c.
#pragma once

#include <cstdint>

namespace sev {

// Registers the GHCB. Before anything else.
void start();

// PVALIDATE of a page of this guest's own: 0 is success.
std::uint32_t validate_page(std::uint64_t gpa, bool valid);
// Has the host change the page's state. What becomes shared is un-validated first.
bool map_shared(std::uint64_t gpa);

// TIO_OP: 0 is success.
enum class Op : std::uint32_t { kBind = 0, kUnbind = 1, kRun = 2, kStop = 3 };
std::uint64_t tio_op(std::uint32_t device, Op op);

// A blob that came beside a message, in shared memory.
enum class Blob { kCertificates, kMeasurements, kReport };
struct Found {
  std::uint64_t gpa;
  std::uint32_t size;  // 0: it did not come
};
Found find_blob(Blob which);

// TDI_INFO. Digests are firmware's; the blobs that they are of come from the host.
struct TdiInfo {
  std::uint16_t id, status;
  unsigned char reserved[12];
  std::uint32_t measured;  // bit 0: there are measurements, bit 1: they are fresh
  std::uint32_t lock_flags;
  std::uint64_t algorithms;
  unsigned char certificates[48], measurements[48], report[48];
  std::uint64_t report_counter;
  unsigned char reserved2[8];
};
// False: no answer that firmware has sealed.
bool tdi_info(std::uint32_t device, bool with_blobs, TdiInfo& info);

// Each gives firmware's status, 0 is success; ~0 no sealed answer.
std::uint32_t mmio_validate(std::uint32_t device, std::uint16_t range, std::uint64_t gpa,
                            std::uint32_t offset, std::uint32_t pages, bool valid);
std::uint32_t sdte_write(std::uint32_t device, bool on);

}  // namespace sev
