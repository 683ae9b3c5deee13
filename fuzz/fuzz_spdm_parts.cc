#include "fuzzer.h"
#include "wire/spdm_certificates.h"
#include "wire/spdm_error.h"
#include "wire/spdm_events.h"
#include "wire/spdm_measurements.h"
#include "wire/spdm_opaque.h"

// A byte that chooses a structure inside of SPDM messages, then its bytes.
namespace teeio::fuzz {
namespace {

/// Takes elements until one is refused; those taken must come back from their
/// own encoding.
template <class Element>
void check_list(ByteView list) {
  while (true) {
    const std::size_t before = list.size();
    const auto element = Element::take(list);
    if (!element) {
      TEEIO_CHECK(list.size() == before, "a refused element was taken off its list");
      return;
    }
    TEEIO_CHECK(list.size() < before, "an element of no size");
    Writer w;
    element->append_to(w);
    const Bytes again = w.take();
    ByteView rest = again;
    TEEIO_CHECK(Element::take(rest) && rest.empty(), "an element does not come back");
  }
}

void check_opaque(ByteView in, wire::SpdmOpaqueFormat format) {
  (void)wire::decode_secured_versions(in, format);
  (void)wire::decode_secured_version_choice(in, format);
  const auto list = wire::SpdmOpaqueData::decode(in, format);
  if (!list) return;
  const Bytes again = list->encode(format);
  const auto back = wire::SpdmOpaqueData::decode(again, format);
  TEEIO_CHECK(back && back->elements.size() == list->elements.size(),
              "opaque data does not come back");
}

void check_chain(ByteView in) {
  for (const std::uint8_t version : {wire::kSpdmVersion12, wire::kSpdmVersion14})
    if (const auto chain = wire::SpdmCertificateChain::decode(in, 48, version))
      TEEIO_CHECK(chain->encode().size() == in.size(), "a chain does not come back");
}

void check_errors(ByteView in) {
  (void)wire::SpdmNotReady::decode(in);
  (void)wire::SpdmLargeResponse::decode(in);
  (void)wire::SpdmTooLarge::decode(in);
  (void)wire::SpdmVendorError::decode(in);
}

}  // namespace

void run(ByteView input) {
  if (input.empty()) return;
  const ByteView in = input.subspan(1);
  switch (std::to_integer<unsigned>(input.front()) % 8) {
    case 0:
      return check_list<wire::SpdmMeasurementBlock>(in);
    case 1:
      return check_list<wire::SpdmMelEntry>(in);
    case 2:
      return check_list<wire::SpdmEventGroup>(in);
    case 3:
      return check_list<wire::SpdmEvent>(in);
    case 4:
      return check_opaque(in, wire::SpdmOpaqueFormat::k0);
    case 5:
      return check_opaque(in, wire::SpdmOpaqueFormat::k1);
    case 6:
      return check_chain(in);
    default:
      (void)wire::SpdmMelHeader::decode(in);
      return check_errors(in);
  }
}

}  // namespace teeio::fuzz
