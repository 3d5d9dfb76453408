// SPDX-License-Identifier: MIT
// What the writers of heads have in common, and bodies in chunks.
#include "proxy/http1_write.h"

#include <charconv>

namespace spillway {

bool Settable(const HeaderToSet& field) {
  if (!IsToken(field.name)) return false;
  switch (ClassifyLoosely(field.name)) {
    case Field::kContentLength:
    case Field::kTransferEncoding:
    case Field::kConnection:
    case Field::kKeepAlive:
    case Field::kProxyConnection:
    case Field::kTe:
    case Field::kTrailer:
    case Field::kUpgrade:
    case Field::kExpect:
    case Field::kHttp2Settings:
      return false;
    default:
      return true;
  }
}

bool ListsNames(std::span<const HeaderField> headers, const FieldKinds& fields) {
  if (!fields.Has(Field::kConnection)) return false;
  for (std::size_t i = 0; i < headers.size(); ++i) {
    if (fields[i] != Field::kConnection) continue;
    std::string_view rest = headers[i].value;
    if (EqualsIgnoreCase(rest, "keep-alive") || EqualsIgnoreCase(rest, "close")) continue;
    while (const auto item = NextItem(&rest)) {
      const bool usual = EqualsIgnoreCase(*item, "close") ||
                         EqualsIgnoreCase(*item, "keep-alive") ||
                         EqualsIgnoreCase(*item, "upgrade");
      if (!usual) return true;
    }
  }
  return false;
}

void PutFraming(const Framing& framing, Pen* pen) {
  if (framing.body == BodyKind::kChunked) pen->Put("Transfer-Encoding: chunked\r\n");
  if (framing.body != BodyKind::kLength) return;
  pen->Put("Content-Length: ").Decimal(framing.content_length).Put("\r\n");
}

std::size_t WriteChunkHead(std::uint64_t size, char* out) {
  char* end = std::to_chars(out, out + 16, size, 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  return static_cast<std::size_t>(end - out);
}

void FrameChunk(std::size_t first, std::vector<iovec>* pieces, char* head) {
  std::size_t size = 0;
  for (const iovec& piece : std::span(*pieces).subspan(first)) size += piece.iov_len;
  if (size == 0) return;
  const std::size_t length = WriteChunkHead(size, head);
  pieces->insert(pieces->begin() + static_cast<std::ptrdiff_t>(first), iovec{head, length});
  static char end[] = {'\r', '\n'};  // iovec knows no const; writing does not modify
  pieces->push_back({end, sizeof end});
}

bool MayBeTrailer(std::string_view name) {
  return ClassifyLoosely(name) == Field::kOther;
}

void WriteLastChunk(std::span<const HeaderField> trailers, std::string* out) {
  out->clear();
  Pen pen(out);
  pen.Put("0\r\n");
  for (const HeaderField& trailer : trailers) {
    if (MayBeTrailer(trailer.name)) PutParsed(trailer, &pen);
  }
  pen.Put("\r\n");
}

}  // namespace spillway
