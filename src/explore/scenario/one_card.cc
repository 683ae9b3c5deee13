// Two functions of one card, which share a DSM, and two cards.

#include <set>
#include <string>

#include "base/check.h"
#include "entry/system_calls.h"
#include "explore/scenario/opponents.h"
#include "explore/scenario/stage.h"
#include "explore/scenario/themes.h"
#include "host/vfio/device.h"

namespace teeio::explore {
namespace {

using machine::Config;

void bind_two(const Config& design) {
  Stage stage(design);
  Vmm& first = stage.ready(kVf0);
  Vmm& second = stage.ready(kVf1);
  Result<void> bound[2];
  stage.play({{"first", [&] { bound[0] = stage.bind(first); }},
              {"second", [&] { bound[1] = stage.bind(second); }}});
  TEEIO_CHECK(bound[0].has_value() && bound[1].has_value(),
              "two functions of a card were bound at once, and one was refused");
}

void unbind_two(const Config& design) {
  Stage stage(design);
  Vmm& first = stage.bound(kVf0);
  Vmm& second = stage.bound(kVf1);
  stage.play({{"first", [&] { (void)stage.unbind(first); }},
              {"second", [&] { (void)stage.unbind(second); }}});
  TEEIO_CHECK(works_as_shared(first) && works_as_shared(second),
              "R10: a function was unbound and does not work as a shared device");
}

/// A function-level reset clears the DOE mailbox that tsm/disconnect talks through:
/// the answer may be lost, and the disconnection comes to its end all the same.
void reset_against_disconnect(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.ready();
  stage.mount_sysfs();
  Result<void> done;
  stage.play({{"vmm", [&] { (void)vmm.ioctl(vmm.vfio, VFIO_DEVICE_RESET, std::uint64_t{0}); }},
              {"root", [&] { done = disconnect(stage.root()); }}});
  TEEIO_CHECK(done.has_value(), "a reset kept the card connected");
}

/// A session's end and the next one's beginning: nothing of the first is in the second.
void connect_again(const Config& design) {
  Stage stage(design);
  stage.mount_sysfs();
  stage.play();
  must(disconnect(stage.root()));
  must(connect(stage.root()));
}

/// Those of host bridges; each TSM has its own.
std::size_t stream_links(machine::Machine& machine) {
  std::set<std::string> names;
  for (const auto& node : machine.system_calls().tree()) {
    const std::size_t slash = node.path.rfind('/');
    if (node.type == entry::SystemCalls::Node::Type::kSymlink &&
        node.path.starts_with("/sys/devices/pci") && node.path.compare(slash + 1, 6, "stream") == 0)
      names.insert(node.path);
  }
  return names.size();
}

void connect_two_cards(const Config& design) {
  const Config two = with_second_card(design);
  Stage stage(two, Stage::Card::kAsAtBoot);
  stage.mount_sysfs();
  constexpr std::string_view kSecondCard = "/sys/devices/pci0000:00/0000:00:09.0/0000:09:00.0";
  Result<std::size_t> connected[2];
  const auto connect = [&](machine::Program& shell, std::string_view card) {
    return shell.echo("tsm0\n", std::string(card) + "/tsm/connect");
  };
  machine::Program& other = stage.vmm();  // another shell
  stage.play({{"first", [&] { connected[0] = connect(stage.root(), kCard); }},
              {"second", [&] { connected[1] = connect(other, kSecondCard); }}});
  TEEIO_CHECK(connected[0].has_value() && connected[1].has_value(),
              "two cards were connected at once, and one was refused");
  TEEIO_CHECK(stream_links(stage.machine()) == 2, "two IDE streams do not have two links");
}

}  // namespace

void add_one_card_scenarios(std::vector<MachineScenario>& all) {
  all.push_back({.name = "card/bind-two-functions",
                 .description = "two functions of a card are bound to two VMs at the same time",
                 .body = bind_two});
  all.push_back({.name = "card/unbind-two-functions",
                 .description = "two functions of a card are unbound, and both work again",
                 .body = unbind_two});
  all.push_back({.name = "card/reset-against-disconnect",
                 .description = "VFIO_DEVICE_RESET of function 0 against tsm/disconnect",
                 .body = reset_against_disconnect});
  all.push_back({.name = "card/connect-again",
                 .description = "a card is disconnected and connected again, with new keys",
                 .body = connect_again});
  all.push_back({.name = "card/connect-two-cards",
                 .description = "two cards are connected, and each stream has its link",
                 .body = connect_two_cards});
}

}  // namespace teeio::explore
