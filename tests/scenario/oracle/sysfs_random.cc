// Writes to a function's attributes, its driver's and the bus's, in any order and
// with odd bytes: "PROGRAM COUNT FIRST" asks more than what is recorded.
#include <dirent.h>
#include <sys/stat.h>

#include <string>

#include "random.h"

namespace {

using probe::Dice;

std::string device;  ///< its address
const std::string kBus = "/sys/bus/pci/";

std::string path(const char* what) {
  std::string text(what);
  const std::size_t at = text.find("DEV");
  if (at != std::string::npos) text.replace(at, 3, device);
  return kBus + text;
}

long put(const std::string& file, const std::string& bytes) {
  const int fd = open(file.c_str(), O_WRONLY);
  if (fd < 0) return -1;
  const long done = write(fd, bytes.data(), bytes.size());
  const int error = errno;
  close(fd);
  errno = error;
  return done;
}

std::string get(const std::string& file) {
  const int fd = open(file.c_str(), O_RDONLY);
  if (fd < 0) return strerrorname_np(errno);
  char bytes[256];
  const ssize_t got = read(fd, bytes, sizeof(bytes));
  const int error = errno;
  close(fd);
  if (got < 0) return strerrorname_np(error);
  std::string text(bytes, static_cast<std::size_t>(got));
  for (char& c : text)
    if (c == '\n') c = '|';
  return text;
}

std::string driver() {
  char target[256];
  const ssize_t length =
      readlink((kBus + "devices/" + device + "/driver").c_str(), target, sizeof(target) - 1);
  if (length < 0) return "none";
  target[length] = '\0';
  return strrchr(target, '/') + 1;
}

struct Attribute {
  const char* path;
  const char* words;  ///< what it may hold: of which kind
  bool shown;         ///< reading it is the same everywhere
};

constexpr Attribute kAttributes[] = {{"drivers/vfio-pci/unbind", "address", false},
                                     {"drivers/vfio-pci/unbind", "address", false},
                                     {"drivers/vfio-pci/bind", "address", false},
                                     {"drivers/vfio-pci/bind", "address", false},
                                     {"drivers/vfio-pci/new_id", "id", false},
                                     {"drivers/vfio-pci/remove_id", "id", false},
                                     {"drivers_probe", "address", false},
                                     {"drivers_autoprobe", "switch", true},
                                     {"devices/DEV/driver_override", "name", true},
                                     {"devices/DEV/driver_override", "name", true},
                                     {"devices/DEV/enable", "switch", false},
                                     {"devices/DEV/reset", "switch", false},
                                     {"devices/DEV/reset_method", "method", false},
                                     {"devices/DEV/msi_bus", "switch", true},
                                     {"devices/DEV/numa_node", "number", true},
                                     {"devices/DEV/broken_parity_status", "switch", true},
                                     {"devices/DEV/uevent", "uevent", false},
                                     {"devices/DEV/vendor", "number", false},
                                     {"rescan", "switch0", false},
                                     {"devices/DEV/rescan", "switch0", false},
                                     {"devices/DEV/remove", "switch0", false},
                                     {"devices/DEV/driver/unbind", "address", false},
                                     {"devices/DEV/config", "number", false},
                                     {"devices/DEV/modalias", "name", false}};

std::string words(const char* kind, Dice& dice) {
  const std::string of = kind;
  std::string text;
  if (of == "address")
    text = dice.mostly<std::string>(
        device, {"", "0000:00:1f.6", "vfio-pci", device.substr(5), device + "x"});
  else if (of == "id")
    text = dice.of<std::string>({"1234 5678", "1234 5678 ffff ffff", "1234", "1234 5678 1 2 3 4",
                                 "zz 1", "", "12345 67890", "0x1234 0x5678", "1234 5678 0 0 0 0 9",
                                 "1af4 1000", "-1 5", "1234  5678"});
  else if (of == "switch")
    text = dice.of<std::string>({"0", "1", "1", "2", "y", "n", "N", "on", "off", "", "-1", "01",
                                 "1x", " 1", "+1", "0x1", "4294967296", "18446744073709551616"});
  else if (of == "switch0")
    text =
        dice.of<std::string>({"0", "0", "00", "x", "", "-1", "0x", "0x0", "18446744073709551616"});
  else if (of == "name")
    text =
        dice.of<std::string>({"vfio-pci", "vfio-pci", "vfio-pci", "", "none", "vfio-pci x",
                              std::string(300, 'a'), "vfio_pci", std::string("vfio-pci\0x", 10)});
  else if (of == "number")
    text = dice.of<std::string>({"0", "0", "1", "2", "2", "9999", "65536", "-1", "", "x", "1 ",
                                 "0x1", "1\n\n", "70000", "4294967297", "+1"});
  else if (of == "method")
    text =
        dice.of<std::string>({"flr", "flr", "bus", "", "default", "flr bus", "nothing", "flr,bus",
                              "  flr", "acpi", "device_specific", "flr flr", "cxl_bus"});
  else
    text = dice.of<std::string>(
        {"add", "remove", "change", "bogus", "add 12345678-1234-1234-1234-123456789abc", "add 1",
         "add 12345678-1234-1234-1234-123456789abc A=1", "", "online", "change x"});
  if (dice.below(3) != 0) text += "\n";
  return text;
}

std::string printable(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '\n' ? "|" : c == '\0' ? "@" : std::string(1, c);
  if (out.size() > 60) out = out.substr(0, 8) + "...";
  const std::size_t at = out.find(device);
  if (at != std::string::npos) out.replace(at, device.size(), "DEV");
  const std::size_t tail = out.find(device.substr(5));
  if (tail != std::string::npos) out.replace(tail, device.size() - 5, "BUS");
  return out;
}

void restore() {
  (void)put(kBus + "rescan", "1\n");
  (void)put(kBus + "drivers_autoprobe", "1\n");
  (void)put(kBus + "drivers/vfio-pci/remove_id", "1234 5678\n");
  (void)put(kBus + "drivers/vfio-pci/remove_id", "1af4 1000\n");
  (void)put(path("devices/DEV/reset_method"), "default\n");
  (void)put(path("devices/DEV/driver_override"), "vfio-pci\n");
  while (atoi(get(path("devices/DEV/enable")).c_str()) > 0 && driver() == "none" &&
         put(path("devices/DEV/enable"), "0\n") > 0) {
  }
  if (driver() == "none") (void)put(kBus + "drivers_probe", device + "\n");
}

void story(Dice& dice) {
  restore();
  printf("driver %s\n", driver().c_str());
  for (int calls = 0; calls < 16; ++calls) {
    const Attribute& attribute =
        kAttributes[dice.below(sizeof(kAttributes) / sizeof(kAttributes[0]))];
    const std::string bytes = words(attribute.words, dice);
    if (bytes.empty()) continue;
    const std::string file = path(attribute.path);
    probe::say_value(put(file, bytes), "%s <- \"%s\"", attribute.path, printable(bytes).c_str());
    printf("  driver %s", driver().c_str());
    if (attribute.shown) printf(" holds %s", printable(get(file)).c_str());
    puts("");
  }
  restore();
}

}  // namespace

int main(int argc, char** argv) {
  device = strrchr(probe::sysfs_dir(), '/') + 1;
  return probe::stories(argc, argv, 12, story);
}
