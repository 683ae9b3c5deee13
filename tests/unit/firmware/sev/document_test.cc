// docs/firmware/sev.md is the table of tio_checks.cc. TEEIO_WRITE_DOCUMENT=1 writes it.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "firmware/sev/tio_checks.h"

namespace teeio::sev {
namespace {

constexpr std::pair<TioCommand, std::string_view> kNames[] = {
    {TioCommand::kStatus, "TIO_STATUS"},
    {TioCommand::kInit, "TIO_INIT"},
    {TioCommand::kDevCreate, "TIO_DEV_CREATE"},
    {TioCommand::kDevReclaim, "TIO_DEV_RECLAIM"},
    {TioCommand::kDevConnect, "TIO_DEV_CONNECT"},
    {TioCommand::kDevDisconnect, "TIO_DEV_DISCONNECT"},
    {TioCommand::kDevStatus, "TIO_DEV_STATUS"},
    {TioCommand::kDevMeasurements, "TIO_DEV_MEASUREMENTS"},
    {TioCommand::kDevCertificates, "TIO_DEV_CERTIFICATES"},
    {TioCommand::kTdiCreate, "TIO_TDI_CREATE"},
    {TioCommand::kTdiReclaim, "TIO_TDI_RECLAIM"},
    {TioCommand::kTdiBind, "TIO_TDI_BIND"},
    {TioCommand::kTdiUnbind, "TIO_TDI_UNBIND"},
    {TioCommand::kTdiReport, "TIO_TDI_REPORT"},
    {TioCommand::kTdiStatus, "TIO_TDI_STATUS"},
    {TioCommand::kGuestRequest, "TIO_GUEST_REQUEST"},
    {TioCommand::kAsidFenceClear, "TIO_ASID_FENCE_CLEAR"},
    {TioCommand::kAsidFenceStatus, "TIO_ASID_FENCE_STATUS"},
    {TioCommand::kTdiInfo, "TIO_TDI_INFO"},
    {TioCommand::kRollKey, "TIO_ROLL_KEY"}};

std::string document() {
  std::string out =
      "# SEV-TIO: what each command checks\n\n"
      "Made from `src/firmware/sev/tio_checks.cc`; a unit test compares. The checks are in the "
      "order in which a command makes them: the first that fails gives the status. A buffer of "
      "another length is refused before any of them, with SEV_RET_INCORRECT_BUFFER_LENGTH. The "
      "firmware's source is closed: names and numbers of statuses are public, and where a row "
      "says so what a driver expects; which status goes with which check, and the order, are the "
      "model's choice.\n";
  for (const auto& [command, name] : kNames) {
    out += fmt::format(
        "\n## {} ({:#04x}, {} bytes)\n\n| refused when | status | source |\n"
        "|---|---|---|\n",
        name, static_cast<unsigned>(command), tio_length(command));
    for (const TioCheck& check : tio_checks(command))
      out += fmt::format("| {} | {} | {} |\n", check.why, status_name(check.status), check.source);
  }
  return out;
}

TEST(TioDocument, IsTheTable) {
  const std::string path = TEEIO_SOURCE_DIR "/docs/firmware/sev.md";
  if (std::getenv("TEEIO_WRITE_DOCUMENT") != nullptr) std::ofstream(path) << document();
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), document()) << "run firmware_sev_test with TEEIO_WRITE_DOCUMENT=1";
}

}  // namespace
}  // namespace teeio::sev
