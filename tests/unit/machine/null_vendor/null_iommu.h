#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "host/iommu/iommu.h"
#include "hw/iommu.h"
#include "schedule/raw_lock.h"

namespace teeio::machine::test {

/// A domain whose pages are in a map.
class NullDomain final : public iommu::Domain {
 public:
  NullDomain(const iommu::Iommu& iommu, Kind kind) : iommu_(iommu), kind_(kind) {}

  Result<void> map(Iova iova, Hpa hpa, std::uint64_t length, iommu::Prot prot) override {
    if (std::to_underlying(prot) == 0) return fail(Errno::kInval, "no access");
    const schedule::RawLockGuard guard(lock_);
    for (std::uint64_t at = 0; at < length; at += kPageSize) pages_[iova + at] = hpa + at;
    return {};
  }
  std::uint64_t unmap(Iova iova, std::uint64_t length) override {
    const schedule::RawLockGuard guard(lock_);
    std::uint64_t gone = 0;
    for (std::uint64_t at = 0; at < length; at += kPageSize)
      gone += pages_.erase(iova + at) * kPageSize;
    return gone;
  }
  [[nodiscard]] std::optional<Hpa> translate(Iova iova) const override {
    const schedule::RawLockGuard guard(lock_);
    const std::uint64_t offset = raw(iova) & (kPageSize - 1);
    const auto at = pages_.find(Iova{raw(iova) - offset});
    return at == pages_.end() ? std::nullopt : std::optional(at->second + offset);
  }
  [[nodiscard]] Kind kind() const override { return kind_; }
  [[nodiscard]] const iommu::Iommu& iommu() const override { return iommu_; }
  [[nodiscard]] std::uint64_t page_sizes() const override { return kPageSize; }
  [[nodiscard]] std::uint64_t last_iova() const override { return (std::uint64_t{1} << 40U) - 1; }

 private:
  const iommu::Iommu& iommu_;
  const Kind kind_;
  mutable schedule::RawLock lock_;
  std::map<Iova, Hpa> pages_;
};

/// The hardware: T=0 requests go through their function's domain, T=1 requests anywhere
/// with no key.
class NullIommu final : public hw::Iommu {
 public:
  explicit NullIommu(std::uint32_t id) : id_(id) {}
  void set(Bdf function, const NullDomain* domain) {
    const schedule::RawLockGuard guard(lock_);
    domain_of_[function.rid()] = domain;
    ++generation_;
  }

  [[nodiscard]] std::uint32_t id() const override { return id_; }
  std::expected<Translation, hw::IommuFault> translate(hw::Requester from, hw::TBit t, Iova address,
                                                       hw::DmaAccess access) override {
    const std::uint64_t rest = kPageSize - (raw(address) & (kPageSize - 1));
    std::optional<Hpa> found = Hpa{raw(address)};
    if (t == hw::TBit::kShared) {
      const schedule::RawLockGuard guard(lock_);
      const NullDomain* domain = domain_of_[from.rid];
      found = domain != nullptr ? domain->translate(address) : std::nullopt;
    }
    if (found)
      return Translation{
          .address = *found, .contiguous_bytes = rest, .domain = 0, .writable = true};
    return std::unexpected(hw::IommuFault{.rid = from.rid,
                                          .address = address,
                                          .access = access,
                                          .t = t,
                                          .reason = 1,
                                          .text = "nothing is mapped there"});
  }
  std::expected<Translation, hw::IommuFault> translate_run(hw::Requester from, hw::TBit t,
                                                           Iova address, std::uint64_t,
                                                           hw::DmaAccess access) override {
    return translate(from, t, address, access);
  }
  [[nodiscard]] std::uint64_t generation(hw::TBit) const override {
    const schedule::RawLockGuard guard(lock_);
    return generation_;
  }

 private:
  const std::uint32_t id_;
  mutable schedule::RawLock lock_;
  std::map<std::uint16_t, const NullDomain*> domain_of_;
  std::uint64_t generation_ = 0;
};

/// Its driver. Machines in one test's task only: no lock.
class NullIommuDriver final : public iommu::Iommu {
 public:
  explicit NullIommuDriver(NullIommu& hardware) : hardware_(hardware) {}

  using iommu::Iommu::probe;
  Result<void> probe(Bdf function, std::uint32_t group, unsigned) override {
    groups_[group].functions.push_back(function);
    return {};
  }
  void release(Bdf function) override {
    for (auto& [number, group] : groups_) std::erase(group.functions, function);
  }
  using iommu::Iommu::alloc_paging_domain;
  Result<std::unique_ptr<iommu::Domain>> alloc_paging_domain(iommu::Domain::Kind kind) override {
    return std::unique_ptr<iommu::Domain>(std::make_unique<NullDomain>(*this, kind));
  }
  Result<void> claim_dma_owner(std::uint32_t group, const void* owner) override {
    Group& claimed = groups_[group];
    if (claimed.users != 0 && claimed.owner != owner)
      return fail(Errno::kPerm, "the group's DMA belongs to another owner");
    claimed.owner = owner;
    ++claimed.users;
    return {};
  }
  void release_dma_owner(std::uint32_t group) override {
    if (--groups_[group].users == 0) groups_[group].owner = nullptr;
  }
  [[nodiscard]] bool dma_owner_claimed(std::uint32_t group) override {
    return groups_[group].users != 0;
  }
  Result<void> use_default_domain(std::uint32_t group) override {
    if (groups_[group].owner != nullptr) return fail(Errno::kBusy, "the group's DMA has an owner");
    ++groups_[group].users;
    return {};
  }
  void unuse_default_domain(std::uint32_t group) override { --groups_[group].users; }
  Result<void> attach(std::uint32_t group, iommu::Attachable& domain) override {
    for (const Bdf function : groups_[group].functions)
      hardware_.set(function, &static_cast<NullDomain&>(domain));
    return {};
  }
  void detach(std::uint32_t group) override {
    for (const Bdf function : groups_[group].functions) hardware_.set(function, nullptr);
  }
  [[nodiscard]] Result<iommu::HwInfo> hw_info(std::uint32_t) const override {
    return iommu::HwInfo{.type = 0x7e, .data = Bytes(3, std::byte{0x5a})};
  }
  [[nodiscard]] bool enforces_coherency() const override { return false; }
  [[nodiscard]] std::vector<iommu::ReservedRegion> reserved_regions() const override {
    const std::uint64_t first = 0x1000'0000 + std::uint64_t{hardware_.id()} * kPageSize;
    return {{Iova{first}, Iova{first + kPageSize - 1}}};
  }
  [[nodiscard]] iommu::SysfsInfo sysfs() const override {
    return {.device = "null" + std::to_string(hardware_.id()),
            .attributes = {{"null/colour", "grey\n"}}};
  }

 private:
  struct Group {
    std::vector<Bdf> functions;
    const void* owner = nullptr;
    std::uint32_t users = 0;
  };
  NullIommu& hardware_;
  std::map<std::uint32_t, Group> groups_;
};

}  // namespace teeio::machine::test
