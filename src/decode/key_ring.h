#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "decode/message.h"
#include "wire/key_log.h"
#include "wire/secured_message.h"

namespace teeio::decode {

/// The keys of a key log, and where each session's senders stand in them.
///
/// A record says neither who sent it nor (over DOE) its number, so it is tried
/// with the key that its session's senders use now, and then with those that the
/// log lists behind it: authentication says which was right. A record that does
/// not open moves nothing.
class KeyRing {
 public:
  /// Later keys of a sender that are tried for one record, and numbers ahead of
  /// the expected one: a capture may have begun late or lost packets.
  static constexpr std::size_t kMaxKeysAhead = 32;
  static constexpr std::uint64_t kMaxGap = 8;

  void add(const wire::KeyLogLine& line);
  [[nodiscard]] bool empty() const { return senders_.empty(); }

  struct Opened {
    Sender sender = Sender::kRequester;
    wire::KeyLogPhase phase = wire::KeyLogPhase::kHandshake;
    std::uint64_t sequence = 0;
    Bytes application;
  };
  /// `likely`: who probably sent it. Errors: ENOENT when the log has no key of the
  /// session; EACCES when none of those tried opens the record, or what was inside
  /// makes no sense.
  Result<Opened> open(const wire::SecuredMessage& record, Sender likely);

 private:
  /// One sender of sessions with one ID, in the order of the log.
  struct Keys {
    std::vector<wire::KeyLogLine> lines;
    std::size_t current = 0;
    std::uint64_t next_sequence = 0;
  };
  std::optional<Opened> open_with(Keys& keys, const wire::SecuredMessage& record);
  std::map<std::pair<std::uint32_t, Sender>, Keys> senders_;
};

/// Reads a key log: a line each; empty lines and those that begin with # are
/// comments. Lines may end as DOS ends them, and the text may begin with a byte order mark.
/// `bad_line` is the number of the first line that is neither; a last line that has no end is only
/// `cut_line`: its writer was killed, or still writes.
struct KeyLogText {
  std::vector<wire::KeyLogLine> lines;
  std::size_t bad_line = 0;  ///< 0: there is none
  std::string_view bad_why;
  std::size_t cut_line = 0;  ///< 0: there is none
};
[[nodiscard]] KeyLogText parse_key_log(std::string_view text);

}  // namespace teeio::decode
