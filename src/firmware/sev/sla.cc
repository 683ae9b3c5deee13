#include "firmware/sev/sla.h"

#include <algorithm>

namespace teeio::sev {
namespace {

constexpr std::size_t kShortHeader = 16;
constexpr std::size_t kLongHeader = 32;
constexpr std::uint8_t kVersionMajor = 1;

constexpr bool known(std::uint32_t id) { return id == 1 || id == 2 || (id >= 4 && id <= 6); }
constexpr std::size_t round_up(std::size_t value, std::size_t to) {
  return (value + to - 1) / to * to;
}

}  // namespace

Result<std::vector<Hpa>> Sla::pages(hw::PhysicalMemory& memory) const {
  constexpr std::uint64_t kKnown = kFrame | kScatter | kLarge;
  const auto wrong = [](std::uint64_t address) {
    return (address & ~kKnown) != 0 || (address & kLarge) != 0 || (address & kFrame) == 0;
  };
  if (wrong(value) || value == kEnd) return fail(Errno::kInval, "a scatter list address is wrong");
  if (!scatter()) return std::vector{page()};
  Bytes list(kPageSize);
  TEEIO_TRY(memory.read(page(), list));
  std::vector<Hpa> found;
  Reader in(list);
  for (std::size_t n = 0; n <= kMaxPages; ++n) {
    const Sla next{in.le<std::uint64_t>()};
    if (next.value == kEnd && !found.empty()) return found;
    if (wrong(next.value) || next.scatter() || n == kMaxPages) break;
    found.push_back(next.page());
  }
  return fail(Errno::kInval, "a scatter list is empty, has no end, or a wrong address");
}

std::size_t DataObject::header_size(Id id) {
  return id == Id::kRequest || id == Id::kResponse ? kShortHeader : kLongHeader;
}

Bytes DataObject::encode() const {
  const std::size_t header = header_size(id);
  Writer out;
  out.le(static_cast<std::uint32_t>(id)).le(static_cast<std::uint32_t>(header + data.size()));
  out.le(std::uint8_t{0}).le(kVersionMajor);
  if (header == kShortHeader)
    out.le(type).zeros(5);
  else
    out.zeros(6).le(device_id).le(segment).le(type).zeros(12);
  return out.bytes(data).take();
}

Result<DataObject> DataObject::decode(ByteView in) {
  Reader reader(in);
  const auto number = reader.le<std::uint32_t>();
  const auto length = reader.le<std::uint32_t>();
  if (!reader.ok()) return fail(Errno::kInval, "a data object is short");
  if (!known(number)) return fail(Errno::kOpNotSupp, "a data object has an unknown id");
  DataObject object{.id = Id{number}, .data = {}};
  const std::size_t header = header_size(object.id);
  if (length < header || length > in.size())
    return fail(Errno::kInval, "a data object's length is wrong");
  reader.skip(2);
  if (header == kShortHeader) {
    object.type = reader.le<std::uint8_t>();
    reader.skip(5);
  } else {
    reader.skip(6);
    object.device_id = reader.le<std::uint16_t>();
    object.segment = reader.le<std::uint8_t>();
    object.type = reader.le<std::uint8_t>();
    reader.skip(12);
  }
  const ByteView data = reader.take(length - header);
  object.data.assign(data.begin(), data.end());
  return object;
}

Result<Buffer> Buffer::open(hw::PhysicalMemory& memory, Sla sla) {
  TEEIO_ASSIGN(std::vector<Hpa> pages, sla.pages(memory));
  return Buffer(memory, std::move(pages));
}

Result<Bytes> Buffer::read(std::size_t offset, std::size_t size_bytes) const {
  if (offset > size() || size_bytes > size() - offset)
    return fail(Errno::kInval, "a read leaves its buffer");
  Bytes bytes(size_bytes);
  for (std::size_t done = 0; done < size_bytes;) {
    const std::size_t in_page = (offset + done) % kPageSize;
    const std::size_t piece = std::min<std::size_t>(kPageSize - in_page, size_bytes - done);
    TEEIO_TRY(memory_->read(pages_[(offset + done) / kPageSize] + in_page,
                            std::span(bytes).subspan(done, piece)));
    done += piece;
  }
  return bytes;
}

Result<void> Buffer::write(std::size_t offset, ByteView bytes) const {
  if (offset > size() || bytes.size() > size() - offset)
    return fail(Errno::kInval, "a write leaves its buffer");
  for (std::size_t done = 0; done < bytes.size();) {
    const std::size_t in_page = (offset + done) % kPageSize;
    const std::size_t piece = std::min<std::size_t>(kPageSize - in_page, bytes.size() - done);
    TEEIO_TRY(
        memory_->write(pages_[(offset + done) / kPageSize] + in_page, bytes.subspan(done, piece)));
    done += piece;
  }
  return {};
}

Result<BufferHeader> Buffer::header() const {
  TEEIO_ASSIGN(const Bytes bytes, read(0, BufferHeader::kSize));
  Reader in(bytes);
  BufferHeader header;
  header.capacity = in.le<std::uint32_t>();
  header.payload = in.le<std::uint32_t>();
  return header;
}

Result<void> Buffer::put_header(const BufferHeader& header) const {
  return write(0, Writer().le(header.capacity).le(header.payload).zeros(56).take());
}

Result<DataObject> Buffer::object() const {
  TEEIO_ASSIGN(const BufferHeader header, this->header());
  if (header.payload > size() - BufferHeader::kSize)
    return fail(Errno::kInval, "a buffer's payload is larger than the buffer");
  TEEIO_ASSIGN(const Bytes payload, read(BufferHeader::kSize, header.payload));
  return DataObject::decode(payload);
}

Result<void> Buffer::put_object(const DataObject& object) const {
  const Bytes bytes = object.encode();
  if (size_for(object) > size())
    return fail(Errno::kTooBig, "a data object is larger than its buffer");
  const std::size_t payload = round_up(bytes.size(), BufferHeader::kPayloadGranule);
  TEEIO_TRY(put_header({.capacity = static_cast<std::uint32_t>(size()),
                        .payload = static_cast<std::uint32_t>(payload)}));
  return write(BufferHeader::kSize, bytes);
}

std::size_t Buffer::size_for(const DataObject& object) {
  return BufferHeader::kSize + round_up(DataObject::header_size(object.id) + object.data.size(),
                                        BufferHeader::kPayloadGranule);
}

}  // namespace teeio::sev
