#pragma once

#include <tuple>
#include <vector>

#include "firmware/sequence_watcher.h"
#include "firmware/sev/io_guard.h"
#include "firmware/sev/tio_objects.h"
#include "spdm/channel_setup.h"

namespace teeio::sev {

/// Numbers of recorded tables, after the platform's.
enum TioPart : std::uint8_t { kTdiFunctions = kDirtyAsids + 1, kGuestDeviceIds };

struct TioCheck;

/// SEV-TIO: the commands 0xd0–0xe4 of the mailbox, with device and TDI contexts in memory
/// that the host donates.
///
/// A command that talks to a device is issued again and again: SPDM_REQUEST says that a data
/// object waits in the request buffer, and the host brings the answer in the response buffer;
/// EXPAND_BUFFER_LENGTH_REQUEST that a buffer is too small, whose header then has the capacity
/// that is wanted. One command a device may wait so; only a forced one ends it early.
/// Which checks each command makes, in which order: tio_checks.cc.
///
/// Lifetime: one a machine, as long as its platform. Locking: the platform's mutex.
class Tio {
 public:
  static constexpr std::uint32_t kDeviceContextBytes = 2 * kPageSize;
  static constexpr std::uint32_t kTdiContextBytes = kPageSize;

  /// Adds its commands to `psp`. `channels`: what sessions with devices are.
  Tio(Platform& psp, IoGuard& guard, std::vector<TioPort> ports, spdm::ChannelSetup channels = {});

  /// Contexts, for a machine's census. Take the platform's lock by no command: not while
  /// one runs.
  [[nodiscard]] std::size_t devices() const { return devices_.size(); }
  [[nodiscard]] std::size_t tdis() const { return tdis_.size(); }

 private:
  friend struct TioChecks;
  using Handler = Status (Tio::*)(TioCall&);

  void add(TioCommand command, std::string_view name, std::string_view fails, Handler handler);
  Status run(Call& call, TioCommand command, Handler handler);
  const TioCheck* failed_check(TioCall& c);
  [[nodiscard]] object::EventFields about(TioCommand command, Reader body);
  void forget_all();
  [[nodiscard]] DeviceContext* device(Sla sla);
  [[nodiscard]] TdiContext* tdi(Sla sla);
  [[nodiscard]] std::size_t tdis_of(const DeviceContext& device, bool bound) const;
  [[nodiscard]] bool keeps_firmware(const DeviceContext& device) const;
  template <class Context>
  [[nodiscard]] Context* context(schedule::RecordedMap<std::uint64_t, Context>& contexts, Sla sla);

  // tio_exchange.cc
  std::optional<Status> want_scratch(TioCall& c);
  Status begin(TioCall& c, Conversation talk,
               std::function<Status(TioCall&, const Result<void>&)> finish);
  Status resume(TioCall& c);
  Status deliver(TioCall& c);
  Result<void> take_answer(TioCall& c);
  Result<bool> put_request(TioCall& c, ByteView object);
  Status broken(TioCall& c, const Error& error);
  Status give_output(TioCall& c, DataObject::Id id, std::uint8_t type, Bytes data);

  // tio_device.cc
  Status status(TioCall& c);
  Status init(TioCall& c);
  Status dev_create(TioCall& c);
  Status dev_reclaim(TioCall& c);
  Status dev_connect(TioCall& c);
  Status dev_disconnect(TioCall& c);
  Status dev_status(TioCall& c);
  Status dev_measurements(TioCall& c);
  Status dev_certificates(TioCall& c);
  Status roll_key(TioCall& c);
  static void forget_link(DeviceContext& device);
  static void stop_port_keys(DeviceContext& device);  // tio_keys.cc
  [[nodiscard]] static Bytes measurements(const DeviceContext& device);
  [[nodiscard]] static Bytes certificates(const DeviceContext& device);
  [[nodiscard]] static Bytes digest_of(ByteView data);  ///< SHA-384; zeros of nothing
  [[nodiscard]] static std::uint64_t algorithms_of(const DeviceContext& device);

  // tio_keys.cc
  [[nodiscard]] std::deque<Exchange> key_script(DeviceContext& device, std::uint8_t key_set);
  [[nodiscard]] static std::deque<Exchange> stop_script(DeviceContext& device);

  // tio_tdi.cc
  Status tdi_create(TioCall& c);
  Status tdi_reclaim(TioCall& c);
  Status tdi_bind(TioCall& c);
  Status tdi_unbind(TioCall& c);
  Status tdi_report(TioCall& c);
  Status tdi_status(TioCall& c);
  Status tdi_info(TioCall& c);
  [[nodiscard]] Exchange lock_exchange(TioCall& c);
  [[nodiscard]] Exchange start_exchange(DeviceContext& device, TdiContext& tdi);
  [[nodiscard]] Exchange report_portion(DeviceContext& device, TdiContext& tdi);
  [[nodiscard]] Exchange state_question(TdiContext& tdi);
  void take_for_guest(TioCall& c);
  void release_guest(TdiContext& tdi);
  void unbound(TdiContext& tdi, bool stopped);
  void dma_off(TdiContext& tdi);
  void fact(object::Fact fact, std::string_view name, const TdiContext& tdi, std::uint64_t a = 0);

  // tio_fence.cc
  Status fence_clear(TioCall& c);
  Status fence_status(TioCall& c);

  // tio_guest.cc
  enum class MessageState : std::uint8_t { kMalformed, kForged, kOpen };
  MessageState open_message(TioCall& c);
  Status guest_request(TioCall& c);
  Status answer_guest(TioCall& c, Bytes payload);
  [[nodiscard]] std::uint16_t tdi_fault(const TioCall& c, std::uint16_t guest_device_id) const;
  [[nodiscard]] Bytes tdi_info_answer(TioCall& c) const;
  Bytes sdte_answer(TioCall& c);
  Status mmio_config(TioCall& c);

  // tio_mmio.cc
  Bytes mmio_validate_answer(TioCall& c);

  Platform& psp_;
  IoGuard& guard_;
  const std::vector<TioPort> ports_;
  const spdm::ChannelSetup channels_;
  firmware::SequenceWatcher watcher_;
  bool init_done_ = false;
  schedule::RecordedMap<std::uint64_t, DeviceContext> devices_{
      {&psp_.monitor(), kDevices}};  ///< by first page
  schedule::RecordedMap<std::uint64_t, TdiContext> tdis_{
      {&psp_.monitor(), kTdis}};  ///< by first page
  /// First pages of TDI contexts by TDISP's function ID, of all of them; and by guest context
  /// and the guest's own id, of those that count as a guest's.
  schedule::RecordedMap<std::uint32_t, Hpa> by_function_{{&psp_.monitor(), kTdiFunctions}};
  schedule::RecordedMap<std::tuple<std::uint64_t, std::uint16_t>, Hpa> by_guest_{
      {&psp_.monitor(), kGuestDeviceIds}};
};

}  // namespace teeio::sev
