#pragma once

// Calls as rows of fields, for random questions: what each field may hold, and
// which hold ids that later calls use.
#include <map>
#include <string>
#include <vector>

#include "random.h"

namespace probe {

struct Field {
  enum Kind {
    kSize,
    kId,
    kFlags,
    kWords,
    kZero,
    kIova,
    kLength,
    kMemory,
    kFile,
    kData,
    kOut,
    kOutId
  };
  const char* name;
  std::uint32_t offset, size;
  Kind kind;
  std::vector<std::uint64_t> words =
      {};  ///< the usual values; of kFlags the bits; of kId the kinds
};

struct Row {
  const char* name;
  unsigned long number;
  std::uint32_t size;
  std::vector<Field> fields;
  std::map<std::uint32_t, std::uint64_t> fixed = {};  ///< words that say which row it is, by offset
};

/// What a story knows, and how it asks.
class Asker {
 public:
  explicit Asker(Dice& dice) : dice_(dice) {
    memory_ = pages(kPages + 16);
    memset(memory_, 1, kPages * kPage);
    mprotect(memory_ + kPages * kPage, 4 * kPage, PROT_READ);
    munmap(memory_ + (kPages + 4) * kPage, 12 * kPage);
    data_ = pages(1);
  }

  static constexpr std::size_t kPages = 16;

  std::map<std::uint64_t, std::vector<std::uint64_t>> ids;  ///< by kind
  std::vector<std::pair<std::string, int>> files;
  std::vector<std::uint32_t> data_words;  ///< what kData's memory may begin with

  long ask(int fd, const Row& row) {
    alignas(8) std::byte arg[512] = {};
    printf("%s", row.name);
    for (const Field& field : row.fields) {
      const std::uint64_t value = choose(row, field);
      if (field.offset < sizeof(arg)) memcpy(arg + field.offset, &value, field.size);
    }
    for (const auto& [offset, value] : row.fixed) memcpy(arg + offset, &value, 4);
    fflush(stdout);
    const long done = ioctl(fd, row.number, arg);
    if (done < 0)
      print_failure(errno);
    else
      printf(" -> %ld", done);
    if (done < 0) return done;
    for (const Field& field : row.fields) {
      if (field.kind != Field::kOut && field.kind != Field::kOutId) continue;
      std::uint64_t value = 0;
      memcpy(&value, arg + field.offset, field.size);
      printf(" %s=%lx", field.name, value);
      if (field.kind == Field::kOutId) ids[field.words[0]].push_back(value);
    }
    puts("");
    return done;
  }

 private:
  std::uint64_t choose(const Row& row, const Field& field) {
    std::uint64_t value = 0;
    switch (field.kind) {
      case Field::kSize:
        value = row.size;
        if (dice_.once_in(12))
          value = dice_.of<std::uint64_t>(
              {0, 4, 8, row.size - 8, row.size - 4, row.size + 8, 512, 4096, 4097});
        if (value != row.size) printf(" %s=%lu", field.name, value);
        return value;
      case Field::kId:
        value = id(field);
        break;
      case Field::kFlags:
        for (const std::uint64_t bit : field.words)
          if (dice_.once_in(2)) value |= bit;
        if (dice_.once_in(16)) value |= 1U << dice_.below(32);
        break;
      case Field::kWords:
        value = field.words[dice_.below(field.words.size())];
        if (dice_.once_in(16)) value = dice_.of<std::uint64_t>({0, 1, 2, 3, 7, 0xffffffff});
        break;
      case Field::kZero:
        if (dice_.below(40) != 0) return 0;
        value = 1;
        break;
      case Field::kIova:
        value = 0x1000000 + dice_.below(16) * 0x1000;
        if (dice_.once_in(6))
          value = dice_.of<std::uint64_t>({0, 0x1000000 + 0x800, 0xfee00000, 0x7ffff000, 1UL << 40U,
                                           1UL << 48U, ~0xfffUL, ~0UL});
        break;
      case Field::kLength:
        value = (1 + dice_.below(6)) * 0x1000;
        if (dice_.once_in(6))
          value = dice_.of<std::uint64_t>(
              {0, 1, 0x800, 0x1800, 0x10000, 0x200000, 1UL << 40U, 1UL << 63U, ~0xfffUL, ~0UL});
        break;
      case Field::kMemory:
        return memory(field.name);
      case Field::kFile:
        return file(field.name);
      case Field::kData:
        return data(field.name);
      case Field::kOut:
      case Field::kOutId:
        return 0;
    }
    if (field.size < 8) value &= (1UL << (8 * field.size)) - 1;
    printf(" %s=%lx", field.name, value);
    return value;
  }

  std::uint64_t id(const Field& field) {
    if (dice_.once_in(14))
      return dice_.of<std::uint64_t>({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 100, 0xffffffff});
    const std::uint64_t kind = field.words[dice_.below(field.words.size())];
    const std::vector<std::uint64_t>& known = ids[kind];
    if (known.empty()) {
      for (const std::uint64_t other : field.words)
        if (!ids[other].empty()) return ids[other].back();
      return dice_.below(8);
    }
    return known[dice_.once_in(2) ? known.size() - 1 : dice_.below(known.size())];
  }

  std::uint64_t memory(const char* name) {
    std::uint64_t offset = dice_.below(kPages) * kPage;
    if (dice_.once_in(10))
      offset = dice_.of<std::uint64_t>(
          {0x800, kPages * kPage, (kPages + 4) * kPage, (kPages - 1) * kPage, 1});
    if (dice_.once_in(20)) {
      const std::uint64_t at = dice_.of<std::uint64_t>({0, 1UL << 47U, ~0xfffUL});
      printf(" %s=%lx", name, at);
      return at;
    }
    printf(" %s=memory+%lx", name, offset);
    return address_of(memory_) + offset;
  }

  std::uint64_t file(const char* name) {
    if (files.empty() || dice_.once_in(16)) {
      printf(" %s=none", name);
      return 0xffffffff;
    }
    const auto& chosen = files[dice_.below(files.size())];
    printf(" %s=%s", name, chosen.first.c_str());
    return static_cast<std::uint32_t>(chosen.second);
  }

  std::uint64_t data(const char* name) {
    if (dice_.once_in(10)) {
      const std::uint64_t at = dice_.of<std::uint64_t>({0, 0x1000});
      printf(" %s=%lx", name, at);
      return at;
    }
    memset(data_, 0, kPage);
    printf(" %s=[", name);
    for (std::size_t i = 0; i < 6; ++i) {
      const std::uint32_t word = data_words.empty() || dice_.once_in(2)
                                     ? static_cast<std::uint32_t>(dice_.below(4))
                                     : data_words[dice_.below(data_words.size())];
      memcpy(data_ + 4 * i, &word, 4);
      printf(i == 0 ? "%x" : " %x", word);
    }
    printf("]");
    return address_of(data_);
  }

  Dice& dice_;
  std::byte* memory_;
  std::byte* data_;
};

}  // namespace probe
