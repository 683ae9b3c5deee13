#include "firmware/rmm/rows.h"
#include "firmware/rmm/shared_checks.h"

// Physical devices: TF-RMM 9a7f8ef46378, runtime/rmi/pdev.c.

namespace teeio::rmm::row {
namespace {

constexpr Check kPdev{"pdev", Code::kInput, "the granule is no PDEV"};

constexpr Check kCreateChecks[] = {
    kFeature,
    kAligned,
    {"params", Code::kInput, "the parameters' page is not the host's"},
    {"rids", Code::kInput, "an end point has no requester IDs, or more than 1023"},
    {"hash", Code::kInput, "an end point's hash is not SHA-256, SHA-384 or SHA-512"},
    {"flags", Code::kInput, "a flag is set that does not exist"},
    {"spdm", Code::kNotSupported, "an off-chip end point is without SPDM"},
    {"category", Code::kNotSupported,
     "the device is neither an off-chip end point nor a root port"},
    {"routing", Code::kInput, "the routing identifier has more than 16 bits"},
    {"bridge", Code::kInput, "no host bridge has that base"},
    {"function", Code::kInput, "no end point (or root port) of the bridge has that identifier"},
    {"granule", Code::kInput, "the PDEV's granule is not DELEGATED"},
    kReserve};

constexpr Check kCommunicateChecks[] = {kFeature,
                                        kAligned,
                                        kPdev,
                                        {"data", Code::kInput, "the data page is not the host's"},
                                        {"comm", Code::kDevice, "no communication is due"},
                                        kBuffers,
                                        kResponseLength,
                                        kBuffersHosts,
                                        {"status", Code::kDevice, "the first step has a status"}};

constexpr Check kGetStateChecks[] = {kFeature, kAligned, kPdev};

constexpr Check kSetPubkeyChecks[] = {
    kFeature,
    kAligned,
    {"params", Code::kInput, "the parameters' page is not the host's"},
    {"length", Code::kInput, "key or metadata are longer than 1024 bytes"},
    {"algorithm", Code::kInput, "the algorithm is not RSASSA-3072, P-256 or P-384"},
    {"size", Code::kInput, "the key has not the size of its algorithm"},
    kPdev,
    {"state", Code::kDevice, "the PDEV is not NEEDS_KEY"},
    {"key", Code::kDevice, "the bytes are no public key"}};

constexpr Check kStreamConnectChecks[] = {
    kFeature,
    kAligned,
    {"params", Code::kInput, "the parameters' page is not the host's"},
    {"ranges", Code::kInput, "there are more than 16 address ranges"},
    {"type", Code::kNotSupported, "the stream is not non-coherent"},
    {"pdevs_aligned", Code::kInput, "a PDEV's address is not aligned"},
    {"pdevs", Code::kInput, "a granule is no PDEV, or both are one"},
    {"state", Code::kInput,
     "not an off-chip end point and a root port, both READY, idle and without an operation"},
    {"taken", Code::kInput, "the end point has that stream"}};

constexpr Check kHandle{"handle", Code::kInput, "the handle is not the first PDEV's"};
constexpr Check kPdevs{"pdevs", Code::kInput, "a granule is no PDEV, or both are one"};
constexpr Check kNotTaken{"taken", Code::kInput, "the end point has no such stream"};
constexpr Check kSecond{"second", Code::kInput, "the stream's root port is another"};

constexpr Check kStreamCompleteChecks[] = {
    kFeature,
    kAligned,
    kHandle,
    kPdevs,
    kNotTaken,
    kSecond,
    {"state", Code::kInput, "a PDEV is not READY and idle"},
    {"op", Code::kDevice, "the operation of a PDEV was not driven to its end"},
    {"stream", Code::kDevice, "the stream is not in an operation", false}};

constexpr Check kStreamDisconnectChecks[] = {
    kFeature,
    kAligned,
    kHandle,
    kPdevs,
    kNotTaken,
    {"stream", Code::kDevice, "the stream is not CONNECTED"},
    kSecond,
    {"state", Code::kInput, "a PDEV is not READY or ERROR, or not idle"},
    {"vdevs", Code::kDevice, "VDEVs use the stream"}};

constexpr Check kStreamKeyRefreshChecks[] = {
    kFeature,
    kAligned,
    kPdevs,
    kHandle,
    kNotTaken,
    kSecond,
    {"state", Code::kInput, "a PDEV is not READY, idle and without an operation"},
    {"stream", Code::kDevice, "the stream is a system's, or not CONNECTED", false}};

constexpr Check kStreamKeyPurgeChecks[] = {{"purge", Code::kNotSupported, "always"}};

constexpr Check kStopChecks[] = {kFeature,
                                 kAligned,
                                 kPdev,
                                 {"comm", Code::kDevice, "a communication is due or under way"},
                                 {"streams", Code::kDevice, "the PDEV has a stream"},
                                 {"vdevs", Code::kDevice, "the PDEV has VDEVs", false}};

constexpr Check kAbortChecks[] = {
    kFeature, kAligned, kPdev, {"comm", Code::kDevice, "there is nothing to abort"}};

constexpr Check kDestroyChecks[] = {
    kFeature, kAligned, kPdev, {"state", Code::kDevice, "the PDEV is not STOPPED"}, kReserve};

}  // namespace

constinit const Row kPdevCreate{
    .number = 0x26,
    .name = "RMI_PDEV_CREATE",
    .fails = "RMI_PDEV_CREATE fails",
    .source = "runtime/rmi/pdev.c, smc_pdev_create() and validate_rmi_pdev_params()",
    .checks = kCreateChecks,
    .effect =
        "a root port: NEW, PENDING. An end point: PARTIAL and INCOMPLETE; the host donates "
        "auxiliary granules, and OP_CONTINUE gives NEW, PENDING",
    .differs =
        "an application of 4 granules (the source's number depends on its build), so the "
        "limit of 72 auxiliary granules is never met"};
constinit const Row kPdevCommunicate{
    .number = 0x25,
    .name = "RMI_PDEV_COMMUNICATE",
    .fails = "RMI_PDEV_COMMUNICATE fails",
    .source = "runtime/rmi/pdev.c, smc_pdev_communicate() and dev_communicate()",
    .checks = kCommunicateChecks,
    .effect =
        "one step; NEW to NEEDS_KEY (a root port: READY), HAS_KEY to READY, STOP to STOPPED; "
        "a stream's operation ends in STREAM_COMPLETE; a failed exchange: ERROR",
    .differs =
        "messages are those of this project's SPDM requester: it verifies the chain, and measures "
        "once while it opens the session. Without the defects of that commit a session needs no "
        "HANDSHAKE_IN_THE_CLEAR of the device (docs/tf-rmm.md)"};
constinit const Row kPdevGetState{.number = 0x28,
                                  .name = "RMI_PDEV_GET_STATE",
                                  .fails = {},
                                  .source = "runtime/rmi/pdev.c, smc_pdev_get_state()",
                                  .checks = kGetStateChecks,
                                  .effect = "x1: the state",
                                  .differs = {}};
constinit const Row kPdevSetPubkey{
    .number = 0x2b,
    .name = "RMI_PDEV_SET_PUBKEY",
    .fails = {},
    .source = "runtime/rmi/pdev.c, smc_pdev_set_pubkey()",
    .checks = kSetPubkeyChecks,
    .effect = "HAS_KEY, PENDING: the device must sign KEY_EXCHANGE_RSP with that key",
    .differs = "an RSA key is taken without its metadata (the exponent)"};
constinit const Row kPdevStreamConnect{
    .number = 0xb4,
    .name = "RMI_PDEV_STREAM_CONNECT",
    .fails = "RMI_PDEV_STREAM_CONNECT fails",
    .source = "runtime/rmi/pdev.c, smc_pdev_stream_connect()",
    .checks = kStreamConnectChecks,
    .effect =
        "x1: the handle; both PDEVs PENDING with operation CONNECT, driven in turns: the "
        "root port first, the end point's keys, the root port, the end point",
    .differs =
        "the monitor writes the root port's association (the host does), and locks no "
        "stream in the root port's DVSEC"};
constinit const Row kPdevStreamComplete{
    .number = 0xb6,
    .name = "RMI_PDEV_STREAM_COMPLETE",
    .fails = {},
    .source = "runtime/rmi/pdev.c, smc_pdev_stream_complete()",
    .checks = kStreamCompleteChecks,
    .effect = "CONNECTED, or (after a disconnect) the stream is free and both counts drop",
    .differs = {}};
constinit const Row kPdevStreamDisconnect{
    .number = 0xb5,
    .name = "RMI_PDEV_STREAM_DISCONNECT",
    .fails = "RMI_PDEV_STREAM_DISCONNECT fails",
    .source = "runtime/rmi/pdev.c, smc_pdev_stream_disconnect()",
    .checks = kStreamDisconnectChecks,
    .effect =
        "both PDEVs PENDING with operation DISCONNECT; that a key is not stopped fails nothing",
    .differs = {}};
constinit const Row kPdevStreamKeyRefresh{
    .number = 0x2a,
    .name = "RMI_PDEV_STREAM_KEY_REFRESH",
    .fails = {},
    .source = "runtime/rmi/pdev.c, smc_pdev_stream_key_refresh()",
    .checks = kStreamKeyRefreshChecks,
    .effect = "both PDEVs PENDING with operation KEY_REFRESH: new keys in the other key set",
    .differs = {}};
constinit const Row kPdevStreamKeyPurge{.number = 0xb7,
                                        .name = "RMI_PDEV_STREAM_KEY_PURGE",
                                        .fails = {},
                                        .source = "runtime/rmi/pdev.c, smc_pdev_stream_key_purge()",
                                        .checks = kStreamKeyPurgeChecks,
                                        .effect = "none",
                                        .differs = {}};
constinit const Row kPdevStop{
    .number = 0x2c,
    .name = "RMI_PDEV_STOP",
    .fails = "RMI_PDEV_STOP fails",
    .source =
        "runtime/rmi/pdev.c, smc_pdev_stop(); dev_assign_cmds.c, "
        "dev_assign_cmd_stop_connection_main()",
    .checks = kStopChecks,
    .effect = "PENDING: END_SESSION, GET_VERSION, then STOPPED. A session that does not end: ERROR",
    .differs = {}};
constinit const Row kPdevAbort{
    .number = 0x24,
    .name = "RMI_PDEV_ABORT",
    .fails = "RMI_PDEV_ABORT fails",
    .source = "runtime/rmi/pdev.c, smc_pdev_abort()",
    .checks = kAbortChecks,
    .effect =
        "idle; the application is woken with an error and ends; state, operation and stream "
        "stay",
    .differs =
        "without the defects of that commit an aborted stream operation frees the stream: "
        "there, neither PDEV can be stopped any more"};
constinit const Row kPdevDestroy{
    .number = 0x27,
    .name = "RMI_PDEV_DESTROY",
    .fails = "RMI_PDEV_DESTROY fails",
    .source = "runtime/rmi/pdev.c, smc_pdev_destroy()",
    .checks = kDestroyChecks,
    .effect =
        "a root port: DELEGATED. An end point: PARTIAL and INCOMPLETE; the host reclaims the "
        "auxiliary granules, and OP_CONTINUE gives DELEGATED",
    .differs = {}};

}  // namespace teeio::rmm::row
