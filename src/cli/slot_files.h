#pragma once

#include <cstdint>
#include <expected>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "cli/output_files.h"
#include "crypto/identity.h"
#include "serve/speaker.h"

namespace teeio::cli {

/// Files with the certificate chains and keys of a served device's slots.
///
/// Lifetime: outlives the server, whose slots point into it.
class SlotFiles {
 public:
  /// "N=CHAIN,KEY". Error, ready to print: it is none, or the slot was named before.
  [[nodiscard]] std::optional<std::string> add_slot(const std::string& text);
  /// In every slot that is filled otherwise.
  void add_shared(const std::string& chain, const std::string& key);
  /// The files, by the options that name them; until others are added.
  [[nodiscard]] std::vector<FileOption> inputs() const;
  /// Reads the files into the slots of `spdm`; warns on stderr of chains that requesters will
  /// refuse. Error, ready to print: a file cannot be read, key and chain do not fit, or no
  /// algorithm that is offered is the key's.
  std::expected<void, std::string> load(serve::SpeakerOptions& spdm);

 private:
  struct Pair {
    std::optional<std::uint8_t> slot;  ///< nullopt: shared
    std::string chain;
    std::string key;
  };
  std::vector<Pair> files_;
  std::list<crypto::Identity> loaded_;
};

}  // namespace teeio::cli
