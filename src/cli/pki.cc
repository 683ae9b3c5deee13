#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "cli/commands.h"
#include "cli/options.h"
#include "cli/print.h"
#include "crypto/identity.h"
#include "crypto/random.h"

namespace teeio::cli {
namespace {

namespace fs = std::filesystem;

struct PkiArguments {
  std::string directory;
  std::string algorithm = "p384";
  std::string hash;  ///< empty: the one that fits the algorithm
  std::string name = "teeio device";
  std::optional<std::uint64_t> seed;
};

std::optional<crypto::HashAlgorithm> hash_from_name(std::string_view name) {
  if (name == "sha256") return crypto::HashAlgorithm::kSha256;
  if (name == "sha384") return crypto::HashAlgorithm::kSha384;
  if (name == "sha512") return crypto::HashAlgorithm::kSha512;
  return std::nullopt;
}

/// Post-quantum ones too: whether this OpenSSL has them is said when they are asked for.
std::vector<std::string> key_types() {
  std::vector<std::string> names;
  for (auto type = 0U; type <= static_cast<unsigned>(crypto::KeyType::kSlhDsaShake256f); ++type)
    names.emplace_back(crypto::key_type_name(static_cast<crypto::KeyType>(type)));
  return names;
}

ByteView bytes_of_text(std::string_view text) { return std::as_bytes(std::span(text)); }

/// Writes new files into one directory; the first failure is told and ends it.
class NewFiles {
 public:
  explicit NewFiles(fs::path directory) : directory_(std::move(directory)) {}

  enum class Readers : std::uint8_t { kAll, kOwner };
  void add(const std::string& name, ByteView contents, Readers readers = Readers::kAll) {
    if (failed_) return;
    const fs::path path = directory_ / name;
    constexpr ::mode_t kAllMay = 0644;
    constexpr ::mode_t kOwnerMay = 0600;
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                          readers == Readers::kOwner ? kOwnerMay : kAllMay);
    if (fd < 0) return fail_with(path);
    while (!contents.empty() && !failed_) {
      const ::ssize_t written = ::write(fd, contents.data(), contents.size());
      if (written < 0 && errno != EINTR) fail_with(path);
      if (written > 0) contents = contents.subspan(static_cast<std::size_t>(written));
    }
    if (::close(fd) != 0 && !failed_) fail_with(path);
  }
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  void fail_with(const fs::path& path) {
    complain("teeio: {} cannot be written: {}\n", path.string(), std::strerror(errno));
    failed_ = true;
  }
  const fs::path directory_;
  bool failed_ = false;
};

/// A new directory in one that is there, or an empty one: nothing is ever overwritten.
bool prepare(const std::string& directory) {
  std::error_code error;
  fs::create_directory(directory, error);
  if (!error && !fs::is_directory(directory, error) && !error)
    error = std::make_error_code(std::errc::not_a_directory);
  if (error) {
    complain("teeio: {} cannot be made: {}\n", directory, error.message());
    return false;
  }
  const bool empty = fs::is_empty(directory, error);
  if (!error && empty) return true;
  complain("teeio: {} is not empty, and nothing is overwritten\n", directory);
  return false;
}

void add_pair(NewFiles& files, const std::string& who, const crypto::Certificate& certificate,
              const crypto::PrivateKey& key) {
  files.add(who + ".cert.der", certificate.der());
  files.add(who + ".cert.pem", bytes_of_text(certificate.pem()));
  files.add(who + ".key.der", key.der().view(), NewFiles::Readers::kOwner);
  files.add(who + ".key.pem", key.pem().view(), NewFiles::Readers::kOwner);
}

int make_new(const PkiArguments& arguments) {
  const crypto::KeyType type = *crypto::key_type_from_name(arguments.algorithm);
  const crypto::HashAlgorithm hash =
      hash_from_name(arguments.hash).value_or(crypto::fitting_hash(type));
  if (!prepare(arguments.directory)) return 1;
  crypto::set_random_source(crypto::RandomSource::kSystem);  // these keys face the outside
  std::optional<crypto::SeededRandom> seeded;
  if (arguments.seed) seeded.emplace(*arguments.seed);
  const auto pki = crypto::make_pki({.type = type, .hash = hash, .name = arguments.name});
  if (!pki) {
    complain("teeio: {} (OpenSSL {})\n", pki.error().why, crypto::openssl_version());
    return 1;
  }
  NewFiles files(arguments.directory);
  const auto& chain = pki->device.chain;
  add_pair(files, "root", chain.certificates()[0], pki->root_key);
  add_pair(files, "intermediate", chain.certificates()[1], pki->intermediate_key);
  add_pair(files, "device", chain.leaf(), pki->device.key);
  files.add("chain.pem", bytes_of_text(chain.pem()));
  files.add("chain.der", chain.der());
  files.add("chain.spdm", crypto::encode_spdm_chain(chain, hash));
  return files.failed() ? 1 : 0;
}

}  // namespace

void add_pki_command(Command& root) {
  Command& pki = root.command("pki", "Make certificates for devices");
  auto arguments = std::make_shared<PkiArguments>();
  Command& make = pki.command(
      "new", "Make a root, an intermediate and a device, with keys, as PEM, DER and SPDM's chain");
  make.positional("DIR", arguments->directory, "A directory that is new or empty").required();
  make.option("--algorithm", arguments->algorithm, "Of the keys")
      .choices(key_types())
      .shows_default();
  make.option("--hash", arguments->hash,
              "Of the signatures and of the root in chain.spdm (default: as strong as the key)")
      .choices({"sha256", "sha384", "sha512"});
  make.option("--name", arguments->name, "Common name of the device's certificate").shows_default();
  make.option("--seed", arguments->seed,
              "Draw from this number alone: the same files again, and no secret to anybody");
  make.runs([arguments] { return make_new(*arguments); });
}

}  // namespace teeio::cli
