#include "host/pci_tsm/sev/tio_dsm.h"

#include "host/pci_tsm/doe.h"
#include "hw/config_space.h"
#include "wire/doe.h"

namespace teeio::tsm {

using sev::Buffer;
using sev::DataObject;
using sev::Sla;
using sev::Status;
using sev::TioCommand;

Result<void> TioDsm::alloc() {
  TEEIO_ASSIGN(request_page_, psp_.memory().alloc_page());
  TEEIO_ASSIGN(response_page_, psp_.alloc_firmware_page());
  TEEIO_ASSIGN(data_page_, psp_.alloc_firmware_page());
  TEEIO_ASSIGN(context_, alloc_sla(sizes_.device_context, true));
  TEEIO_ASSIGN(spdm_.request, alloc_sla(sizes_.request_max, true));
  TEEIO_ASSIGN(spdm_.response, alloc_sla(sizes_.request_max, false));
  TEEIO_ASSIGN(spdm_.scratch, alloc_sla(sizes_.scratch_max, true));
  TEEIO_ASSIGN(spdm_.output, alloc_sla(sizes_.output_max, true));
  return {};
}

TioDsm::~TioDsm() {
  free_sla(context_, true);
  free_sla(spdm_.request, true);
  free_sla(spdm_.response, false);
  free_sla(spdm_.scratch, true);
  free_sla(spdm_.output, true);
  if (raw(data_page_) != 0) psp_.free_firmware_page(data_page_);
  if (raw(response_page_) != 0) psp_.free_firmware_page(response_page_);
  if (raw(request_page_) != 0) psp_.memory().free_page(request_page_);
}

/// sla_alloc(): one page, or a page that lists them. The header says how large it is.
Result<Sla> TioDsm::alloc_sla(std::size_t bytes, bool firmware) {
  hw::PhysicalMemory& memory = psp_.memory();
  const std::size_t count = (bytes + kPageSize - 1) / kPageSize;
  if (count == 0 || count > Sla::kMaxPages) return fail(Errno::kNoMem, "no buffer has that size");
  std::vector<Hpa> pages;
  const auto give_up = [&](const Error& error) -> Result<Sla> {
    for (const Hpa page : pages) memory.free_page(page);
    return std::unexpected(error);
  };
  for (std::size_t n = 0; n < count + (count > 1 ? 1 : 0); ++n) {
    const auto page = memory.alloc_page();
    if (!page) return give_up(page.error());
    pages.push_back(*page);
  }
  Sla sla = Sla::of(pages.front());
  if (count > 1) {
    Writer list;
    for (std::size_t n = 1; n <= count; ++n) list.le(raw(pages[n]));
    sla = Sla::of(pages.front(), true);
    if (auto written = memory.write(pages.front(), list.le(Sla::kEnd).take()); !written)
      return give_up(written.error());
  }
  const auto buffer = Buffer::open(memory, sla);
  if (!buffer) return give_up(buffer.error());
  const auto capacity = static_cast<std::uint32_t>(count * kPageSize);
  if (auto header = buffer->put_header({.capacity = capacity}); !header)
    return give_up(header.error());
  if (!firmware) return sla;
  for (const Hpa page : buffer->pages())
    if (auto owned = psp_.make_private(page, Gpa{0}, 0, true); !owned) {
      free_sla(sla, true);
      return std::unexpected(owned.error());
    }
  return sla;
}

/// sla_free(). A page that the firmware keeps is leaked, and said to be.
void TioDsm::free_sla(Sla& sla, bool firmware) {
  if (sla.null()) return;
  const auto pages = sla.pages(psp_.memory());
  for (const Hpa page : pages.value_or(std::vector<Hpa>{})) {
    const bool theirs = firmware && psp_.rmp().entry(page).assigned;
    if (!theirs || psp_.reclaim_page(page)) psp_.memory().free_page(page);
  }
  if (sla.scatter()) psp_.memory().free_page(sla.page());
  sla = {};
}

Result<Sla> TioDsm::alloc_tdi_context() { return alloc_sla(sizes_.tdi_context, true); }
void TioDsm::free_tdi_context(Sla sla) { free_sla(sla, true); }

/// Once an answer waits, a firmware that is short of resources is asked again: it has taken
/// nothing yet, and a session does not survive an answer that nobody reads.
Result<void> TioDsm::issue(TioCommand command, const sev::TioOperands& in, bool begun) {
  const Bytes buffer = in.encode(sev::tio_layout(command));
  const auto number = static_cast<std::uint16_t>(command);
  kvm::PspHost::Answer answer;
  Result<void> done = insisting_ || begun ? psp_.insist(number, buffer, answer)
                                          : psp_.command(number, buffer, answer);
  // A firmware that was not asked says nothing, and not once more what it said before.
  status_ = answer.value_or(Status::kSuccess);
  return done;
}

Result<void> TioDsm::insist(TioCommand command, sev::TioOperands in) {
  insisting_ = true;
  Result<void> done = this->command(command, std::move(in));
  insisting_ = false;
  return done;
}

/// sev_tio_do_cmd(), sev_tio_spdm_cmd() and sev_tio_continue(). Linux looks for an expansion
/// only when the mailbox reports no error, and keeps the old buffers in the command; here it
/// is what the firmware says that counts.
Result<void> TioDsm::command(TioCommand command, sev::TioOperands in) {
  in.device = context_;
  in.status_page = data_page_;
  in.request_page = request_page_;
  in.response_page = response_page_;
  std::optional<Error> lost;  // the device gave no answer, and why
  bool begun = false;
  for (;;) {
    in.spdm = spdm_;
    const Result<void> done = issue(command, in, begun);
    if (status_ == Status::kExpandBufferLengthRequest) {
      TEEIO_TRY(expand_buffers());
    } else if (status_ == Status::kSpdmRequest && !lost) {
      begun = true;
      if (const auto carried = carry(); !carried) {
        // An exchange has no end but an answer: an empty one, and the firmware gives up.
        lost = carried.error();
        TEEIO_TRY(put_answer(0, {}));
      }
    } else {
      // A forced command succeeds without the device.
      if (lost && !done) return std::unexpected(*lost);
      return done;
    }
  }
}

/// Takes the object in the request buffer to the device and puts the answer into the
/// response buffer.
Result<void> TioDsm::carry() {
  TEEIO_ASSIGN(const Buffer request, Buffer::open(psp_.memory(), spdm_.request));
  TEEIO_ASSIGN(const DataObject object, request.object());
  if (object.id != DataObject::Id::kRequest)
    return fail(Errno::kInval, "the firmware's request is no data object");
  const wire::DoeObject question{.type = object.type, .payload = object.data};
  TEEIO_ASSIGN(const Bytes answer, doe_exchange(pf0_, question.encode()));
  TEEIO_ASSIGN(const wire::DoeObject doe, wire::DoeObject::decode(answer));
  return put_answer(object.type, Bytes(doe.payload.begin(), doe.payload.end()));
}

/// The object's length is rounded up, as sev_tio_continue() does.
Result<void> TioDsm::put_answer(std::uint8_t type, Bytes data) {
  constexpr std::size_t kGranule = sev::BufferHeader::kPayloadGranule;
  const std::size_t header = DataObject::header_size(DataObject::Id::kResponse);
  if (!data.empty())
    data.resize((header + data.size() + kGranule - 1) / kGranule * kGranule - header);
  TEEIO_ASSIGN(const Buffer response, Buffer::open(psp_.memory(), spdm_.response));
  if (const auto put = response.put_object(
          {.id = DataObject::Id::kResponse, .type = type, .data = std::move(data)});
      !put)
    return fail(Errno::kIo, "the device's answer is too large");
  return {};
}

/// sla_expand(): a larger buffer with what was in the old one; false when it is large enough.
Result<bool> TioDsm::expand(Sla& sla) {
  TEEIO_ASSIGN(const Buffer old, Buffer::open(psp_.memory(), sla));
  TEEIO_ASSIGN(const sev::BufferHeader header, old.header());
  if (header.capacity <= old.size()) return false;
  TEEIO_ASSIGN(Sla larger, alloc_sla(header.capacity, true));
  free_sla(sla, true);
  sla = larger;
  return true;
}

Result<void> TioDsm::expand_buffers() {
  TEEIO_ASSIGN(const bool output, expand(spdm_.output));
  TEEIO_ASSIGN(const bool scratch, expand(spdm_.scratch));
  if (!output && !scratch) return fail(Errno::kFault, "no buffer has to be expanded");
  return {};
}

Bytes TioDsm::output(DataObject::Id id) const {
  const auto buffer = Buffer::open(psp_.memory(), spdm_.output);
  auto object = buffer ? buffer->object() : std::unexpected(buffer.error());
  return object && object->id == id ? std::move(object->data) : Bytes{};
}

Bytes TioDsm::data(std::size_t size_bytes) const {
  Bytes bytes(size_bytes);
  (void)psp_.memory().read(data_page_, bytes);
  return bytes;
}

Result<void> TioDsm::put_guest_request(ByteView message) {
  if (message.size() > kPageSize) return fail(Errno::kInval, "a guest's message is at most a page");
  Bytes page(message.begin(), message.end());
  page.resize(kPageSize);
  return psp_.memory().write(request_page_, page);
}

Bytes TioDsm::guest_response() const {
  Bytes page(kPageSize);
  (void)psp_.memory().read(response_page_, page);
  return page;
}

}  // namespace teeio::tsm
