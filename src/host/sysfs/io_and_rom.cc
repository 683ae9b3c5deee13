#include "host/sysfs/io_and_rom.h"

#include <functional>
#include <string>

#include "host/sysfs/settings.h"
#include "host/sysfs/text.h"
#include "host/sysfs/topology.h"

namespace teeio::sysfs {
namespace {

using object::HostTouch;

/// What all accesses are checked for; 0: at the end.
Result<std::size_t> port_access(const hw::Bar& bar, std::uint64_t offset, std::size_t size) {
  if (offset >= bar.size) return 0;
  if (size > bar.size - offset) return fail(Errno::kInval, "beyond the last port");
  if (size != 1 && size != 2 && size != 4)
    return fail(Errno::kInval, "a port access has 1, 2 or 4 bytes");
  return size;
}

/// An access that nobody was asked about: R4's fact if the function is bound.
void reach(const Environment& environment, Bdf bdf, HostTouch how,
           const std::function<void()>& access) {
  environment.host.reach(bdf, [&](bool bound) {
    access();
    if (!bound) return;
    environment.host.trace().fact(object::Lane::kVmm, object::Fact::kHostTouched,
                                  "ports reached through sysfs",
                                  {.function = bdf, .a = static_cast<std::uint64_t>(how)});
  });
}

}  // namespace

void add_io_bar(NodeList& list, const Environment& environment, const std::string& path, Bdf bdf,
                const hw::Bar& bar) {
  list.binary(
      path, 0600, bar.size,
      [&environment, bdf, &bar](std::uint64_t offset,
                                std::span<std::byte> out) -> Result<std::size_t> {
        TEEIO_ASSIGN(const std::size_t size, port_access(bar, offset, out.size()));
        if (size == 0) return 0;
        reach(environment, bdf, HostTouch::kRead, [&] { bar.target->mmio_read(offset, out); });
        return size;
      },
      [&environment, bdf, &bar](std::uint64_t offset, ByteView in) -> Result<std::size_t> {
        TEEIO_ASSIGN(const std::size_t size, port_access(bar, offset, in.size()));
        if (size == 0) return 0;
        reach(environment, bdf, HostTouch::kWrite, [&] { bar.target->mmio_write(offset, in); });
        return size;
      });
}

void add_rom(NodeList& list, const Environment& environment, const std::string& directory,
             hw::PciFunction& function) {
  const hw::Bar* const rom = function.rom();
  if (rom == nullptr) return;
  list.binary(
      directory + "/rom", 0600, rom->size,
      [&environment, &function](std::uint64_t offset,
                                std::span<std::byte> out) -> Result<std::size_t> {
        if (!environment.settings.of(function.bdf()).rom_enabled)
          return fail(Errno::kInval, "the ROM is read after 1 was written to it");
        return environment.host.read_rom(function.bdf(), offset, out);
      },
      [&environment, &function](std::uint64_t offset, ByteView in) -> Result<std::size_t> {
        (void)offset;  // Linux looks at none
        const std::string text(reinterpret_cast<const char*>(in.data()), in.size());
        TEEIO_ASSIGN(const bool enabled, parse_truth(text));
        environment.settings.change(function.bdf(),
                                    [&](FunctionSettings& s) { s.rom_enabled = enabled; });
        return in.size();
      });
}

}  // namespace teeio::sysfs
