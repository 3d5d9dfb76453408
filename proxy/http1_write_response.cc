// SPDX-License-Identifier: MIT
// Responses for a client, written anew field by field: the framing and the connection are our own
// word, all else passes as it came.
#include "proxy/http1_write.h"

namespace spillway {
namespace {

// Of Via, and of a length.
constexpr std::size_t kMostOwnText = 64;

// Would a reader that takes "_" for "-" believe that this is a field that means something to the
// proxy?
bool Imitates(std::string_view name) {
  return name.find('_') != std::string_view::npos && ClassifyLoosely(name) != Field::kOther;
}

// Between two hops alone, or between the app and us.
constexpr FieldSet kNeverPass =
    kHopByHop | FieldSet{Field::kSpillwayPressure, Field::kSpillwayProtect};

bool PassesToClient(const ResponseHead& head, const ForwardResponse& forward, std::size_t i,
                    bool lists) {
  const HeaderField& header = head.headers[i];
  const Field field = head.fields[i];
  if (kNeverPass.Has(field)) return false;
  if (field == Field::kXRequestId && !forward.request_id.empty()) return false;
  if (IsSet(forward.set_headers, header.name)) return false;
  if (field != Field::kOther) return true;
  if (Imitates(header.name)) return false;
  return !lists || !ConnectionLists(head.headers, head.fields, header.name);
}

// What passes of the upstream's fields, then ours, but for the framing and what is set.
// `parsed` gets what a parser has checked, `plain` what is plain by what it is, `own` what nobody has
// checked.
template <class Parsed, class Plain, class Own>
void EachResponseField(const ResponseHead& head, const ForwardResponse& forward, Parsed parsed,
                       Plain plain, Own own) {
  const bool lists = ListsNames(head.headers, head.fields);
  for (std::size_t i = 0; i < head.headers.size(); ++i) {
    if (PassesToClient(head, forward, i, lists)) parsed(head.headers[i]);
  }
  if (head.interim()) return;
  if (!head.Has(Field::kDate) && !forward.date.empty()) plain("Date", forward.date);
  plain("Via", head.major == 2   ? "2.0 spillway"
               : head.minor == 0 ? "1.0 spillway"
                                 : "1.1 spillway");
  const bool numbered = !forward.request_id.empty() && !IsSet(forward.set_headers, "x-request-id");
  if (numbered) own("X-Request-Id", forward.request_id);
  if (!forward.set_cookie.empty()) own("Set-Cookie", forward.set_cookie);
}

// For HEAD and 304 the length is of what would have come: the upstream's word passes on.
std::string_view LengthOfNothing(const ResponseHead& head, const Framing& framing) {
  const bool says = framing.body == BodyKind::kNone && head.status != 204;
  return says ? head.Get(Field::kContentLength) : std::string_view{};
}

// What is said of the body and of the connection. Interim heads say nothing of either.
void PutEnding(const ResponseHead& head, const ForwardResponse& forward, Pen* pen) {
  if (head.status == 101) {
    pen->Put("Connection: upgrade\r\nUpgrade: ").Put(head.Get(Field::kUpgrade)).Put("\r\n");
    return;
  }
  PutFraming(forward.framing, pen);
  if (const auto length = LengthOfNothing(head, forward.framing); !length.empty()) {
    pen->Put("Content-Length: ").Put(length).Put("\r\n");
  }
  if (forward.close || forward.framing.body == BodyKind::kUntilClose) {
    pen->Put("Connection: close\r\n");
  } else if (forward.client_is_1_0) {
    pen->Put("Connection: keep-alive\r\n");
  }
}

}  // namespace

void WriteResponseHead(const ResponseHead& head, const ForwardResponse& forward, std::string* out) {
  out->clear();
  Pen pen(out);
  pen.Put("HTTP/1.1 ").Decimal(static_cast<std::uint64_t>(head.status)).Put(' ');
  pen.Put(head.reason).Put("\r\n");
  const auto own = [&pen](std::string_view name, std::string_view value) {
    PutField(name, value, &pen);
  };
  const auto plain = [&pen](std::string_view name, std::string_view value) {
    pen.Line(name, value);
  };
  EachResponseField(
      head, forward, [&pen](const HeaderField& field) { PutParsed(field, &pen); }, plain, own);
  if (!head.interim()) {
    PutEnding(head, forward, &pen);
    EachSet(forward.set_headers, own);
  }
  pen.Put("\r\n");
}

void ListResponseFields(const ResponseHead& head, const ForwardResponse& forward,
                        std::vector<HeaderField>* fields, std::string* text) {
  fields->clear();
  text->clear();
  std::size_t own_size =
      forward.date.size() + forward.request_id.size() + forward.set_cookie.size() + kMostOwnText;
  for (const HeaderToSet& field : forward.set_headers) own_size += field.value.size();
  text->reserve(own_size);  // views of it must not move
  const auto own = [&](std::string_view name, std::string_view value) {
    const std::size_t begin = text->size();
    AppendValue(value, text);
    fields->push_back({name, std::string_view(*text).substr(begin)});
  };
  EachResponseField(
      head, forward, [fields](const HeaderField& field) { fields->push_back(field); }, own, own);
  if (head.interim()) return;
  if (forward.framing.body == BodyKind::kLength) {
    own("content-length", std::to_string(forward.framing.content_length));
  } else if (const auto length = LengthOfNothing(head, forward.framing); !length.empty()) {
    fields->push_back({"content-length", length});
  }
  EachSet(forward.set_headers, own);
}

}  // namespace spillway
