#include "guest/intercept.h"

namespace teeio::guest {
namespace {

using Kind = Intercept::Kind;

struct Prefixes {
  bool operand_size = false;
  std::uint8_t repeat = 0;  ///< 0xf2 or 0xf3, the last of them
  std::uint8_t rex = 0;
  bool address_size = false;
  std::uint8_t segment = 0;
};

Intercept make(Kind kind, std::size_t length) {
  Intercept found;
  found.kind = kind;
  found.length = static_cast<std::uint8_t>(length);
  return found;
}

Intercept io(std::uint8_t opcode, const Prefixes& prefixes, CodeSize size, std::size_t at,
             std::span<const std::uint8_t> code) {
  const bool in_dx = (opcode & 8U) != 0;
  Intercept found = make((opcode & 2U) != 0 ? Kind::kOut : Kind::kIn, at + (in_dx ? 1 : 2));
  const bool wide = (size == CodeSize::k16) == prefixes.operand_size;
  found.size = (opcode & 1U) == 0 ? 1 : (wide ? 4 : 2);
  found.port_in_dx = in_dx;
  if (!in_dx) found.port = at + 1 < code.size() ? code[at + 1] : 0;
  return found;
}

Intercept string_io(std::uint8_t opcode, const Prefixes& prefixes, CodeSize size, std::size_t at) {
  Intercept found = make((opcode & 2U) != 0 ? Kind::kOut : Kind::kIn, at + 1);
  const bool wide = (size == CodeSize::k16) == prefixes.operand_size;
  found.size = (opcode & 1U) == 0 ? 1 : (wide ? 4 : 2);
  found.port_in_dx = true;
  found.string = true;
  found.repeated = prefixes.repeat != 0;
  found.address_size = prefixes.address_size;
  found.segment = prefixes.segment;
  return found;
}

/// Group 7 (0F 01): TDCALL, INVLPG, the instructions of SEV guests and hosts, and the calls
/// to other hypervisors.
Intercept group7(std::uint8_t modrm, const Prefixes& prefixes, std::size_t at) {
  constexpr std::uint8_t kTdcallByte = 0xcc;
  constexpr std::uint8_t kVmcall = 0xc1;
  constexpr std::uint8_t kVmmcall = 0xd9;
  constexpr std::uint8_t kFirstOfRmp = 0xfd;  // RMPQUERY; RMPADJUST, RMPUPDATE; PSMASH, PVALIDATE
  constexpr std::uint8_t kF2 = 0xf2;
  constexpr std::uint8_t kF3 = 0xf3;
  // Either prefix makes VMMCALL a VMGEXIT.
  if (modrm == kVmmcall && prefixes.repeat != 0) return make(Kind::kVmgexit, at + 1);
  if (modrm == 0xff && prefixes.repeat == kF2) return make(Kind::kPvalidate, at + 1);
  if (modrm == 0xfe && prefixes.repeat == kF3) return make(Kind::kRmpadjust, at + 1);
  if (modrm >= kFirstOfRmp && prefixes.repeat != 0) return make(Kind::kUnsupported, at + 1);
  if (modrm == kTdcallByte && prefixes.operand_size) return make(Kind::kTdcall, at + 1);
  if (modrm == kVmcall || modrm == kVmmcall) return make(Kind::kHypercall, at + 1);
  const bool invlpg = ((modrm >> 3U) & 7U) == 7 && modrm < 0xc0;
  return invlpg ? make(Kind::kInvalidate, 0) : Intercept{};
}

Intercept two_byte(std::span<const std::uint8_t> code, std::size_t at, const Prefixes& prefixes) {
  if (at >= code.size()) return {};
  const std::uint8_t opcode = code[at];
  const bool has_modrm = at + 1 < code.size();
  switch (opcode) {
    case 0x01:
      return has_modrm ? group7(code[at + 1], prefixes, at + 1) : Intercept{};
    case 0x20:
    case 0x22: {
      if (!has_modrm) return {};
      const std::uint8_t modrm = code[at + 1];
      Intercept found = make(opcode == 0x20 ? Kind::kReadControl : Kind::kWriteControl, at + 2);
      found.control =
          static_cast<std::uint8_t>(((modrm >> 3U) & 7U) | ((prefixes.rex & 4U) != 0 ? 8U : 0U));
      found.reg = static_cast<std::uint8_t>((modrm & 7U) | ((prefixes.rex & 1U) != 0 ? 8U : 0U));
      return found;
    }
    case 0x30:
      return make(Kind::kWriteMsr, at + 1);
    case 0x31:
      return make(Kind::kReadTsc, at + 1);
    case 0x32:
      return make(Kind::kReadMsr, at + 1);
    case 0xa2:
      return make(Kind::kCpuid, at + 1);
    default:
      return {};
  }
}

}  // namespace

Intercept classify(std::span<const std::uint8_t> code, CodeSize size) {
  Prefixes prefixes;
  for (std::size_t at = 0; at < code.size(); ++at) {
    const std::uint8_t byte = code[at];
    switch (byte) {
      case 0x66:
        prefixes.operand_size = true;
        continue;
      case 0xf2:
      case 0xf3:
        prefixes.repeat = byte;
        continue;
      case 0x0f:
        return two_byte(code, at + 1, prefixes);
      case 0xf4:
        return make(Kind::kHalt, at + 1);
      case 0x6c:
      case 0x6d:
      case 0x6e:
      case 0x6f:
        return string_io(byte, prefixes, size, at);
      case 0xe4:
      case 0xe5:
      case 0xe6:
      case 0xe7:
      case 0xec:
      case 0xed:
      case 0xee:
      case 0xef:
        return io(byte, prefixes, size, at, code);
      default:
        break;
    }
    if (size == CodeSize::k64 && (byte & 0xf0U) == 0x40U) {
      prefixes.rex = byte;
      continue;
    }
    const bool segment = byte == 0x2e || byte == 0x36 || byte == 0x3e || byte == 0x26 ||
                         byte == 0x64 || byte == 0x65;
    if (segment) prefixes.segment = byte;
    if (byte == 0x67) prefixes.address_size = true;
    constexpr std::uint8_t kLock = 0xf0;
    if (!segment && byte != 0x67 && byte != kLock) return {};
  }
  return {};
}

}  // namespace teeio::guest
