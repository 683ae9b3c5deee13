#pragma once

#include <string>

namespace teeio::decode {

/// What `teeio decode` does.
struct FileOptions {
  std::string capture;  ///< path; "-": standard input
  std::string key_log;  ///< path; empty: there is none
  bool json = false;
  bool verbose = false;  ///< fields on their own lines, and each problem on stderr
  bool show_keys = false;
};

/// Prints a capture to stdout, message by message as it is read, in memory that follows
/// the largest packet and the key log. Problems go to stderr: of the files each, of messages
/// the first and how many there were.
/// The exit status: 0 when everything could be read, else 1.
[[nodiscard]] int decode_file(const FileOptions& options);

}  // namespace teeio::decode
