// A machine file is a person's input: each mistake gets file, line, key and what
// is allowed there.

#include "machine/config.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "machine/tee_cards.h"
#include "unit/machine/make_machine.h"

namespace teeio::machine {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

/// A small machine; the line numbers of the tests below count in it.
constexpr std::string_view kGood = R"(name = "small"
tsm = "tdx"
memory_mib = 64
iommus = 1

[policies]
close_order = "mainline"

[[root_port]]
bdf = "0000:00:01.0"
bus = 1
window = 0x380000000000
window_mib = 64
iommu = 0

[[card]]
model = "plain"
bdf = "0000:01:00.0"
window = 0x380000000000
)";

std::string problem_of(std::string text) {
  const auto config = parse_config(text, "m.toml");
  return config ? "it was accepted" : config.error();
}

std::string problem_with(std::string_view from, std::string_view to) {
  std::string text(kGood);
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return problem_of(text.replace(at, from.size(), to));
}

TEST(Config, AnUnknownKeyIsNamedWithTheNearest) {
  EXPECT_THAT(problem_with("memory_mib", "memory_mb"),
              StartsWith("m.toml:3: key \"memory_mb\": no such key here; is it \"memory_mib\"? "
                         "known: abi, card, "));
  EXPECT_THAT(problem_with("iommus", "xyzzy"), HasSubstr("no such key here; known: abi, card, "));
}

TEST(Config, ANameIsOneLineOfText) {
  for (const char* name : {"\"\"", "\"a\\nok 2\"", "\"\\u001b[31m\"", "\"\\u007f\""})
    EXPECT_THAT(problem_with("\"small\"", name),
                StartsWith("m.toml:1: key \"name\": must be a text without control characters"))
        << name;
  EXPECT_EQ(problem_with("\"small\"", "\"of two words, é\""), "it was accepted");
}

TEST(Config, EveryBuiltinMachineParsesAndIsMade) {
  EXPECT_GE(builtin_machines().size(), 2U);
  for (const std::string_view name : builtin_machines()) {
    const auto config = parse_config(builtin_machine(name), name);
    ASSERT_TRUE(config.has_value()) << config.error();
    EXPECT_EQ(config->name, name);
    EXPECT_TRUE(Machine::create(*config).has_value()) << name;
  }
}

TEST(Config, NoBuiltinMachineOfAnotherNameIsEmpty) {
  EXPECT_TRUE(builtin_machine("no-such").empty());
}

TEST(Config, ABuiltinMachineHasItsNameAndWordsOfIt) {
  EXPECT_EQ(builtin_name(""), kDefaultMachine);
  EXPECT_EQ(builtin_name("cca"), "arm-cca-slice");
  EXPECT_EQ(builtin_name("amd-sev"), "amd-sev");
  EXPECT_EQ(builtin_name("cc"), "");
}

TEST(Config, SmallMachineIsAccepted) {
  const auto config = parse_config(kGood, "m.toml");
  ASSERT_TRUE(config.has_value()) << config.error();
  EXPECT_EQ(config->memory_bytes, std::uint64_t{64} << 20U);
  EXPECT_EQ(config->vfio.close_order, vfio::CloseOrder::kMainline);
  EXPECT_EQ(config->vfio.while_bound, vfio::WhileBound::kBlock);
}

TEST(Config, SyntaxErrorNamesFileAndLine) {
  EXPECT_THAT(problem_with("memory_mib = 64", "memory_mib = "), StartsWith("m.toml:3: "));
}

TEST(Config, UnknownKeyNamesTheKnownOnes) {
  const std::string problem = problem_with("memory_mib", "memory_gib");
  EXPECT_THAT(problem, StartsWith("m.toml:3: key \"memory_gib\": "));
  EXPECT_THAT(problem, HasSubstr("memory_mib"));
}

TEST(Config, UnknownKeyOfATableIsFoundInItsLine) {
  EXPECT_THAT(problem_with("bus = 1", "bus = 1\ncolour = 3"),
              StartsWith("m.toml:12: key \"colour\": "));
}

TEST(Config, MissingKeyIsNamed) {
  EXPECT_THAT(problem_with("tsm = \"tdx\"\n", ""),
              StartsWith("m.toml:1: key \"tsm\": is missing here"));
  EXPECT_THAT(problem_with("bdf = \"0000:01:00.0\"\n", ""),
              StartsWith("m.toml:16: key \"bdf\": is missing here"));
}

TEST(Config, WrongChoiceNamesEveryRightOne) {
  EXPECT_EQ(problem_with("\"mainline\"", "\"linux\""),
            "m.toml:7: key \"close_order\": must be one of \"unbind-first\", \"mainline\"");
  EXPECT_THAT(problem_with("tsm = \"tdx\"", "tsm = \"sgx\""),
              HasSubstr("must be one of \"none\", \"tdx\", \"cca\""));
  EXPECT_THAT(problem_with("tsm = \"tdx\"", "tsm = 3"), HasSubstr("key \"tsm\": must be one of"));
}

TEST(Config, ArmsMonitorAndItsDriverHaveTheirVariants) {
  EXPECT_THAT(problem_with("iommus = 1", "rmm_defects = \"some\""), HasSubstr("as-9a7f8ef4"));
  EXPECT_THAT(problem_with("iommus = 1", "cca_bind = \"run\""), HasSubstr("unlocked"));
  std::string text(builtin_machine("arm-cca-slice"));
  const auto set = [&](std::string_view from, std::string_view to) {
    text.replace(text.find(from), from.size(), to);
  };
  set("rmm_defects = \"none\"", "rmm_defects = \"as-9a7f8ef4\"");
  set("cca_bind = \"unlocked\"", "cca_bind = \"locked\"");
  const auto config = parse_config(text, "m.toml");
  ASSERT_TRUE(config.has_value()) << config.error();
  EXPECT_TRUE(config->rmm_defects);
  EXPECT_TRUE(config->cca_locks);
  EXPECT_TRUE(Machine::create(*config).has_value());
}

TEST(Config, TheTdxModuleHasOneOfTwoApis) {
  EXPECT_EQ(problem_with("iommus = 1", "tdx_api = \"g4\""),
            "m.toml:4: key \"tdx_api\": must be one of \"g3\", \"g2\"");
  std::string text(builtin_machine("tdx-connect"));
  const auto shown = [&] {
    auto config = parse_config(text, "m.toml");
    EXPECT_TRUE(config.has_value());
    return (*Machine::create(*config))->show();
  };
  EXPECT_THAT(shown(), HasSubstr("TSM tdx (tdx_api = \"g3\")"));
  text.erase(text.find("# tdx_api"), 2);
  EXPECT_THAT(shown(), HasSubstr("TSM tdx (tdx_api = \"g2\")"));
  std::string arm(builtin_machine("arm-cca-slice"));
  arm.replace(arm.find("cca_bind = \"unlocked\""), 21, "tdx_api = \"g3\"");
  EXPECT_THAT(problem_of(arm), HasSubstr("left out: this machine's `tsm` is not \"tdx\""));
}

TEST(Config, KeysThatWouldChangeNothingAreRefused) {
  EXPECT_THAT(problem_with("iommus = 1", "rmm_defects = \"none\""),
              HasSubstr("left out: this machine's `tsm` is not \"cca\""));
  std::string text(kGood);
  text.replace(text.find("tdx"), 3, "none");
  text.replace(text.find("close_order = \"mainline\""), 24, "bind_owner = \"vdevice\"");
  EXPECT_EQ(problem_of(text),
            "m.toml:7: key \"bind_owner\": must be \"any\": without a `tsm` nothing binds");
}

TEST(Config, ABindOwnerThatTheAbiHasNotIsNamedWhereItStands) {
  std::string text(builtin_machine("tdx-connect"));
  const auto set = [&](std::string_view key, std::string_view to) {
    const std::size_t at = text.find(std::string(key) + " = ") + key.size() + 3;
    text.replace(at, text.find_first_of(" \n", at) - at, to);
  };
  set("abi", "\"iommufd-v7\"");
  set("bind_owner", "\"vfio\"");
  const auto config = parse_config(text, "m.toml");
  ASSERT_FALSE(config.has_value());
  EXPECT_THAT(config.error(), HasSubstr("key \"bind_owner\": must be \"any\" or \"vdevice\""));
}

TEST(Config, NumberOutOfRangeNamesTheRange) {
  for (const std::string_view bad : {"memory_mib = 0", "memory_mib = 15", "memory_mib = 1048577",
                                     "memory_mib = -1", "memory_mib = 1.5", "memory_mib = \"64\""})
    EXPECT_EQ(problem_with("memory_mib = 64", bad),
              "m.toml:3: key \"memory_mib\": must be a number from 16 to 1048576")
        << bad;
}

TEST(Config, IommuOfAPortMustExist) {
  EXPECT_EQ(problem_with("iommu = 0", "iommu = 1"), "m.toml:14: key \"iommu\": must be 0");
}

TEST(Config, BadAddressShowsAGoodOne) {
  for (const std::string_view bad : {"\"01:00\"", "\"0000:01:00.8\"", "\"0000:01:20.0\"", "7"})
    EXPECT_THAT(problem_with("\"0000:01:00.0\"", bad),
                HasSubstr("key \"bdf\": must be a PCI address such as \"0000:01:00.0\""))
        << bad;
}

TEST(Config, FlagIsTrueOrFalse) {
  EXPECT_THAT(problem_with("bus = 1", "bus = 1\ntee_io = 1"),
              StartsWith("m.toml:12: key \"tee_io\": must be true or false"));
}

TEST(Config, CardsMemoryHasASizeThatABarCanHave) {
  const auto with = [](std::string_view line) {
    return problem_with("model = \"plain\"", "model = \"dma-engine\"\n" + std::string(line));
  };
  EXPECT_THAT(with("memory_kib = 96"), HasSubstr("no power of two"));
  EXPECT_THAT(with("memory_kib = 32"), HasSubstr("must be a number from 64 to 1024"));
}

TEST(Config, ACardHasPasidsWhereTheFileSaysSo) {
  const auto bits = [](std::string_view line) {
    std::string text(kGood);
    text.replace(text.find("model = \"plain\""), 15,
                 "model = \"dma-engine\"\n" + std::string(line));
    return parse_config(text, "m.toml").value().cards.at(0).pasid_bits;
  };
  EXPECT_EQ(bits(""), 0U);
  EXPECT_EQ(bits("pasid_bits = 20"), 20U);
  EXPECT_THAT(problem_with("model = \"plain\"", "model = \"dma-engine\"\npasid_bits = 21"),
              HasSubstr("must be a number from 0 to 20"));
}

TEST(Config, TeeCardSaysHowFirmwareTalksToIt) {
  const auto channel_of = [](std::string_view line) {
    std::string text(kGood);
    text.replace(text.find("model = \"plain\""), 15,
                 "model = \"dma-engine\"\n" + std::string(line));
    return parse_config(text, "m.toml").value().cards.at(0).spdm;
  };
  EXPECT_EQ(channel_of("spdm = \"plain\""), SpdmChannel::kPlain);
  EXPECT_EQ(channel_of("spdm = \"session\""), SpdmChannel::kSession);
  EXPECT_THAT(problem_with("model = \"plain\"", "model = \"dma-engine\"\nspdm = \"tls\""),
              HasSubstr("must be one of \"plain\", \"session\""));
}

TEST(Config, TableWhereAListIsWantedIsRefused) {
  EXPECT_THAT(problem_with("[[card]]", "[card]"), HasSubstr("key \"card\": must be a list"));
  EXPECT_THAT(problem_with("[policies]\nclose_order = \"mainline\"", "policies = 1"),
              HasSubstr("key \"policies\": must be a table"));
}

/// kGood with another root port, of line 21, and a card below it.
std::string problem_with_second(std::string_view port, std::string_view card = "") {
  return problem_of(std::string(kGood) + "\n[[root_port]]\n" + std::string(port) +
                    std::string(card));
}

constexpr std::string_view kSecondPort =
    "bdf = \"0000:00:02.0\"\nbus = 2\nwindow = 0x380010000000\nwindow_mib = 16\n";

TEST(Config, WindowsThatOverlapAreRefusedWithBothLines) {
  EXPECT_EQ(problem_with_second("bdf = \"0000:00:02.0\"\nbus = 2\nwindow = 0x380003f00000\n"
                                "window_mib = 16\n"),
            "m.toml:21: root port 0000:00:02.0: 0x380003f00000 to 0x380004efffff overlaps "
            "0x380000000000 to 0x380003ffffff of root port 0000:00:01.0 in line 9");
  EXPECT_EQ(problem_with_second(kSecondPort), "it was accepted");
}

TEST(Config, OneBusBelowTwoPortsIsRefused) {
  EXPECT_THAT(problem_with_second("bdf = \"0000:00:02.0\"\nbus = 1\nwindow = 0x380010000000\n"
                                  "window_mib = 16\n"),
              HasSubstr("bus 1 is already that of the root port in line 9"));
}

TEST(Config, WindowsAreAlignedAndEndBelowTheLastAddress) {
  EXPECT_THAT(
      problem_with("window = 0x380000000000\nwindow_mib", "window = 0x380000000800\nwindow_mib"),
      StartsWith("m.toml:9: root port 0000:00:01.0: the window is not aligned to 1 MiB"));
  EXPECT_THAT(
      problem_with("window = 0x380000000000\nwindow_mib", "window = 0x3fffff000000\nwindow_mib"),
      HasSubstr("ends above 0x3fffffffffff"));
  EXPECT_THAT(problem_with("window = 0x380000000000\nwindow_mib", "window = 0x100000\nwindow_mib"),
              HasSubstr("must be a number from 0x100000000000 to 0x3fffffffffff"));
}

TEST(Config, ARootPortsDeviceHasAFunction0) {
  EXPECT_EQ(problem_with("0000:00:01.0", "0000:00:01.3"),
            "m.toml:9: root port 0000:00:01.3: there is no function 0 at 0000:00:01.0");
  EXPECT_EQ(problem_with_second("bdf = \"0000:00:01.1\"\nbus = 2\nwindow = 0x380010000000\n"
                                "window_mib = 16\n"),
            "it was accepted");
}

TEST(Config, RootPortsAreOnBusZeroOfTheOneDomain) {
  EXPECT_THAT(problem_with("0000:00:01.0", "0000:03:01.0"), HasSubstr("a root port is on bus 00"));
  EXPECT_THAT(problem_with("0000:00:01.0", "0001:00:01.0"), HasSubstr("domain 0000 alone"));
}

constexpr std::string_view kSecondCard =
    "\n[[card]]\nmodel = \"plain\"\nbdf = \"0000:01:01.0\"\nwindow = ";

TEST(Config, CardsWhoseBarsOverlapAreRefused) {
  EXPECT_THAT(
      problem_of(std::string(kGood) + std::string(kSecondCard) + "0x380000000000\n"),
      StartsWith("m.toml:21: card 0000:01:01.0: 0x380000000000 to 0x38000000ffff overlaps "));
  EXPECT_EQ(problem_of(std::string(kGood) + std::string(kSecondCard) + "0x380000100000\n"),
            "it was accepted");
}

TEST(Config, TwoCardsOfOneSerialNumberAreRefused) {
  const std::string first = "model = \"dma-engine\"\nserial = 0x11\n";
  const std::string second =
      "[[card]]\nmodel = \"dma-engine\"\nbdf = \"0000:02:00.0\"\nwindow = 0x380010000000\n";
  std::string text(kGood);
  text.replace(text.find("model = \"plain\"\n"), 16, first);
  text += "\n[[root_port]]\n" + std::string(kSecondPort) + second;
  EXPECT_EQ(problem_of(text + "serial = 0x11\n"),
            "m.toml:31: key \"serial\": must be another than that in line 18");
  EXPECT_EQ(problem_of(text + "serial = 0x12\n"), "it was accepted");
}

TEST(Config, VfsHaveRoomOnTheirBusAndBesideOtherCards) {
  const std::string many = "model = \"dma-engine\"\nvfs = 20\nmemory_kib = 64";
  EXPECT_THAT(
      problem_with("model = \"plain\"\nbdf = \"0000:01:00.0\"", many + "\nbdf = \"0000:01:1f.0\""),
      HasSubstr("20 VFs go beyond its bus"));
  std::string text(kGood);
  text.replace(text.find("model = \"plain\""), 15, many);
  EXPECT_THAT(problem_of(text + std::string(kSecondCard) + "0x380003000000\n"),
              HasSubstr("two functions at 0000:01:01.0, the other of line 16"));
}

TEST(Config, BarsEndInTheWindow) {
  EXPECT_THAT(problem_with("model = \"plain\"", "model = \"dma-engine\"\nvfs = 128"),
              HasSubstr("the window of 0000:00:01.0 does not hold its BARs"));
}

TEST(Config, MachineOfTheLeastMemoryIsMade) {
  const auto config = parse_config(
      std::string(kGood).replace(kGood.find("memory_mib = 64"), 15, "memory_mib = 16"), "m.toml");
  ASSERT_TRUE(config.has_value()) << config.error();
  EXPECT_TRUE(Machine::create(*config).has_value());
}

TEST(Config, TwoFunctionsAtOneAddressAreRefused) {
  EXPECT_THAT(problem_with("bdf = \"0000:01:00.0\"", "bdf = \"0000:00:01.0\""),
              StartsWith("m.toml:16: two functions at 0000:00:01.0, the other of line 9"));
}

constexpr std::string_view kPlainCard = "model = \"plain\"\nbdf = \"0000:01:00.0\"";

TEST(Config, AVfAtAnotherCardsAddressIsRefused) {
  EXPECT_THAT(problem_with(kPlainCard,
                           "model = \"dma-engine\"\nvfs = 8\nbdf = \"0000:01:00.0\"\n"
                           "window = 0x380000000000\n"
                           "[[card]]\nmodel = \"plain\"\nbdf = \"0000:01:01.0\""),
              HasSubstr("two functions at 0000:01:01.0"));
}

TEST(Config, VfsBehindTheLastAddressOfTheBusAreRefused) {
  EXPECT_THAT(problem_with(kPlainCard, "model = \"dma-engine\"\nvfs = 8\nbdf = \"0000:01:1f.0\""),
              StartsWith("m.toml:16: card 0000:01:1f.0: 8 VFs go beyond its bus"));
}

TEST(Config, AnotherPciDomainIsRefused) {
  EXPECT_THAT(problem_with("0000:01:00.0", "0001:01:00.0"),
              StartsWith("m.toml:16: card 0001:01:00.0: the machine has PCI domain 0000 alone"));
}

TEST(Config, CardBelowNoPortIsRefused) {
  EXPECT_THAT(problem_with("bdf = \"0000:01:00.0\"", "bdf = \"0000:05:00.0\""),
              HasSubstr("card 0000:05:00.0 lies below no root port"));
}

std::string with_namespaces(std::string_view namespaces) {
  std::string text(kGood);
  text.replace(text.find("\"plain\""), 7, "\"nvme\"");
  return text + std::string(namespaces);
}

TEST(Config, NamespacesOfAnNvmeCardAreAFileOrMemory) {
  const auto config = parse_config(
      with_namespaces("[[card.namespace]]\nfile = \"a.img\"\n[[card.namespace]]\nmib = 8\n"), "m");
  ASSERT_TRUE(config.has_value()) << config.error();
  ASSERT_EQ(config->cards[0].namespaces.size(), 2U);
  EXPECT_EQ(config->cards[0].namespaces[0].file, "a.img");
  EXPECT_EQ(config->cards[0].namespaces[0].bytes, 0U);
  EXPECT_EQ(config->cards[0].namespaces[1].bytes, 8U << 20U);
}

TEST(Config, NamespacesThatCannotBeAreRefused) {
  const auto problem = [](std::string_view text) { return problem_of(with_namespaces(text)); };
  EXPECT_THAT(problem("[[card.namespace]]\n"), HasSubstr("key \"mib\": is missing"));
  EXPECT_THAT(problem("[[card.namespace]]\nmib = 0\n"), HasSubstr("key \"mib\": must be"));
  EXPECT_THAT(problem("[[card.namespace]]\nfile = \"\"\n"), HasSubstr("not empty"));
  EXPECT_THAT(problem("[[card.namespace]]\nmib = 1\nfunction = 1\n"),
              HasSubstr("key \"function\": must be 0"));
  EXPECT_THAT(problem("[[card.namespace]]\nmib = 1\nsize = 1\n"), HasSubstr("no such key"));
  EXPECT_THAT(problem("namespace = 1\n"), HasSubstr("a list of tables"));
  EXPECT_THAT(problem("[[card.namespace]]\nfile = \"a\"\n[[card.namespace]]\nfile = \"a\"\n"),
              HasSubstr("is two namespaces"));
  EXPECT_THAT(problem_of(std::string(kGood) + "[[card.namespace]]\nmib = 1\n"),
              HasSubstr("key \"namespace\": no such key"));
}

TEST(Config, ANamespacesFileThatIsNotThereIsNamed) {
  const auto config =
      parse_config(with_namespaces("[[card.namespace]]\nfile = \"/none/a.img\"\n"), "m");
  ASSERT_TRUE(config.has_value()) << config.error();
  EXPECT_EQ(
      storage_problem(*config),
      "m:20: card 0000:01:00.0: namespace '/none/a.img': ENOENT: the file cannot be opened for "
      "reading and writing");
  EXPECT_FALSE(Machine::create(*config).has_value());
}

std::string with_tdis(std::string_view tdis) {
  std::string text(kGood);
  text.replace(text.find("\"plain\""), 7, "\"dma-engine\"");
  return text + "vfs = 2\nmemory_kib = 64\n" + std::string(tdis);
}

TEST(Config, ReportsOfTdisAreAsTheFileSays) {
  const auto config = parse_config(with_tdis(R"([[card.tdi]]
function = 2
interface_info = ["ats", "dma-with-pasid"]
lnr_control = 3
tph_control = 0x80000001
device_info_hex = "00ff"
[[card.tdi.range]]
bar = 2
kib = 16
attributes = ["non-tee", "updatable"]
[[card.tdi.range]]
bar = 2
kib = 48
id = 7
)"),
                                   "m");
  ASSERT_TRUE(config.has_value()) << config.error();
  const CardConfig& card = config->cards[0];
  EXPECT_EQ(card.report_of(1), device::ReportOptions{});
  const device::ReportOptions report = card.report_of(2);
  EXPECT_EQ(report.interface_info, wire::kInfoAts | wire::kInfoDmaWithPasid);
  EXPECT_EQ(report.lnr_control, 3);
  EXPECT_EQ(report.tph_control, 0x8000'0001U);
  EXPECT_EQ(report.device_info, (Bytes{std::byte{0}, std::byte{0xff}}));
  EXPECT_EQ(report.ranges, (std::vector<device::ReportOptions::Range>{
                               {.bar = 2, .bytes = 0x4000, .attributes = 12, .id = 2},
                               {.bar = 2, .bytes = 0xc000, .attributes = 0, .id = 7}}));
  const auto machine = Machine::create(*config);
  ASSERT_TRUE(machine.has_value());
  EXPECT_THAT((*machine)->show(),
              HasSubstr("    report: dma-with-pasid, ats; LNR control 0x3; TPH control 0x80000001; "
                        "device info of 2 bytes\n"
                        "    range BAR2+0x0 size 0x4000 id 2 non-tee, updatable\n"
                        "    range BAR2+0x4000 size 0xc000 id 7 TEE memory\n"));
}

TEST(Config, AReportMayHaveNoDeviceInfo) {
  for (const std::string_view key : {"device_info", "device_info_hex"}) {
    const auto config =
        parse_config(with_tdis("[[card.tdi]]\n" + std::string(key) + " = \"\"\n"), "m");
    ASSERT_TRUE(config.has_value()) << config.error();
    EXPECT_TRUE(config->cards[0].report_of(0).device_info.empty()) << key;
  }
}

TEST(Config, ReportsThatCannotBeAreRefused) {
  const auto problem = [](std::string_view text) {
    return problem_of(with_tdis("[[card.tdi]]\n" + std::string(text)));
  };
  EXPECT_THAT(problem("function = 3\n"), HasSubstr("key \"function\": must be"));
  EXPECT_THAT(problem("[[card.tdi]]\n"), HasSubstr("function 0 has two [[card.tdi]]"));
  EXPECT_THAT(problem("interface_info = \"ats\"\n"), HasSubstr("must be a list of"));
  EXPECT_THAT(problem("interface_info = [\"pri\"]\n"), HasSubstr("must be a list of"));
  EXPECT_THAT(problem("device_info_hex = \"0\"\n"), HasSubstr("two a byte"));
  EXPECT_THAT(problem("device_info = 7\n"), HasSubstr("must be a text"));
  EXPECT_THAT(problem("device_info_hex = \"00\"\ndevice_info = \"a\"\n"), HasSubstr("left out"));
  EXPECT_THAT(problem("device_info = \"" + std::string(2049, 'a') + "\"\n"),
              HasSubstr("at most 2048 bytes"));
  EXPECT_THAT(problem("[[card.tdi.range]]\nbar = 2\nkib = 4\n"),
              HasSubstr("function 0: the ranges of BAR 2 do not have 64 KiB in all"));
  EXPECT_THAT(problem("[[card.tdi.range]]\nbar = 4\nkib = 8\n"),
              HasSubstr("BAR 4 cannot be split"));
  EXPECT_THAT(problem("[[card.tdi.range]]\nbar = 2\nkib = 64\nattributes = [\"msix\"]\n"),
              HasSubstr("must be a list of"));
  std::string many;
  for (int i = 0; i < 16; ++i) many += "[[card.tdi.range]]\nbar = 2\nkib = 4\n";
  EXPECT_THAT(problem(many), HasSubstr("more than 13 ranges"));
  EXPECT_THAT(problem_of(std::string(kGood) + "[[card.tdi]]\n"),
              HasSubstr("key \"tdi\": no such key"));
}

/// Tables of a card are named by their own lines.
TEST(Config, ProblemsOfACardsTablesHaveTheirLines) {
  const auto line_of = [](const std::string& text, std::string_view needle) {
    const auto at = text.rfind(needle);
    return std::to_string(std::count(text.begin(), text.begin() + static_cast<long>(at), '\n') + 1);
  };
  for (const std::string_view wrong :
       {"[[card.tdi]]\nfunction = 1\n[[card.tdi]]\nfunction = 2\n[[card.tdi.range]]\nbar = 4\nkib "
        "= 8\n",
        "[[card.tdi]]\nfunction = 2\n[[card.tdi]]\nfunction = 2\n"}) {
    const std::string text = with_tdis(wrong);
    EXPECT_THAT(problem_of(text), HasSubstr(":" + line_of(text, "[[card.tdi]]") + ": ")) << wrong;
  }
  const std::string spaces =
      with_namespaces("[[card.namespace]]\nfile = \"a\"\n[[card.namespace]]\nfile = \"a\"\n");
  EXPECT_THAT(problem_of(spaces), HasSubstr(":" + line_of(spaces, "[[card.namespace]]") + ": "));
}

TEST(Config, FileThatCannotBeReadIsNamed) {
  const auto config = load_config("/no/such/machine.toml");
  ASSERT_FALSE(config.has_value());
  EXPECT_EQ(config.error(), "/no/such/machine.toml: No such file or directory");
}

TEST(Config, APipeIsReadOnceAndLoadedTwice) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const std::string text(builtin_machine("tdx-connect"));
  ASSERT_EQ(::write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  ::close(ends[1]);
  const std::string path = "/dev/fd/" + std::to_string(ends[0]);
  for (int i = 0; i < 2; ++i) {
    const auto config = load_config(path);
    ASSERT_TRUE(config.has_value()) << config.error();
    EXPECT_EQ(config->name, "tdx-connect");
  }
  ::close(ends[0]);
}

TEST(Config, AKeyOfTooManyPartsIsNoEndOfTheStack) {
  std::string key;
  for (int i = 0; i < 100'000; ++i) key += "a.";
  for (const std::string& text : {key + "b = 1\n", "[" + key + "b]\n"}) {
    const auto config = parse_config(text, "m.toml");
    ASSERT_FALSE(config.has_value());
    EXPECT_EQ(config.error(), "m.toml:1: keys have too many parts");
  }
}

// --- Interrupts, ROMs and ports ---

TEST(Config, CardsMayHaveARomAndPortsInTheirPortsWindows) {
  std::string text(kGood);
  const std::size_t port = text.find("iommu = 0");
  text.insert(port, "memory_window = 0xe0000000\nio_window = 0x2000\n");
  text += "rom = 0xe0010000\nio = 0x2fe0\n";
  const auto config = parse_config(text, "m.toml");
  ASSERT_TRUE(config.has_value()) << config.error();
  EXPECT_EQ(config->cards.front().rom_bytes, 64U * 1024);
  EXPECT_EQ(raw(*config->cards.front().io), 0x2fe0U);
  EXPECT_TRUE(Machine::create(*config).has_value());
}

TEST(Config, WhatIsWrongWithRomsAndPortsIsSaidWithItsLine) {
  const auto with = [](std::string_view port, std::string_view card) {
    std::string text(kGood);
    text.insert(text.find("iommu = 0\n\n[[card]]"), port);
    return problem_of(text.append(card));
  };
  constexpr std::string_view kWindows = "memory_window = 0xe0000000\nio_window = 0x2000\n";
  EXPECT_THAT(with("", "rom = 0xe0000000\n"), StartsWith("m.toml:16: card 0000:01:00.0: its ROM"));
  EXPECT_THAT(with("", "io = 0x2000\n"), HasSubstr("are not in an io_window of 0000:00:01.0"));
  EXPECT_THAT(with(kWindows, "rom = 0xe0000800\n"),
              StartsWith("m.toml:22: key \"rom\": must be a multiple of its 64 KiB"));
  EXPECT_THAT(with(kWindows, "rom = 0xe0000000\nrom_kib = 3\n"),
              StartsWith("m.toml:23: key \"rom_kib\": must be a power of two"));
  EXPECT_THAT(with(kWindows, "rom_kib = 64\n"),
              StartsWith("m.toml:22: key \"rom_kib\": must be left out: there is no `rom`"));
  EXPECT_THAT(with(kWindows, "io = 0x2010\n"),
              StartsWith("m.toml:22: key \"io\": must be a multiple of its 32 ports"));
  EXPECT_THAT(with("io_window = 0x2100\n", ""), HasSubstr("the io_window is not aligned to 4 KiB"));
  EXPECT_THAT(with("io_window = 0x2000\nio_window_kib = 6\n", ""),
              HasSubstr("the io_window_kib is no multiple of 4"));
  EXPECT_THAT(with("memory_window = 0xe0080000\n", ""),
              HasSubstr("the memory_window is not aligned to 1 MiB"));
  EXPECT_THAT(with("io_window_kib = 8\n", ""), HasSubstr("there is no `io_window`"));
}

TEST(Config, MsiHasAPowerOfTwoOfVectors) {
  std::string text(builtin_machine("pci-functions"));
  const auto msi = [&](std::string_view value) {
    std::string changed = text;
    changed.replace(changed.find("msi = 8"), 7, std::string("msi = ").append(value));
    return problem_of(changed);
  };
  EXPECT_EQ(msi("32"), "it was accepted");
  EXPECT_THAT(msi("3"), HasSubstr("key \"msi\": must be 0, 1, 2, 4, 8, 16 or 32"));
  EXPECT_THAT(msi("64"), HasSubstr("key \"msi\": must be a number from 0 to 32"));
}

TEST(Config, APlainCardHasNoInterrupts) {
  EXPECT_THAT(problem_of(std::string(kGood) + "intx = true\n"),
              HasSubstr("key \"intx\": no such key here"));
}

}  // namespace
}  // namespace teeio::machine
