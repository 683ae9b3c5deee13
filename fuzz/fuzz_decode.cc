// Links: decode
#include "decode/capture.h"
#include "decode/print.h"
#include "fuzzer.h"

// A file as `teeio decode` is given it. Whatever is in it, each packet gives at
// least one message, and each message has a line.
namespace teeio::fuzz {
namespace {

decode::KeyRing some_keys() {
  decode::KeyRing keys;
  for (const auto sender : {wire::KeyLogSender::kRequester, wire::KeyLogSender::kResponder})
    keys.add({.session_id = 0xfffeffff, .sender = sender, .key = Bytes(32), .iv = Bytes(12)});
  return keys;
}

}  // namespace

void run(ByteView input) {
  wire::ViewSource file(input);
  auto reader = wire::PcapReader::open(file);
  if (!reader) return;
  decode::Capture capture(wire::LinkType::kPciDoe, some_keys(), {.show_keys = true});
  for (;;) {
    const auto packet = reader->next();
    if (!packet || !*packet) return;
    const auto messages = capture.read(**packet);
    TEEIO_CHECK(!messages.empty(), "a packet without a message");
    for (const decode::Message& message : messages) {
      decode::Text line;
      decode::Text object;
      decode::append_text(line, message, 0, decode::Detail::kFields);
      decode::append_json(object, message);
      TEEIO_CHECK(line.view().ends_with('\n') && object.view().ends_with("}\n"),
                  "no line or no object");
    }
  }
}

}  // namespace teeio::fuzz
