#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "crypto/hash.h"
#include "firmware/rmm/records.h"
#include "hw/physical_memory.h"
#include "spdm/channel.h"

namespace teeio::rmm {

/// A message for a device and what its answer does; without a request a step of the
/// monitor's own.
struct Exchange {
  wire::Protocol protocol = wire::Protocol::kIdeKm;
  Bytes request;
  std::function<Result<void>(ByteView answer)> take;
  std::uint8_t group = 0;  ///< what is left out with it where its failure does not count
  bool counts = true;      ///< false: should it fail, it and its group are passed over
};

/// What an application is started with: what the channel has to say first, then the
/// exchanges.
struct Job {
  enum class Channel : std::uint8_t {
    kNothing,
    kIdentify,  ///< version, capabilities, algorithms, certificates
    kOpen,      ///< the session, with the key that the host has named
    kMeasure,
    kStop,  ///< END_SESSION, GET_VERSION
  };
  Channel channel = Channel::kNothing;
  std::array<std::byte, 32> nonce{};  ///< kMeasure
  std::deque<Exchange> script{};
};

/// How a step of an application ends.
enum class Progress : std::uint8_t { kDone, kFailed, kYielded };

/// The device-assignment application of a PDEV: SPDM with its device, for the PDEV and
/// all its VDEVs, one exchange at a time. It runs a job and yields after every message,
/// and where it has something for the host's cache that the next message would
/// overwrite; such a round has no message.
///
/// Source: TF-RMM app/device_assignment/el0_app/src/dev_assign_el0_app.c,
/// spdm_send_message(), dev_assign_dev_comm_set_cache(), dev_assign_communicate_cmd_cmn().
///
/// Locking: the monitor's.
class Application {
 public:
  /// In which handshakes it finds its way. Source: dev_assign_el0_app.c,
  /// spdm_transport_decode_secured_message(), which compares a message's session with
  /// info->session_id, and dev_assign_cmds.c, dev_assign_cmd_start_session_main(), which sets
  /// that when the handshake is over.
  enum class Handshake : std::uint8_t {
    kAny,
    kInTheClear,  ///< FINISH_RSP inside of the session belongs to none
  };
  Application(std::unique_ptr<spdm::RequesterChannel> channel, crypto::HashAlgorithm hash,
              hw::PhysicalMemory& memory, Handshake handshake)
      : channel_(std::move(channel)), hash_(hash), memory_(memory), handshake_(handshake) {}

  /// What a step gives besides how it ended.
  struct Step {
    Progress progress = Progress::kDone;
    CommExit exit;
    std::string_view why;  ///< of kFailed
  };
  [[nodiscard]] bool yielded() const { return job_.has_value(); }
  /// Precondition: not yielded().
  Step run(Job job, const CommEnter& enter);
  /// Precondition: yielded().
  Step resume(const CommEnter& enter);
  /// The job ends in an error. False: it stands where it does not look at what it is
  /// woken with, and would go on. Precondition: yielded().
  [[nodiscard]] bool abort();

  /// The host's key of the device. False: it is none.
  [[nodiscard]] bool set_key(const PublicKeyParams& params);

  [[nodiscard]] const crypto::Digest& vca_digest() const { return vca_digest_; }
  [[nodiscard]] const crypto::Digest& certificate_digest() const { return certificate_digest_; }
  /// Of the last job that measured, or read a report.
  [[nodiscard]] const crypto::Digest& object_digest() const { return object_digest_; }
  /// To be called by an exchange's take(): this is next.
  void then(Exchange next) { job_->script.push_front(std::move(next)); }
  /// To be called by an exchange's take(): a portion of the interface report came.
  void report_portion(ByteView portion, bool last);

 private:
  enum class Waiting : std::uint8_t { kNothing, kResponse, kCached, kFinal };

  /// How far kStop is.
  enum class Ending : std::uint8_t { kSession, kVersion, kOver };

  Step advance(const CommEnter& enter);
  Step yield(Waiting waiting);
  Step fail(std::string_view why);
  Result<void> take(const CommEnter& enter);
  Result<void> took(const CommEnter& enter, ByteView object);
  void forget_answer();
  bool pass_over();
  Result<std::optional<Bytes>> next_object(const CommEnter& enter);
  Result<std::optional<Bytes>> channel_object(const CommEnter& enter);
  Result<std::optional<Bytes>> connect_object();
  Result<std::optional<Bytes>> ending_object();
  Result<std::optional<Bytes>> script_object();
  Result<void> send(ByteView object, const CommEnter& enter);
  [[nodiscard]] Result<void> key_is_the_hosts(ByteView message) const;
  [[nodiscard]] bool is_of_no_session() const;

  // application_cache.cc
  void cache_plain(ByteView message);
  void cache_certificate(ByteView message);
  Result<void> cache_measurements(const CommEnter& enter);
  Result<void> cache_report(const CommEnter& enter);

  const std::unique_ptr<spdm::RequesterChannel> channel_;
  const crypto::HashAlgorithm hash_;
  hw::PhysicalMemory& memory_;
  const Handshake handshake_;

  std::optional<Job> job_;
  Waiting waiting_ = Waiting::kNothing;
  Ending ending_ = Ending::kSession;
  bool ended_badly_ = false;
  CommExit exit_{};
  Bytes request_;  ///< that waits for its answer: an SPDM or a secured message
  bool secured_ = false;
  std::optional<Exchange> current_;  ///< of the script, that waits
  std::optional<Bytes> held_;        ///< the object that begins the session
  bool session_ = false;
  bool finished_in_the_clear_ = false;

  Bytes vca_;
  std::size_t spdm_hash_bytes_ = 0;
  bool chain_begun_ = false;
  Bytes chain_;  ///< certificates, as far as they came
  Bytes report_, portion_;
  bool report_over_ = false;
  PublicKeyParams key_;
  crypto::Digest vca_digest_, certificate_digest_, object_digest_;
};

}  // namespace teeio::rmm
