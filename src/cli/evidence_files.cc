#include "cli/evidence_files.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/files.h"
#include "evidence/object.h"

namespace teeio::cli {
namespace {

namespace fs = std::filesystem;
using Problem = EvidenceProblem;

std::expected<void, Problem> add_certificates(const std::string& path,
                                              std::vector<crypto::Certificate>& into) {
  const auto text = read_file(path, evidence::kMaxFile);
  if (!text) return std::unexpected(text.error());
  const auto certificates = crypto::CertificateChain::from_pem(*text);
  if (!certificates) return std::unexpected(fmt::format("{}: {}", path, certificates.error().why));
  const auto all = certificates->certificates();
  into.insert(into.end(), all.begin(), all.end());
  return {};
}

std::expected<void, Problem> add_key(const std::string& path,
                                     std::vector<crypto::PublicKey>& into) {
  const auto text = read_file(path, evidence::kMaxFile);
  if (!text) return std::unexpected(text.error());
  auto key = crypto::PublicKey::from_pem(*text);
  if (!key) return std::unexpected(fmt::format("{}: {}", path, key.error().why));
  into.push_back(std::move(*key));
  return {};
}

/// Files that a policy names are in its folder.
template <class Add, class Into>
std::expected<void, Problem> add_all(const std::string& policy,
                                     const std::vector<std::string>& of_policy,
                                     const std::vector<std::string>& of_words, Add add,
                                     Into& into) {
  const fs::path folder = fs::path(policy).parent_path();
  for (const std::string& name : of_policy)
    if (const auto added = add((folder / name).string(), into); !added) return added;
  for (const std::string& path : of_words)
    if (const auto added = add(path, into); !added) return added;
  return {};
}

}  // namespace

std::expected<Bytes, Problem> read_evidence_file(const std::string& path) {
  auto text = read_file(path, evidence::kMaxFile);
  if (!text) return std::unexpected(text.error());
  const ByteView view = std::as_bytes(std::span(*text));
  return Bytes(view.begin(), view.end());
}

std::expected<void, Problem> write_evidence_file(const std::string& path, ByteView bytes) {
  auto file = OutputFile::open(path);
  if (!file) return std::unexpected(file.error());
  return file->write({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::expected<void, Problem> make_evidence_folder(const std::string& folder) {
  std::error_code error;
  fs::create_directory(folder, error);
  if (!error && !fs::is_directory(folder, error) && !error)
    error = std::make_error_code(std::errc::not_a_directory);
  if (error) return std::unexpected(folder + ": " + error.message());
  return {};
}

std::expected<void, Problem> write_parts(const std::vector<evidence::Part>& parts,
                                         const std::string& folder,
                                         const std::vector<FileOption>& kept) {
  const auto file_of = [&folder](const evidence::Part& part) {
    return (fs::path(folder) / part.name).string();
  };
  for (const evidence::Part& part : parts) {
    const std::string file = file_of(part);
    if (std::string why = why_over_input(kept, {{"--extract", file}}); !why.empty())
      return std::unexpected(std::move(why));
  }
  for (const evidence::Part& part : parts)
    if (const auto done = write_evidence_file(file_of(part), part.bytes); !done) return done;
  return {};
}

std::vector<FileOption> policy_inputs(const PolicyFiles& files) {
  std::vector<FileOption> inputs = {{"--policy", files.policy}};
  for (const auto& [option, names] :
       {std::pair("--root", &files.roots), std::pair("--platform-key", &files.platform_keys),
        std::pair("--certificates", &files.certificates)})
    for (const std::string& name : *names) inputs.push_back({option, name});
  return inputs;
}

std::expected<evidence::Policy, Problem> read_policy(const PolicyFiles& files) {
  evidence::Policy policy;
  if (!files.policy.empty()) {
    const auto text = read_file(files.policy, evidence::kMaxFile);
    if (!text) return std::unexpected(text.error());
    auto parsed = evidence::Policy::parse(*text, files.policy);
    if (!parsed) return parsed;
    policy = std::move(*parsed);
  }
  for (const auto& added :
       {add_all(files.policy, policy.root_files, files.roots, add_certificates, policy.roots),
        add_all(files.policy, policy.cca.key_files, files.platform_keys, add_key,
                policy.cca.platform_keys),
        add_all(files.policy, policy.snp.certificate_files, files.certificates, add_certificates,
                policy.snp.certificates)})
    if (!added) return std::unexpected(added.error());
  return policy;
}

}  // namespace teeio::cli
