#include <algorithm>

#include "crypto/hash.h"
#include "firmware/sev/tio.h"
#include "spdm/channel.h"

// The platform and its cards: TIO_STATUS, TIO_INIT and the TIO_DEV_* commands.

namespace teeio::sev {
namespace {

constexpr std::uint8_t kPlainObject = 1;      // TIO_SPDM_CERTIFICATES
constexpr std::uint8_t kMeasurementsLog = 2;  // TIO_SPDM_MEASUREMENTS_LOG
constexpr std::uint16_t kKeySets = 2;

}  // namespace

Status Tio::status(TioCall& c) {
  const TioStatus answer{
      .flags = (psp_.tio() ? TioStatus::kEnabled : 0) | (init_done_ ? TioStatus::kInitDone : 0),
      .request_max = kPageSize,
      .scratch_max = kPageSize,
      .output_max = kPageSize,
      .device_context = kDeviceContextBytes,
      .tdi_context = kTdiContextBytes};
  if (psp_.write_page(c.in.status_page, answer.encode())) return Status::kSuccess;
  return c.call.refuse(Status::kInvalidAddress, "the answer has no place there");
}

Status Tio::init(TioCall&) {
  init_done_ = true;
  return Status::kSuccess;
}

Status Tio::dev_create(TioCall& c) {
  const std::vector<Hpa> pages = *c.in.device.pages(psp_.memory());
  for (const Hpa page : pages) psp_.rmp().make_context(page);
  DeviceContext& made = devices_[raw(pages.front())];
  made.pages = pages;
  made.function = Bdf::from_rid(c.in.device_id, c.in.segment);
  made.port = *std::ranges::find(ports_, c.in.root_port_id, &TioPort::number);
  made.channel = spdm::make_requester(channels_, &watcher_);
  return Status::kSuccess;
}

/// A command that waits is forgotten with the context: nothing is connected.
Status Tio::dev_reclaim(TioCall& c) {
  const std::vector<Hpa> pages = c.device->pages;
  stop_port_keys(*c.device);
  devices_.erase(raw(pages.front()));
  for (const Hpa page : pages) psp_.rmp().leave_context(page);
  return Status::kSuccess;
}

void Tio::forget_link(DeviceContext& device) {
  stop_port_keys(device);
  device.channel->reset();
  device.state = DeviceContext::State::kCreated;
  device.measured = device.fresh = false;
}

/// The session first, then keys; the output is the certificate chain.
Status Tio::dev_connect(TioCall& c) {
  DeviceContext& device = *c.device;
  device.tc_mask = c.in.tc_mask;
  device.certificate_slot = c.in.certificate_slot;
  device.stream_ids = c.in.stream_ids;
  device.key_set = 0;
  return begin(c, Conversation(key_script(device, 0), Conversation::Channel::kConnect),
               [this](TioCall& call, const Result<void>& how) {
                 if (!how) {
                   const Status status = broken(call, how.error());
                   forget_link(*call.device);
                   return status;
                 }
                 call.device->state = DeviceContext::State::kConnected;
                 return give_output(call, DataObject::Id::kCertificate, kPlainObject,
                                    certificates(*call.device));
               });
}

/// A forced one goes on whatever the device says; TDIs that are bound stay so, and their
/// unbind finds no session (model's choice).
Status Tio::dev_disconnect(TioCall& c) {
  DeviceContext& device = *c.device;
  device.pending.reset();
  if (!device.channel->connected()) {
    forget_link(device);
    return Status::kSuccess;
  }
  const bool forced = c.forced();
  return begin(c, Conversation(stop_script(device), Conversation::Channel::kDisconnect),
               [this, forced](TioCall& call, const Result<void>& how) {
                 if (!how && !forced) return broken(call, how.error());
                 forget_link(*call.device);
                 return Status::kSuccess;
               });
}

Status Tio::dev_measurements(TioCall& c) {
  Conversation talk({}, Conversation::Channel::kMeasure);
  talk.nonce(c.in.nonce);
  return begin(c, std::move(talk), [this](TioCall& call, const Result<void>& how) {
    if (!how) return broken(call, how.error());
    call.device->measured = call.device->fresh = true;
    return give_output(call, DataObject::Id::kMeasurement, kMeasurementsLog,
                       measurements(*call.device));
  });
}

Status Tio::dev_certificates(TioCall& c) {
  return begin(c, Conversation(), [this](TioCall& call, const Result<void>& how) {
    if (!how) return broken(call, how.error());
    return give_output(call, DataObject::Id::kCertificate, kPlainObject,
                       certificates(*call.device));
  });
}

/// The other key set takes over; the stream stays up.
Status Tio::roll_key(TioCall& c) {
  const auto next = static_cast<std::uint8_t>((c.device->key_set + 1U) % kKeySets);
  return begin(c, Conversation(key_script(*c.device, next)),
               [this, next](TioCall& call, const Result<void>& how) {
                 if (!how) return broken(call, how.error());
                 call.device->key_set = next;
                 return Status::kSuccess;
               });
}

Bytes Tio::certificates(const DeviceContext& device) {
  const spdm::Evidence* evidence = device.channel->evidence();
  return evidence == nullptr ? Bytes{} : evidence->chain;
}

/// Nonce, transcript and signature, as spdm::encode_evidence() lays them out without the
/// chain: what the log looks like that a real firmware gives is not public.
Bytes Tio::measurements(const DeviceContext& device) {
  const spdm::Evidence* evidence = device.channel->evidence();
  if (evidence == nullptr) return {};
  spdm::Evidence log = *evidence;
  log.chain.clear();
  return spdm::encode_evidence(log);
}

/// A TDI was locked with NO_FW_UPDATE.
bool Tio::keeps_firmware(const DeviceContext& device) const {
  constexpr std::uint16_t kNoUpdate = 1;  // TIO_TDI_BIND_FLAG_NO_FW_UPDATE
  return std::ranges::any_of(tdis_, [&](const auto& at) {
    const TdiContext& tdi = at.second;
    return tdi.device == device.pages.front() && tdi.bound() && (tdi.lock_flags & kNoUpdate) != 0;
  });
}

/// struct sev_tio_dev_status.
Status Tio::dev_status(TioCall& c) {
  constexpr std::uint32_t kLength = 160;
  constexpr std::uint8_t kRequestPending = 1, kRequestPendingTdi = 2;
  constexpr std::uint8_t kMeasured = 1, kNoFirmwareUpdate = 2;
  const DeviceContext& device = *c.device;
  std::uint8_t flags = 0;
  std::uint16_t command = 0;
  wire::TdispFunctionId about;
  if (device.pending) {
    flags = kRequestPending;
    command = static_cast<std::uint16_t>(device.pending->command);
    if (raw(device.pending->tdi) != 0) {
      flags |= kRequestPendingTdi;
      about = tdis_.at(raw(device.pending->tdi)).function;
    }
  }
  Writer out;
  out.le(kLength).le(static_cast<std::uint8_t>(device.state)).zeros(1).le(flags);
  out.le(device.certificate_slot).le(device.function.rid());
  out.le(static_cast<std::uint8_t>(device.function.domain)).le(device.tc_mask);
  out.le(command).zeros(2).le(about.raw).zeros(8);
  out.le(static_cast<std::uint8_t>((device.measured ? kMeasured : 0) |
                                   (keeps_firmware(device) ? kNoFirmwareUpdate : 0)));
  out.zeros(3);
  for (const std::uint8_t id : device.stream_ids) out.le(id);
  out.zeros(8).bytes(digest_of(certificates(device))).bytes(digest_of(measurements(device)));
  out.le(static_cast<std::uint32_t>(tdis_of(device, false)));
  out.le(static_cast<std::uint32_t>(tdis_of(device, true))).le(algorithms_of(device));
  if (psp_.write_page(c.in.status_page, out.take())) return Status::kSuccess;
  return c.call.refuse(Status::kInvalidAddress, "the answer has no place there");
}

Bytes Tio::digest_of(ByteView data) {
  if (data.empty()) return Bytes(48);
  const crypto::Digest digest = crypto::hash(crypto::HashAlgorithm::kSha384, data);
  return Bytes(digest.view().begin(), digest.view().end());
}

/// TIO_SPDM_ALGOS_*, as far as the signature's size tells which suite was negotiated: a
/// channel does not say.
std::uint64_t Tio::algorithms_of(const DeviceContext& device) {
  constexpr std::uint64_t kP256 = std::uint64_t{1} << 16U;
  constexpr std::uint64_t kP384 = 1U | 1U << 8U | 2U << 16U | 1U << 24U;
  constexpr std::size_t kP384Signature = 96;
  const spdm::Evidence* evidence = device.channel->evidence();
  if (evidence == nullptr) return 0;
  return evidence->signature.size() == kP384Signature ? kP384 : kP256;
}

}  // namespace teeio::sev
