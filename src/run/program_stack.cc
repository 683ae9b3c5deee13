#include "run/program_stack.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>

#include "run/elf_functions.h"
#include "run/process_maps.h"
#include "run/read_memory.h"
#include "run/sys.h"

namespace teeio::run {
namespace {

constexpr std::size_t kWord = 8;
constexpr std::size_t kMostFrames = 24;
constexpr std::size_t kMostStack = std::size_t{256} * 1024;  ///< bytes that are looked at
constexpr std::size_t kMostFrame = std::size_t{32} * 1024;   ///< of one function
constexpr std::size_t kLongestCall = 7;                      ///< bytes of an instruction

std::size_t read_bytes(pid_t tid, std::uint64_t address, void* to, std::size_t bytes) {
  const ssize_t n = read_memory(tid, address, {static_cast<std::byte*>(to), bytes});
  return n < 0 ? 0 : static_cast<std::size_t>(n);
}

/// How long a `call r/m64` with this byte behind 0xff is, without prefixes; 0: it is none.
std::size_t length_of_call(std::uint8_t modrm, std::uint8_t sib) {
  const unsigned mode = modrm >> 6U, rm = modrm & 7U;
  if (((modrm >> 3U) & 7U) != 2) return 0;
  if (mode == 3) return 2;
  const bool has_sib = rm == 4;
  const std::size_t base = has_sib ? 3 : 2;
  if (mode == 1) return base + 1;
  if (mode == 2) return base + 4;
  return rm == 5 || (has_sib && (sib & 7U) == 5) ? base + 4 : base;
}

/// Where the call before a return address leads: 0: nobody knows before it is made; nullopt:
/// there is none. `bytes`: those before the address.
std::optional<std::uint64_t> called_before(std::uint64_t address,
                                           const std::array<std::uint8_t, kLongestCall>& bytes) {
  constexpr std::uint8_t kCall = 0xe8, kGroup5 = 0xff;
  constexpr std::size_t kDirect = 5;
  if (bytes[kLongestCall - kDirect] == kCall) {
    std::int32_t distance = 0;
    std::memcpy(&distance, &bytes[kLongestCall - kDirect + 1], sizeof(distance));
    return address + static_cast<std::uint64_t>(std::int64_t{distance});
  }
  for (std::size_t length = 2; length <= kLongestCall; ++length) {
    const std::size_t at = kLongestCall - length;
    if (bytes.at(at) == kGroup5 &&
        length_of_call(bytes.at(at + 1), length > 2 ? bytes.at(at + 2) : 0) == length)
      return 0;
  }
  return std::nullopt;
}

/// One place in the program's code.
struct CodePlace {
  const MapsLine* module = nullptr;
  std::uint64_t in_file = 0;  ///< address as the file has it
  std::uint64_t start = 0;    ///< of its function, as memory has it; 0: not known
  const ElfFunctions::Function* function = nullptr;
};

class Walk {
 public:
  explicit Walk(pid_t tid) : tid_(tid), maps_(read_maps(tid)) {}

  std::vector<std::string> frames() {
    std::uint64_t sp = 0, pc = 0;
    if (!registers(sp, pc)) return {};
    std::optional<CodePlace> here = place(pc);
    if (!here) return {};
    base_ = sp & ~(kWord - 1);
    words_.resize(kMostStack / kWord);
    words_.resize(readable_words());
    std::vector<std::string> texts{text_of(*here)};
    for (std::size_t slot = 0; texts.size() < kMostFrames;) {
      const auto found = caller_of(*here, slot);
      if (!found) break;
      // The slot below has the caller's frame pointer where the callee pushed that first.
      frame_ = keeps_frame(*here) && *found > 0 ? words_[*found - 1] : 0;
      here = place(words_[*found] - 1);
      if (!here) break;
      texts.push_back(text_of(*here));
      slot = *found + 1;
    }
    return texts;
  }

 private:
  /// /proc/TID/syscall: "16 0x3 … SP PC".
  bool registers(std::uint64_t& sp, std::uint64_t& pc) const {
    const std::string text = read_file(proc_path(tid_, "syscall"));
    const std::size_t last = text.rfind(' ');
    if (last == std::string::npos || last == 0) return false;
    const std::size_t before = text.rfind(' ', last - 1);
    return before != std::string::npos &&
           std::sscanf(text.c_str() + before, " 0x%lx 0x%lx", &sp, &pc) == 2 && pc != 0;
  }

  /// What of the stack is there, up to the end of its mapping.
  std::size_t readable_words() {
    const MapsLine* const stack = line_of(base_);
    if (stack == nullptr) return 0;
    const std::size_t bytes = std::min<std::uint64_t>(stack->end - base_, kMostStack);
    return read_bytes(tid_, base_, words_.data(), bytes) / kWord;
  }

  [[nodiscard]] const MapsLine* line_of(std::uint64_t address) const {
    const auto after = std::ranges::upper_bound(maps_, address, {}, &MapsLine::start);
    if (after == maps_.begin() || std::prev(after)->end <= address) return nullptr;
    return &*std::prev(after);
  }

  ElfFunctions& functions_of(const MapsLine& module) {
    const auto [at, is_new] = files_.try_emplace(module.path);
    if (is_new) at->second = ElfFunctions(proc_path(tid_, "root" + module.path));
    return at->second;
  }

  /// nullopt: not in a file's code.
  std::optional<CodePlace> place(std::uint64_t address) {
    const MapsLine* const module = line_of(address);
    if (module == nullptr || !module->executable || !module->path.starts_with('/'))
      return std::nullopt;
    const ElfFunctions& functions = functions_of(*module);
    const std::uint64_t offset = address - module->start + module->offset;
    CodePlace place{.module = module,
                    .in_file = functions.address_of(offset).value_or(offset),
                    .function = nullptr};
    place.function = functions.find(place.in_file);
    if (place.function != nullptr) place.start = address - (place.in_file - place.function->start);
    return place;
  }

  /// For a frame alone: of the many places that are looked at no name is made.
  std::string text_of(const CodePlace& place) {
    const std::string_view path = place.module->path;
    std::string in_file =
        fmt::format("{}+{:#x}", one_line(path.substr(path.rfind('/') + 1)), place.in_file);
    if (place.function == nullptr) return in_file;
    return fmt::format("{}+{:#x} ({})", functions_of(*place.module).name_of(*place.function),
                       place.in_file - place.function->start, in_file);
  }

  /// Whether its function begins with push %rbp; mov %rsp,%rbp.
  bool keeps_frame(const CodePlace& place) {
    static constexpr std::array<std::uint8_t, 4> kEndbr{0xf3, 0x0f, 0x1e, 0xfa};
    static constexpr std::array<std::uint8_t, 4> kPush{0x55, 0x48, 0x89, 0xe5};
    std::array<std::uint8_t, 8> begin{};
    if (place.start == 0 || read_bytes(tid_, place.start, begin.data(), begin.size()) != 8)
      return false;
    const auto from =
        begin.begin() + (std::equal(kEndbr.begin(), kEndbr.end(), begin.begin()) ? 4 : 0);
    return std::equal(kPush.begin(), kPush.end(), from);
  }

  /// Which word is the return address of who is at `here`, from `slot` on.
  std::optional<std::size_t> caller_of(const CodePlace& here, std::size_t slot) {
    if (frame_ > base_ && keeps_frame(here)) {
      const std::size_t kept = (frame_ - base_) / kWord + 1;
      if (kept >= slot && kept < words_.size() && fits(here, kept)) return kept;
    }
    const std::size_t end = std::min(words_.size(), slot + kMostFrame / kWord);
    std::optional<std::size_t> jumped;  // of a function that left here by a jump
    for (; slot < end; ++slot) {
      const auto how = fits(here, slot);
      if (how && *how) return slot;
      if (how && !jumped) jumped = slot;
    }
    return jumped;
  }

  /// nullopt: no return address; false: one of a call of another function.
  std::optional<bool> fits(const CodePlace& here, std::size_t slot) {
    const std::uint64_t address = words_[slot];
    const MapsLine* const module = line_of(address);
    if (module == nullptr || !module->executable || !module->path.starts_with('/'))
      return std::nullopt;
    std::array<std::uint8_t, kLongestCall> bytes{};
    if (read_bytes(tid_, address - bytes.size(), bytes.data(), bytes.size()) != bytes.size())
      return std::nullopt;
    const auto called = called_before(address, bytes);
    if (!called) return std::nullopt;
    if (*called == 0) return true;
    const std::optional<CodePlace> target = place(*called);
    if (!target) return std::nullopt;
    // What the linker puts before a function of another file (.plt) has no name.
    if (target->start == 0 || here.start == 0) return true;
    return target->start == here.start;
  }

  const pid_t tid_;
  const std::vector<MapsLine> maps_;
  std::map<std::string, ElfFunctions> files_;
  std::uint64_t base_ = 0;
  std::uint64_t frame_ = 0;  ///< of the function that is looked at; 0: not known
  std::vector<std::uint64_t> words_;
};

}  // namespace

std::vector<std::string> program_stack(pid_t tid) {
#ifdef __x86_64__
  return Walk(tid).frames();
#else
  (void)tid;
  return {};
#endif
}

std::string stack_top(std::span<const std::string> stack) {
  const auto is_library = [](const std::string& frame) {
    const std::size_t bracket = frame.rfind('(');
    const std::string_view module =
        std::string_view(frame).substr(bracket == std::string::npos ? 0 : bracket + 1);
    return std::ranges::any_of(
        std::array{"libc.", "libc-", "ld-", "ld.", "libpthread", "libstdc++"},
        [&](const char* name) { return module.starts_with(name); });
  };
  // The innermost is who has the system call's instruction: a wrapper, also where it is the
  // program's own, as in a static one.
  for (std::size_t i = 1; i < stack.size(); ++i)
    if (!is_library(stack[i])) return stack[i];
  return stack.empty() ? std::string() : stack.front();
}

}  // namespace teeio::run
