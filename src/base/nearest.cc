#include "base/nearest.h"

#include <algorithm>
#include <numeric>

namespace teeio {
namespace {

/// Small letters for large ones: nobody means another word by those.
std::string folded(std::string_view word) {
  std::string out(word);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

/// Letters to insert, take out, change or swap with their neighbour (the optimal
/// string alignment distance).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  std::iota(above.begin(), above.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({change, above[j] + 1, row[j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

/// Of longer ones nothing is guessed: the table grows with the product.
constexpr std::size_t kLongestWord = 64;

}  // namespace

std::string nearest(std::string_view typed, const std::vector<std::string>& known) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(1, typed.size() / 3) + 1;
  if (typed.empty() || typed.size() > kLongestWord) return best;
  const std::string word = folded(typed);
  for (const std::string& other : known) {
    const std::string candidate = folded(other);
    const bool begins = word.size() > 1 && candidate.starts_with(word) && candidate != word;
    const std::size_t far = begins ? 1 : distance(word, candidate);
    if (far >= best_distance) continue;
    best_distance = far;
    best = other;
  }
  return best;
}

std::string any_of(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
    text += words[i];
  }
  return text;
}

}  // namespace teeio
