#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace teeio::rules {

/// What a machine looked like at one moment: a value for each thing that must be
/// the same again at the end. Taken by machine/, compared here.
///
/// Determinism: keys and values name objects and numbers, never addresses.
class Census {
 public:
  struct Difference {
    std::string key;
    std::string boot;  ///< "absent" where the key is new
    std::string end;   ///< "absent" where the key is gone
  };

  /// "iommu0 trusted entries" = "0". A key that is set twice keeps the last value.
  void set(std::string_view key, std::string_view value);
  void set(std::string_view key, std::uint64_t count);

  /// In order of keys; empty when the machine is as it was.
  [[nodiscard]] static std::vector<Difference> compare(const Census& boot, const Census& end);
  [[nodiscard]] const std::map<std::string, std::string, std::less<>>& values() const {
    return values_;
  }

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

/// A program may leave these changed, as on any machine: it wrote them itself
/// (setpci, driver_override). What belongs to a function that it removed is gone.
[[nodiscard]] bool is_setting(const Census::Difference& difference);

/// One line a difference, or the one line "the machine is as it was at boot";
/// ends with a newline.
[[nodiscard]] std::string census_text(const std::vector<Census::Difference>& differences);

}  // namespace teeio::rules
