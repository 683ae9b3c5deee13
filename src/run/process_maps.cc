#include "run/process_maps.h"

#include <sys/sysmacros.h>

#include <array>
#include <cstdio>
#include <sstream>

#include "run/sys.h"

namespace teeio::run {
namespace {

bool parse(const std::string& text, MapsLine& line) {
  std::array<char, 5> mode{};
  unsigned major = 0;
  unsigned minor = 0;
  int path_at = 0;
  const int fields =
      std::sscanf(text.c_str(), "%lx-%lx %4s %lx %x:%x %lu %n", &line.start, &line.end, mode.data(),
                  &line.offset, &major, &minor, &line.inode, &path_at);
  if (fields != 7) return false;
  line.readable = mode[0] == 'r';
  line.writable = mode[1] == 'w';
  line.shared = mode[3] == 's';
  line.device = makedev(major, minor);
  line.path = text.substr(static_cast<std::size_t>(path_at));
  return true;
}

}  // namespace

std::vector<MapsLine> read_maps(pid_t tid) {
  std::vector<MapsLine> lines;
  std::istringstream text(read_file(proc_path(tid, "maps")));
  for (std::string row; std::getline(text, row);)
    if (MapsLine line; parse(row, line)) lines.push_back(std::move(line));
  return lines;
}

}  // namespace teeio::run
