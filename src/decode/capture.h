#pragma once

#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "decode/connection.h"
#include "decode/key_ring.h"
#include "decode/mctp_assembler.h"
#include "decode/message.h"
#include "wire/pcap.h"
#include "wire/spdm_vendor_defined.h"

namespace teeio::decode {

/// Reads captured packets in order and says what each is.
///
/// One conversation, but for those that DOE objects have the IDs of: what several connections
/// wrote into one file side by side cannot be told apart otherwise, one after the other can.
///
/// Who sent a packet: what the capture records (pcapng); else what the message itself
/// says (an SPDM code, the key that opens a record, MCTP's tag owner bit); else it is
/// guessed, and the message says so. Inbound is to the device, unless the first SPDM
/// request in the clear went the other way.
class Capture {
 public:
  struct Options {
    bool show_keys = false;  ///< IDE keys in KEY_PROG
  };
  Capture(wire::LinkType link, KeyRing keys, Options options)
      : link_(link), options_(options), keys_(std::move(keys)) {}

  /// One more key, of sessions that the packets to come may have.
  void add_key(const wire::KeyLogLine& line) { keys_.add(line); }
  /// The messages of the next packet: at least one, the outer before the inner. They are there
  /// until the next call. The packet's link type counts when
  /// the capture has packets of several.
  [[nodiscard]] std::span<const Message> read(const wire::PcapPacket& packet);
  /// Once the capture has ended: the first packet of an MCTP message whose last one is not in it.
  [[nodiscard]] std::optional<std::size_t> unfinished() const { return mctp_.unfinished(); }

 private:
  /// A message made of chunks, until its last has come.
  struct Assembly {
    Bytes bytes;
    std::size_t size = 0;
    std::uint64_t next = 0;  ///< sequence number of the next chunk
    bool open = false;

    template <class Chunk>
    std::string_view add(const Chunk& chunk);
  };
  /// What is known of one connection.
  struct Conversation {
    Connection connection;
    Assembly request_chunks;
    Assembly response_chunks;
    std::size_t packet = 0;  ///< its last
  };
  /// Where in a packet a message is found.
  struct Place {
    std::optional<std::uint32_t> session;
    unsigned depth = 0;
    bool encapsulated = false;
  };

  [[nodiscard]] Conversation& conversation();
  void find_sender(const wire::PcapPacket& packet);
  void note_direction(Sender by_message);
  void read_data(ByteView data);
  void read_doe(ByteView packet);
  void read_discovery(ByteView payload);
  void find_discovery_sender(ByteView payload);
  void read_mctp(ByteView packet);
  void find_mctp_sender(const wire::MctpPacketHeader& header);
  void read_mctp_message(ByteView message, const Place& place);
  void read_secured(ByteView record, std::size_t sequence_size);
  void read_spdm(ByteView message, const Place& place);
  void read_plain_spdm(const wire::SpdmHeader& header, ByteView message, const Place& place);
  void read_inside(const wire::SpdmHeader& header, ByteView message, const Place& place);
  void read_vendor_defined(const wire::VendorDefined& vendor, const Place& place);
  template <class Chunk>
  void read_chunk(const Chunk& chunk, Assembly& assembly, const Place& place);
  /// The next of `out_`, without fields. It stays where it is until the next one.
  Message& add(std::string_view layer, std::string_view name, const Place& place);
  void add_problem(std::string_view layer, std::string_view name, const Error& error,
                   const Place& place);

  wire::LinkType link_;  ///< of the packet at hand
  const Options options_;
  KeyRing keys_;
  std::map<std::optional<std::uint16_t>, Conversation> conversations_;
  std::optional<std::uint16_t> connection_;  ///< of the packet at hand
  std::size_t packet_ = 0;
  std::uint64_t time_ns_ = 0;
  Sender sender_ = Sender::kResponder;  ///< of the message at hand, before: of the last one
  enum class Known : std::uint8_t { kGuessed, kByMessage, kRecorded };
  Known known_ = Known::kGuessed;
  wire::PcapDirection direction_ = wire::PcapDirection::kUnknown;  ///< of the packet at hand
  std::optional<wire::PcapDirection> to_device_;                   ///< once a request told it
  MctpAssembler mctp_;
  bool tags_tell_ = false;    ///< this capture's tag owner bits say who asks: one was set
  std::vector<Message> out_;  ///< used again and again, with what their fields have of memory
  std::size_t used_ = 0;      ///< of `out_`
};

}  // namespace teeio::decode
