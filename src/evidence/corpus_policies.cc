#include "evidence/corpus_policies.h"

#include <fmt/format.h>

#include "base/hex.h"
#include "crypto/hash.h"
#include "evidence/corpus_device.h"

namespace teeio::evidence {
namespace {

crypto::Digest digest(crypto::HashAlgorithm algorithm, ByteView bytes) {
  return crypto::hash(algorithm, bytes);
}

}  // namespace

std::vector<CorpusFile> corpus_policies(const crypto::Identity& device) {
  std::vector<CorpusFile> files;
  const std::string chain = "[chain]\nroots = [\"root.pem\"]\n";
  const std::string binding = "[binding]\nrequired = true\ndigests = \"of-the-file\"\n";
  const std::string blocks = fmt::format(
      "[[measurements.block]]\nindex = 2\ntype = \"firmware\"\nvalue = [\"{}\"]\n\n"
      "[[measurements.block]]\nindex = 7\ntype = \"svn\"\nleast_svn = 7\n\n",
      to_hex(digest(crypto::HashAlgorithm::kSha384, bytes_of_text(DeviceState{}.firmware))));
  const std::string report =
      "[report]\nrequired = true\nno_update_after_lock = true\n\n"
      "[[report.range]]\nid = 0\npages = 16\n\n[[report.range]]\nid = 2\npages = 256\n\n";
  const auto policy = [&](const std::string& name, const std::string& head,
                          const std::string& text) {
    files.push_back({name, bytes_of_text("# " + head + "\n" + text)});
  };
  policy("policy.toml", "One device, its firmware and its interface.",
         chain +
             fmt::format(
                 "leaf_keys = [\"{}\"]\ndevice = \"teeio:corpus:1\"\n\n",
                 to_hex(digest(crypto::HashAlgorithm::kSha256, device.key.public_key().der()))) +
             blocks + report + binding);
  policy("fleet.toml", "Any device of the maker with this firmware.",
         chain + "\n" + blocks + report + binding);
  policy("device.toml", "The device alone: no interface report, nobody to vouch for it.",
         chain + "\n" + blocks);
  policy("p256.toml", "A device with P-256, whose root is another one.",
         "[chain]\nroots = [\"root-p256.pem\"]\n\n[spdm]\nhashes = [\"SHA-256\"]\nsignatures = "
         "[\"ECDSA-P256\"]\n\n");
  policy("old.toml", "SPDM 1.1 is taken, with all that it does not protect.",
         chain + "\n[spdm]\nversions = [\"1.1\"]\n\n");
  policy("exact.toml", "No measurement that the policy does not name.",
         chain + "\n[measurements]\nothers = \"refused\"\n\n" + blocks);
  policy("named.toml", "These blocks, and no others.",
         chain + "\n[measurements]\nothers = \"refused\"\n\n" + blocks +
             "[[measurements.block]]\nindex = 254\ntype = \"device-mode\"\n\n");
  policy(
      "dice.toml", "TCG DICE's claims in the certificates.",
      chain + fmt::format("ueid = \"{}\"\n\n[[chain.tcb]]\nvendor = \"teeio\"\nmodel = \"corpus\"\n"
                          "least_svn = 3\nfwid = [\"{}\"]\nrefused_flags = [\"debug\", "
                          "\"notSecure\"]\n",
                          "01c0ffee0001", to_hex(dice_fwid())));
  files.push_back({"root.pem", bytes_of_text(device.chain.first().pem())});
  return files;
}

}  // namespace teeio::evidence
