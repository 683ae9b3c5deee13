// An SNP guest: how it is loaded, and what it asks for by VMGEXIT.
#include <linux/teeio_proposed.h>

#include <cstdio>
#include <cstring>

#include "../guest/platform.h"
#include "guest_image.h"
#include "session.h"
#include "steps.h"

namespace {

// Types of messages for firmware: asm/sev.h of AMD's public tree.
constexpr unsigned char kTdiInfo = 19;
constexpr unsigned char kMmioValidate = 21;
constexpr unsigned char kSdteWrite = 25;
constexpr std::uint64_t kMessageType = 0x34;  // of struct snp_guest_msg_hdr

// struct tio_blob_table_entry of the same tree: a table of these ends with zeros.
struct BlobEntry {
  unsigned char guid[16];
  std::uint32_t offset;
  std::uint32_t length;
};
struct Blob {
  unsigned char guid[16];
  std::uint32_t object;  // enum tsm_object
};
constexpr Blob kBlobs[] = {{{0x75, 0xcb, 0x8c, 0x07, 0x44, 0x26, 0xe8, 0x49, 0xaf, 0xe7, 0x56, 0x86,
                             0xc5, 0xcf, 0x72, 0xf1},
                            TSM_OBJECT_CERTIFICATES},
                           {{0xc6, 0x80, 0xaa, 0x5c, 0xef, 0x12, 0x1a, 0x40, 0xb3, 0x64, 0xec, 0x59,
                             0xa9, 0x3a, 0xbe, 0x3f},
                            TSM_OBJECT_MEASUREMENTS},
                           {{0x0e, 0x5b, 0xdc, 0x70, 0xc0, 0x0c, 0xd5, 0x4c, 0x97, 0xbb, 0xff, 0x0b,
                             0xa2, 0x5b, 0xf3, 0x20},
                            TSM_OBJECT_REPORT}};

}  // namespace

void Session::load_snp_guest() {
  begin(Step::kLoadGuest, prefix_);
  write_board();
  vm_->add_vcpu();
  vm_->set_entry(platform::kImage, platform::kBoard);
  vm_->update_snp(platform::kImage, snp_guest_image(), KVM_SEV_SNP_PAGE_TYPE_NORMAL);
  const std::vector<std::byte> nothing(platform::kPage);
  vm_->update_snp(platform::kSecrets, nothing, KVM_SEV_SNP_PAGE_TYPE_SECRETS);
  vm_->finish_snp();
  // The host's page table leads the device to private pages, too; the RMP says whether it
  // gets there.
  device_->map_private_dma(vm_->ram_file(), platform::kSharedRam);
}

// Guest memory that the guest shares; nothing outside of that.
std::span<std::byte> Session::shared_pages(std::uint64_t gpa, std::uint64_t size) {
  if (gpa % platform::kPage != 0 || gpa < platform::kSharedRam || gpa > platform::kRamSize ||
      size > platform::kRamSize - gpa)
    return {};
  return ram_.bytes().subspan(gpa, size);
}

void Session::on_vmgexit() {
  kvm_user_vmgexit exit{};
  std::memcpy(&exit, vm_->state().padding, sizeof exit);
  if (exit.type == KVM_USER_VMGEXIT_TIO_OP) {
    const bool known = exit.tio_op.guest_rid == function_.requester_id();
    exit.tio_op.ret = static_cast<std::uint32_t>(known ? snp_tdi_op(exit.tio_op.action) : ENODEV);
    exit.tio_op.tdi_id = function_.requester_id();
  } else {
    const bool known = exit.tio_req.guest_rid == function_.requester_id();
    exit.tio_req.ret = static_cast<std::uint16_t>(known ? snp_message(exit) : ENODEV);
  }
  std::memcpy(vm_->state().padding, &exit, sizeof exit);
}

int Session::snp_tdi_op(std::uint32_t action) {
  enum : std::uint32_t { kTioBind = 0, kTioUnbind = 1, kTioRun = 2, kTioStop = 3 };
  switch (action) {
    case kTioBind:
      return bind();
    case kTioUnbind:
      return unbind();
    case kTioRun:
      begin(Step::kStart, prefix_);
      return device_->set_tdi_state(options_.arch, Device::TdiState::kRun);
    case kTioStop:
      return 0;  // unbind stops it
    default:
      return EINVAL;
  }
}

// The message is sealed: what it says in the clear is a hint of what to prepare.
int Session::snp_message(kvm_user_vmgexit& exit) {
  const auto request = shared_pages(exit.tio_req.req_spa, platform::kPage);
  const auto response = shared_pages(exit.tio_req.rsp_spa, platform::kPage);
  if (request.empty() || response.empty()) return EFAULT;
  std::uint32_t op = TSM_REQ_OBJECT_INFO;
  switch (std::to_integer<unsigned char>(request[kMessageType])) {
    case kTdiInfo:
      begin(Step::kReport, prefix_);
      if (const int error = bring_blobs(exit); error != 0) return error;
      exit.tio_req.tdi_status = 0;
      break;
    case kMmioValidate:
      // Firmware validates pages that are the guest's already.
      for (std::uint32_t i = 0; i < 2; ++i)
        if (exit.tio_req.mmio_gpa == bar_address(i)) map_bar(i);
      op = TSM_REQ_VALIDATE_MMIO;
      break;
    case kSdteWrite:
      op = TSM_REQ_SEV_ENABLE_DMA;
      break;
    default:
      return EINVAL;
  }
  std::vector<unsigned char> answer;
  if (const int error =
          device_->relay_message(options_.arch, op, {request.data(), request.size()}, answer);
      error != 0)
    return error;
  std::memcpy(response.data(), answer.data(), std::min(answer.size(), response.size()));
  return 0;
}

// What the TDI_INFO message has digests of, as the host has kept it.
int Session::bring_blobs(kvm_user_vmgexit& exit) {
  if (exit.tio_req.data_npages == 0) return 0;
  if (exit.tio_req.data_npages > platform::kBlobPages) return E2BIG;
  const auto room = shared_pages(exit.tio_req.data_gpa, exit.tio_req.data_npages * platform::kPage);
  std::size_t used = (std::size(kBlobs) + 1) * sizeof(BlobEntry);
  if (room.size() < used) return EFAULT;
  // The guest sees that they are fresh, but has no say in the nonce.
  const unsigned char nonce[32] = {'m', 'i', 'n', 'i', 'v', 'm', 'm'};
  if (options_.fresh_evidence)
    if (const int error = device_->measure_anew(options_.arch, nonce); error != 0) return error;
  std::memset(room.data(), 0, used);
  std::size_t n = 0;
  for (const Blob& blob : kBlobs) {
    std::vector<unsigned char> bytes;
    if (const int error = device_->read_object(options_.arch, blob.object, bytes); error != 0)
      return error;
    spoil(bytes);
    if (bytes.size() > room.size() - used) return E2BIG;
    BlobEntry entry{};
    std::memcpy(entry.guid, blob.guid, sizeof entry.guid);
    entry.offset = static_cast<std::uint32_t>(used);
    entry.length = static_cast<std::uint32_t>(bytes.size());
    std::memcpy(room.data() + n * sizeof entry, &entry, sizeof entry);
    std::memcpy(room.data() + used, bytes.data(), bytes.size());
    used += bytes.size();
    ++n;
  }
  exit.tio_req.data_npages = (used + platform::kPage - 1) / platform::kPage;
  return 0;
}
