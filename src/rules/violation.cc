#include "rules/violation.h"

#include <fmt/format.h>

#include <array>

#include "base/check.h"
#include "object/event_text.h"

namespace teeio::rules {
namespace {

constexpr std::array kRules = {
    RuleText{RuleId::kR1, "private MMIO is mapped without a locked TDI",
             "private MMIO is mapped in a secure table only while its TDI is LOCKED or RUN, or "
             "being torn down in the vendor's order",
             "TDISP ECN 2022-07-27, 11.2; TDX Connect TDH.MMIO.MAP; RMM RMI_VDEV_MAP"},
    RuleText{RuleId::kR2, "teardown is in the wrong order",
             "stop, unmap, DMA off and metadata free happen in the vendor's order",
             "TDX Connect: stop, unmap, DMA off, free; Arm RMM: unmap, DMA off, stop, free; "
             "Linux vfio_df_device_last_close() resets first"},
    RuleText{RuleId::kR3, "a VM is destroyed under its device",
             "no VM is destroyed while it has a vPCI device",
             "TDX: a TD has children while a DEVIF exists; RMM: REALM_DESTROY needs no VDEV"},
    RuleText{RuleId::kR4, "the host reaches a bound device",
             "the host reaches no bound device: no live mapping, read, write, config write with "
             "effect, reset; no program writes to the mailbox of a connected DSM",
             "TDISP ECN 11.2.6; linux-coco, \"Host side (KVM/VFIO/IOMMUFD) support for TDISP\", "
             "2025-06; Linux drivers/pci/doe.c, pci_doe_send_req()"},
    RuleText{RuleId::kR5, "a reference is lost",
             "every reference taken is dropped; nothing is used after its last put",
             "Linux iommufd_object_remove(), fput()"},
    RuleText{RuleId::kR6, "an object outlives what it stands on",
             "a vDEVICE never outlives its idevice, nor a vIOMMU its VM file",
             "Linux iommufd_device_pre_destroy(), \"iommufd: Destroy vdevice on idevice destroy\""},
    RuleText{RuleId::kR7, "DMA reaches memory of the wrong kind",
             "T=1 DMA reaches only the bound VM's private memory, T=0 DMA only shared memory",
             "PCIe Base Spec, T bit; VT-d trusted root table"},
    RuleText{RuleId::kR8, "a key or sequence number is used twice",
             "no IDE key and no sequence number of a secured message is used twice",
             "PCIe IDE, AES-GCM needs a fresh key for each invocation field; DSP0277, 2"},
    RuleText{RuleId::kR9, "a TDI runs that its guest did not start",
             "a TDI reaches RUN only through LOCKED and the guest's own start request with the "
             "lock's nonce",
             "TDISP ECN figure 11-5 and 11.3.9"},
    RuleText{RuleId::kR10, "a device is left unusable after unbind",
             "after unbind the device works as a shared device", "TDISP ECN 11.2, CONFIG_UNLOCKED"},
};

void append_actor(std::string& out, const object::Origin& origin) {
  if (origin.pid == 0) {
    out += "    by the machine itself\n";
    return;
  }
  if (origin.tid == 0) {  // whoever closed last is not known, and may have died of it
    out += fmt::format("    in {} of a file that process {} opened\n", origin.call, origin.pid);
    return;
  }
  out += fmt::format("    by process {}, thread {}", origin.pid, origin.tid);
  if (!origin.call.empty()) out += fmt::format(", in {}", origin.call);
  if (origin.fd >= 0) out += fmt::format(" on fd {}", origin.fd);
  out += '\n';
}

std::string numbered(const Evidence& line) {
  return line.seq == 0 ? line.text : fmt::format("[{}] {}", line.seq, line.text);
}

}  // namespace

const RuleText& rule_text(RuleId id) {
  const auto index = static_cast<std::size_t>(id) - 1;
  TEEIO_CHECK(index < kRules.size() && kRules[index].id == id, "every rule has its text");
  return kRules[index];
}

Evidence Evidence::of(const object::Event& event) { return {event.seq, object::event_text(event)}; }

std::string violation_text(const Violation& violation) {
  const RuleText& rule = rule_text(violation.rule);
  const auto number = static_cast<unsigned>(violation.rule);
  std::string out(65, '=');
  out += fmt::format("\nERROR: teeio: R{} {}: {}\n", number, rule.title, violation.what);
  append_actor(out, violation.origin);
  for (std::size_t i = 0; i < violation.stack.size(); ++i)
    out += fmt::format("    #{} {}\n", i, numbered(violation.stack[i]));
  if (!violation.events.empty()) out += "  events that led there:\n";
  for (const Evidence& line : violation.events) out += fmt::format("    {}\n", numbered(line));
  out += fmt::format("  rule: {}\n  source: {}\n", rule.sentence, rule.source);
  out += fmt::format("SUMMARY: teeio: R{} {}\n", number, violation.what);
  return out;
}

}  // namespace teeio::rules
