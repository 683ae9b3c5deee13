#include <algorithm>

#include "host/pci_tsm/tdx/connect_api.h"
#include "host/pci_tsm/tdx/page_array.h"

// The newer API: the module gives ids, and asks for each message to be carried until an
// operation is over. Source: posted Linux, drivers/virt/coco/tdx-host/tdx-host.c.

namespace teeio::tsm {
namespace {

using tdx::Code;
using tdx::KmOperation;
using tdx::SpdmOperation;

/// struct spdm_config_info_t: key updates, any certificate slot.
Bytes default_configuration() {
  Writer writer;
  writer.le(tdx::SpdmConfiguration::kKeyUpdate).le(std::uint8_t{0}).le(std::uint8_t{0xff});
  return writer.le(std::uint8_t{0}).take();
}

class ConnectG3 final : public ConnectApi {
 public:
  explicit ConnectG3(kvm::TdxHost& host) : host_(host), g3_(host.module().g3()) {}

  Result<void> create_session(TdxCard& card) override;
  Result<void> connect_session(TdxCard& card) override;
  void disconnect_session(TdxCard& card) override;
  void delete_session(TdxCard& card) override;
  Result<void> create_stream(TdxCard& card) override;
  /// As posted: some devices work with nothing else.
  [[nodiscard]] bool default_stream() const override { return true; }
  Result<void> program_keys(TdxCard& card) override {
    return errno_of(key(card, KmOperation::kSetup), "TDH.IDE.STREAM.KM failed");
  }
  Result<void> refresh_keys(TdxCard& card) override {
    return errno_of(key(card, KmOperation::kRefresh), "TDH.IDE.STREAM.KM failed");
  }
  void stop_keys(TdxCard& card) override { (void)key(card, KmOperation::kStop); }
  tdx::LeafResult block_stream(TdxCard& card) override {
    return host_.call([&] { return g3_.tdh_ide_stream_block(card.session, card.stream); });
  }
  void delete_stream(TdxCard& card) override;
  Result<void> collect_evidence(TdxCard& card, const Nonce& nonce, std::uint64_t& code) override;
  Result<Bytes> read_evidence(TdxCard& card, std::uint32_t offset, std::size_t limit,
                              std::uint64_t& code) override;

 private:
  static tdx::G3Leaves::Messages messages(const TdxCard& card) {
    return {.answer = card.answer, .request = card.message};
  }
  static Result<void> errno_of(const Result<tdx::LeafResult>& result, std::string_view why) {
    if (!result) return std::unexpected(result.error());
    if (!result->ok()) return std::unexpected(kvm::leaf_error(*result, why));
    return {};
  }
  template <class Leaf>
  Result<tdx::LeafResult> converse(TdxCard& card, Leaf leaf);
  Result<tdx::LeafResult> manage(TdxCard& card, SpdmOperation operation,
                                 std::optional<Hpa> parameter, std::optional<tdx::HpaArray> info);
  Result<tdx::LeafResult> key(TdxCard& card, KmOperation operation);
  Result<void> keep_info(TdxCard& card, const PageArray& pages, std::uint64_t bytes);

  kvm::TdxHost& host_;
  tdx::G3Leaves& g3_;
};

/// Carries messages and refreshes keys until `leaf` wants neither: tdx_link_event_handler().
template <class Leaf>
Result<tdx::LeafResult> ConnectG3::converse(TdxCard& card, Leaf leaf) {
  for (;;) {
    const tdx::LeafResult step = leaf();
    if (step.status == Code::kSpdmRequest) {
      TEEIO_TRY(carry(host_, card, card.message, step.rcx, card.answer));
    } else if (step.status == Code::kSpdmSessionKeyRequireRefresh) {
      TEEIO_TRY(errno_of(manage(card, SpdmOperation::kKeyUpdate, std::nullopt, std::nullopt),
                         "TDH.SPDM.MNG failed"));
    } else {
      return step;
    }
  }
}

Result<tdx::LeafResult> ConnectG3::manage(TdxCard& card, SpdmOperation operation,
                                          std::optional<Hpa> parameter,
                                          std::optional<tdx::HpaArray> info) {
  return converse(card, [&] {
    return host_.extension(
        [&] { return g3_.tdh_spdm_mng(card.session, operation, parameter, messages(card), info); });
  });
}

/// tdx_spdm_create().
Result<void> ConnectG3::create_session(TdxCard& card) {
  TEEIO_ASSIGN(card.answer, host_.memory().alloc_page());
  TEEIO_ASSIGN(PageArray pages, PageArray::make(host_.memory(), tdx::kSpdmPages));
  const auto created = host_.once(
      [&] { return g3_.tdh_spdm_create(tdx::function_id(card.pf0->bdf()), pages.raw_array()); });
  if (!created.ok()) return std::unexpected(kvm::leaf_error(created, "TDH.SPDM.CREATE failed"));
  pages.keep();
  card.session = created.rcx;
  return {};
}

/// tdx_spdm_session_connect(), tdx_dup_array_data().
Result<void> ConnectG3::connect_session(TdxCard& card) {
  TEEIO_ASSIGN(const PageArray info, PageArray::make(host_.memory(), tdx::kInfoPages));
  TEEIO_ASSIGN(const PageArray configuration, PageArray::make(host_.memory(), 1));
  const Hpa page = configuration.pages().front();
  TEEIO_TRY(host_.memory().write(page, default_configuration()));
  const auto connected = converse(card, [&] {
    return host_.extension_once(
        [&] { return g3_.tdh_spdm_connect(card.session, page, messages(card), info.raw_array()); });
  });
  TEEIO_TRY(errno_of(connected, "TDH.SPDM.CONNECT failed"));
  return keep_info(card, info, connected->rcx);
}

Result<void> ConnectG3::keep_info(TdxCard& card, const PageArray& pages, std::uint64_t bytes) {
  Bytes info(bytes);
  const std::span<std::byte> all(info);
  for (std::size_t at = 0; at < info.size(); at += kPageSize) {
    const std::size_t portion = std::min<std::size_t>(kPageSize, info.size() - at);
    TEEIO_TRY(host_.memory().read(pages.pages().at(at / kPageSize), all.subspan(at, portion)));
  }
  card.info = std::move(info);
  return {};
}

void ConnectG3::disconnect_session(TdxCard& card) {
  (void)converse(card, [&] {
    return host_.extension([&] { return g3_.tdh_spdm_disconnect(card.session, messages(card)); });
  });
  card.info.clear();
}

/// tdx_spdm_delete(), tdx_page_array_ctrl_release(): a list that is not as it was lent leaks.
void ConnectG3::delete_session(TdxCard& card) {
  const auto deleted = host_.call([&] { return g3_.tdh_spdm_delete(card.session, card.answer); });
  const tdx::HpaArray released(deleted.rcx);
  Bytes list(tdx::kSpdmPages * sizeof(std::uint64_t));
  if (deleted.ok() && released.page() == card.answer && released.count() == tdx::kSpdmPages &&
      host_.memory().read(card.answer, list)) {
    Reader reader(list);
    for (std::size_t i = 0; i < released.count(); ++i)
      host_.memory().free_page(Hpa{reader.le<std::uint64_t>()});
  }
}

/// tdx_ide_stream_create(): one address association, of the root port's prefetchable window
/// where there is one. Source of the registers: Linux drivers/pci/ide.c, pci_ide_stream_to_regs().
Result<void> ConnectG3::create_stream(TdxCard& card) {
  constexpr std::uint32_t kValid = 1;
  const StreamEnd& end = card.ide->port;
  tdx::G3Leaves::StreamRegisters registers{
      .control = 0,
      .rid_1 = std::uint32_t{end.requesters.last} << 8U,
      .rid_2 = std::uint32_t{end.requesters.first} << 8U | kValid};
  if (!end.addresses.empty()) {
    const auto& [base, last] = end.addresses.back();
    const auto low = [](std::uint64_t address) {
      return static_cast<std::uint32_t>(address >> 20U) & 0xfffU;
    };
    registers.address_1 = kValid | low(base) << 8U | low(last) << 20U;
    registers.address_2 = static_cast<std::uint32_t>(last >> 32U);
    registers.address_3 = static_cast<std::uint32_t>(base >> 32U);
  }
  TEEIO_ASSIGN(PageArray pages, PageArray::make(host_.memory(), tdx::kStreamPages));
  const auto root_port = static_cast<std::uint8_t>(card.port.port->bdf().rid());
  const auto created = host_.once([&] {
    return g3_.tdh_ide_stream_create({.root_port = root_port, .selective = true}, card.session,
                                     pages.raw_array(), registers);
  });
  if (!created.ok())
    return std::unexpected(kvm::leaf_error(created, "TDH.IDE.STREAM.CREATE failed"));
  pages.keep();
  card.stream = static_cast<std::uint8_t>(created.rcx);
  return {};
}

/// tdx_ide_stream_km(). A busy leaf is asked again: what stays pending would block the undoing.
Result<tdx::LeafResult> ConnectG3::key(TdxCard& card, KmOperation operation) {
  bool begun = false;
  return converse(card, [&] {
    const auto leaf = [&] {
      return g3_.tdh_ide_stream_km(card.session, card.stream, operation, messages(card));
    };
    const tdx::LeafResult result = begun ? host_.call(leaf) : host_.once(leaf);
    begun = begun || result.status == Code::kSpdmRequest;
    return result;
  });
}

void ConnectG3::delete_stream(TdxCard& card) {
  const auto deleted =
      host_.call([&] { return g3_.tdh_ide_stream_delete(card.session, card.stream); });
  if (deleted.ok()) host_.memory().free_page(tdx::HpaArray(deleted.rcx).page());
}

Result<void> ConnectG3::collect_evidence(TdxCard& card, const Nonce& nonce, std::uint64_t& code) {
  TEEIO_ASSIGN(const PageArray info, PageArray::make(host_.memory(), tdx::kInfoPages));
  TEEIO_ASSIGN(const PageArray parameter, PageArray::make(host_.memory(), 1));
  TEEIO_TRY(host_.memory().write(parameter.pages().front(), nonce));
  const auto collected =
      manage(card, SpdmOperation::kRecollect, parameter.pages().front(), info.raw_array());
  if (collected) code = collected->status.rax();
  TEEIO_TRY(errno_of(collected, "TDH.SPDM.MNG failed"));
  return keep_info(card, info, collected->rcx);
}

Result<Bytes> ConnectG3::read_evidence(TdxCard& card, std::uint32_t offset, std::size_t limit,
                                       std::uint64_t& /*code*/) {
  if (offset > card.info.size()) return fail(Errno::kIo, "the device information is shorter");
  const ByteView rest = ByteView(card.info).subspan(offset);
  const ByteView portion = rest.first(std::min({rest.size(), limit, std::size_t{kPageSize}}));
  return Bytes(portion.begin(), portion.end());
}

}  // namespace

std::unique_ptr<ConnectApi> make_connect_g3(kvm::TdxHost& host) {
  return std::make_unique<ConnectG3>(host);
}

}  // namespace teeio::tsm
