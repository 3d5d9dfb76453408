// SPDX-License-Identifier: MIT
// Heads for the next hop, written anew field by field: what frames, routes or identifies is our own
// word, what is between the two ends of the other connection stays there, all else passes as it
// came.
//
// A Connection field may take away only fields that the proxy knows nothing of. If it could name
// any, a client could make us remove what the upstream relies on ("Connection: x-forwarded-for,
// cookie").
#include <algorithm>
#include <charconv>
#include <cstring>

#include "proxy/fields.h"
#include "proxy/http1.h"

namespace spillway {
namespace {

// Of Via, and of a length.
constexpr std::size_t kMostOwnText = 64;

void AppendNumber(std::uint64_t value, std::string* out) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out->append(digits, end);
}

// Room for `size` bytes more, to be written by the caller. Each line is grown into once, not once
// for each of its parts.
char* Grow(std::string* out, std::size_t size) {
  const std::size_t before = out->size();
  out->resize(before + size);
  return out->data() + before;
}

char* Copy(std::string_view text, char* to) {
  if (!text.empty()) std::memcpy(to, text.data(), text.size());
  return to + text.size();
}

void AppendParsed(const HeaderField& field, std::string* out) {
  char* to = Grow(out, field.name.size() + field.value.size() + 4);
  to = Copy(field.name, to);
  to = Copy(": ", to);
  to = Copy(field.value, to);
  Copy("\r\n", to);
}

void AppendField(std::string_view name, std::string_view value, std::string* out) {
  out->append(name).append(": ");
  AppendValue(value, out);
  out->append("\r\n");
}

// What a rule may not set: the connection and the framing are the proxy's to say.
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

bool IsSet(std::span<const HeaderToSet> set, std::string_view name) {
  return !set.empty() && std::any_of(set.begin(), set.end(), [name](const HeaderToSet& field) {
    return EqualsIgnoreCase(field.name, name) && Settable(field);
  });
}

// Each name once, with the value that was set last.
template <class Emit>
void EachSet(std::span<const HeaderToSet> set, Emit emit) {
  for (std::size_t i = 0; i < set.size(); ++i) {
    if (Settable(set[i]) && !IsSet(set.subspan(i + 1), set[i].name)) {
      emit(set[i].name, set[i].value);
    }
  }
}

void AppendSet(std::span<const HeaderToSet> set, std::string* out) {
  EachSet(set,
          [out](std::string_view name, std::string_view value) { AppendField(name, value, out); });
}

// Whether a Connection field lists names beside the usual ones, so that the search below is worth
// while.
bool ListsNames(std::span<const HeaderField> headers, std::span<const Field> fields) {
  for (std::size_t i = 0; i < headers.size(); ++i) {
    if (fields[i] != Field::kConnection) continue;
    std::string_view rest = headers[i].value;
    while (const auto item = NextItem(&rest)) {
      const bool usual = EqualsIgnoreCase(*item, "close") ||
                         EqualsIgnoreCase(*item, "keep-alive") ||
                         EqualsIgnoreCase(*item, "upgrade");
      if (!usual) return true;
    }
  }
  return false;
}

// Hop-by-hop fields (RFC 9110 7.6.1), which belong to the connection they came on, and those of the
// framing, which are always written anew.
bool IsHopByHop(Field field) {
  switch (field) {
    case Field::kContentLength:
    case Field::kTransferEncoding:
    case Field::kConnection:
    case Field::kKeepAlive:
    case Field::kProxyConnection:
    case Field::kTe:
    case Field::kUpgrade:
    case Field::kHttp2Settings:
    case Field::kProxyAuthorization:
    case Field::kProxyAuthenticate:
      return true;
    default:
      return false;
  }
}

// Would a reader that takes "_" for "-" believe that this is a field that means something to the
// proxy?
bool Imitates(std::string_view name) {
  return name.find('_') != std::string_view::npos && ClassifyLoosely(name) != Field::kOther;
}

// CGI, WSGI and PHP read "_" and "-" alike: with an underscore a client could write a field twice,
// and past any rule that names it. So such names are not passed on.
bool HasUnderscore(std::string_view name) {
  return name.find('_') != std::string_view::npos;
}

// Said by proxies of whom they speak for. From anyone else it is a claim that an upstream must not
// see.
constexpr std::string_view kOnlyFromProxies[] = {
    "cf-connecting-ip", "client-ip",     "true-client-ip",      "x-client-ip",
    "x-original-url",   "x-rewrite-url", "x-cluster-client-ip",
};

bool IsOnlyFromProxies(std::string_view name, std::string_view address_header) {
  constexpr std::string_view kForwardedPrefix = "x-forwarded-";
  if (EqualsIgnoreCase(name.substr(0, kForwardedPrefix.size()), kForwardedPrefix)) return true;
  if (EqualsIgnoreCase(name, address_header)) return true;
  return std::any_of(std::begin(kOnlyFromProxies), std::end(kOnlyFromProxies),
                     [&](std::string_view each) { return EqualsIgnoreCase(name, each); });
}

// CGI hands it to scripts as HTTP_PROXY, where many a library looks for the proxy to use (httpoxy).
// No standard has such a field, so nobody misses it.
bool IsProxy(std::string_view name) {
  return EqualsIgnoreCase(name, "proxy");
}

void AppendFraming(const Framing& framing, std::string* out) {
  if (framing.body == BodyKind::kChunked) out->append("Transfer-Encoding: chunked\r\n");
  if (framing.body != BodyKind::kLength) return;
  out->append("Content-Length: ");
  AppendNumber(framing.content_length, out);
  out->append("\r\n");
}

// ---- requests

// Where a request's fields go. A value that is not passed on as it came is put together in text(),
// between Open and Close.
class Lines {
 public:
  explicit Lines(std::string* out) : out_(*out) {}
  void Pass(const HeaderField& field) { AppendParsed(field, &out_); }
  void Open(std::string_view name) { out_.append(name).append(": "); }
  std::string& text() { return out_; }
  void Close() { out_.append("\r\n"); }

 private:
  std::string& out_;
};

class FieldList {
 public:
  FieldList(std::vector<HeaderField>* fields, std::string* text) : fields_(*fields), text_(*text) {}
  // The text has moved while it grew: views of it are made when it is complete.
  ~FieldList() {
    for (const auto& [index, begin, size] : own_) {
      fields_[index].value = std::string_view(text_).substr(begin, size);
    }
  }
  FieldList(const FieldList&) = delete;
  FieldList& operator=(const FieldList&) = delete;
  void Pass(const HeaderField& field) { fields_.push_back(field); }
  void Open(std::string_view name) {
    own_.push_back({fields_.size(), text_.size(), 0});
    fields_.push_back({name, {}});
  }
  std::string& text() { return text_; }
  void Close() { own_.back().size = text_.size() - own_.back().begin; }

 private:
  struct Own {
    std::size_t index, begin, size;
  };
  std::vector<HeaderField>& fields_;
  std::string& text_;
  std::vector<Own> own_;
};

template <class Out>
class RequestFields {
 public:
  RequestFields(const RequestHead& head, const ForwardRequest& forward, Out& out)
      : head_(head), forward_(forward), out_(out), lists_(ListsNames(head.headers, head.fields)) {}

  // All but the host, the framing and what is set.
  void Write() {
    for (std::size_t i = 0; i < head_.headers.size(); ++i) {
      if (Passes(head_.headers[i], head_.fields[i])) out_.Pass(head_.headers[i]);
    }
    WriteIdentity();
    if (forward_.expect_continue) out_.Pass({"Expect", "100-continue"});
  }

  void WriteSet() {
    EachSet(forward_.set_headers,
            [this](std::string_view name, std::string_view value) { Add(name, value); });
  }

 private:
  bool Passes(const HeaderField& header, Field field) const {
    if (IsHopByHop(field) || HasUnderscore(header.name) || IsProxy(header.name)) return false;
    if (IsSet(forward_.set_headers, header.name)) return false;
    switch (field) {
      case Field::kHost:
      case Field::kExpect:
      case Field::kForwarded:
      case Field::kXForwardedFor:
        return false;  // written anew
      case Field::kXRequestId:
        return forward_.request_id.empty();
      case Field::kXForwardedProto:
      case Field::kXForwardedHost:
      case Field::kXRealIp:
        return forward_.peer_trusted;
      case Field::kOther:
        break;
      default:
        return true;
    }
    if (!forward_.peer_trusted && IsOnlyFromProxies(header.name, forward_.address_header)) {
      return false;
    }
    return !lists_ || !ConnectionLists(head_.headers, head_.fields, header.name);
  }

  // Who asked, by which way, and under which number.
  void WriteIdentity() {
    WriteForwardedFor();
    const bool keeps = forward_.peer_trusted;
    if (!(keeps && head_.Has(Field::kXForwardedProto)))
      AddOwn("X-Forwarded-Proto", forward_.scheme);
    if (!(keeps && head_.Has(Field::kXForwardedHost)))
      AddOwn("X-Forwarded-Host", forward_.client_host);
    if (keeps && head_.Has(Field::kForwarded)) WriteForwarded();
    AddOwn("X-Request-Id", forward_.request_id);
    if (!IsSet(forward_.set_headers, "via")) {
      out_.Pass({"Via", head_.major == 2   ? "2.0 spillway"
                        : head_.minor == 0 ? "1.0 spillway"
                                           : "1.1 spillway"});
    }
  }

  void Add(std::string_view name, std::string_view value) {
    out_.Open(name);
    AppendValue(value, &out_.text());
    out_.Close();
  }

  void AddOwn(std::string_view name, std::string_view value) {
    if (!value.empty() && !IsSet(forward_.set_headers, name)) Add(name, value);
  }

  void WriteForwardedFor() {
    if (IsSet(forward_.set_headers, "x-forwarded-for")) return;
    out_.Open("X-Forwarded-For");
    if (forward_.peer_trusted) AppendAll(Field::kXForwardedFor);
    AppendValue(forward_.peer_trusted ? forward_.peer_address : forward_.client_address,
                &out_.text());
    out_.Close();
  }

  // RFC 7239: one more element, for the hop that came to us.
  void WriteForwarded() {
    if (IsSet(forward_.set_headers, "forwarded")) return;
    out_.Open("Forwarded");
    AppendAll(Field::kForwarded);
    const bool v6 = forward_.peer_address.find(':') != std::string_view::npos;
    out_.text().append("for=").append(v6 ? "\"[" : "");
    AppendValue(forward_.peer_address, &out_.text());
    out_.text().append(v6 ? "]\"" : "");
    if (!forward_.client_host.empty()) {
      out_.text().append(";host=");
      AppendQuoted(forward_.client_host);
    }
    out_.text().append(";proto=");
    AppendQuoted(forward_.scheme);
    out_.Close();
  }

  // All the field's values that came, each followed by ", ".
  void AppendAll(Field field) {
    for (std::size_t i = 0; i < head_.headers.size(); ++i) {
      if (head_.fields[i] != field || head_.headers[i].value.empty()) continue;
      out_.text().append(head_.headers[i].value).append(", ");
    }
  }

  void AppendQuoted(std::string_view value) {
    std::string& text = out_.text();
    if (IsToken(value)) {
      text.append(value);
      return;
    }
    text.push_back('"');
    for (char c : value) {
      if (c == '"' || c == '\\') text.push_back('\\');
      text.push_back(IsValueChar(c) ? c : ' ');
    }
    text.push_back('"');
  }

  const RequestHead& head_;
  const ForwardRequest& forward_;
  Out& out_;
  const bool lists_;  // Connection lists unusual names
};

// The client reads trailers (RFC 9110 10.1.4), which HTTP/2 can pass on; the only word of TE that
// it knows.
bool TakesTrailers(const RequestHead& head) {
  for (std::size_t i = 0; i < head.headers.size(); ++i) {
    if (head.fields[i] != Field::kTe) continue;
    std::string_view rest = head.headers[i].value;
    while (const auto item = NextItem(&rest)) {
      if (EqualsIgnoreCase(*item, "trailers")) return true;
    }
  }
  return false;
}

// ---- responses

bool PassesToClient(const ResponseHead& head, const ForwardResponse& forward, std::size_t i,
                    bool lists) {
  const HeaderField& header = head.headers[i];
  const Field field = head.fields[i];
  if (IsHopByHop(field) || Imitates(header.name)) return false;
  if (field == Field::kXRequestId && !forward.request_id.empty()) return false;
  if (IsSet(forward.set_headers, header.name)) return false;
  if (field != Field::kOther || !lists) return true;
  return !ConnectionLists(head.headers, head.fields, header.name);
}

// What passes of the upstream's fields, then ours, but for the framing and what is set.
// `parsed` gets what a parser has checked, `own` what it has not.
template <class Parsed, class Own>
void EachResponseField(const ResponseHead& head, const ForwardResponse& forward, Parsed parsed,
                       Own own) {
  const bool lists = ListsNames(head.headers, head.fields);
  for (std::size_t i = 0; i < head.headers.size(); ++i) {
    if (PassesToClient(head, forward, i, lists)) parsed(head.headers[i]);
  }
  if (head.interim()) return;
  if (!head.Has(Field::kDate) && !forward.date.empty()) own("Date", forward.date);
  own("Via", head.major == 2 ? "2.0 spillway" : head.minor == 0 ? "1.0 spillway" : "1.1 spillway");
  const bool numbered = !forward.request_id.empty() && !IsSet(forward.set_headers, "x-request-id");
  if (numbered) own("X-Request-Id", forward.request_id);
}

// For HEAD and 304 the length is of what would have come: the upstream's word passes on.
std::string_view LengthOfNothing(const ResponseHead& head, const Framing& framing) {
  const bool says = framing.body == BodyKind::kNone && head.status != 204;
  return says ? head.Get(Field::kContentLength) : std::string_view{};
}

// What is said of the body and of the connection. Interim heads say nothing of either.
void AppendEnding(const ResponseHead& head, const ForwardResponse& forward, std::string* out) {
  if (head.status == 101) {
    out->append("Connection: upgrade\r\nUpgrade: ")
        .append(head.Get(Field::kUpgrade))
        .append("\r\n");
    return;
  }
  AppendFraming(forward.framing, out);
  if (const auto length = LengthOfNothing(head, forward.framing); !length.empty()) {
    out->append("Content-Length: ").append(length).append("\r\n");
  }
  if (forward.close || forward.framing.body == BodyKind::kUntilClose) {
    out->append("Connection: close\r\n");
  } else if (forward.client_is_1_0) {
    out->append("Connection: keep-alive\r\n");
  }
}

}  // namespace

void WriteRequestHead(const RequestHead& head, const ForwardRequest& forward, std::string* out) {
  out->assign(head.method).append(" ");
  if (forward.target.empty() || forward.target.front() == '?') out->append("/");
  out->append(forward.target).append(" HTTP/1.1\r\n");
  if (!IsSet(forward.set_headers, "host")) AppendField("Host", forward.host, out);
  Lines lines(out);
  RequestFields fields(head, forward, lines);
  fields.Write();
  if (forward.upgrade && !head.upgrade.empty()) {
    out->append("Connection: upgrade\r\nUpgrade: ").append(head.upgrade).append("\r\n");
  }
  AppendFraming(forward.framing, out);
  fields.WriteSet();
  out->append("\r\n");
}

void ListRequestFields(const RequestHead& head, const ForwardRequest& forward,
                       std::vector<HeaderField>* fields, std::string* text) {
  FieldList list(fields, text);
  const bool bare = forward.target.empty() || forward.target.front() == '?';
  list.Pass({":method", head.method});
  list.Open(":path");
  text->append(bare ? "/" : "").append(forward.target);
  list.Close();
  std::string_view host = forward.host;
  EachSet(forward.set_headers, [&host](std::string_view name, std::string_view value) {
    if (EqualsIgnoreCase(name, "host")) host = value;
  });
  list.Open(":authority");
  AppendValue(host, text);
  list.Close();
  RequestFields(head, forward, list).Write();
  if (forward.framing.body == BodyKind::kLength) {
    list.Open("content-length");
    AppendNumber(forward.framing.content_length, text);
    list.Close();
  }
  if (TakesTrailers(head)) list.Pass({"te", "trailers"});
  EachSet(forward.set_headers, [&](std::string_view name, std::string_view value) {
    if (EqualsIgnoreCase(name, "host")) return;
    list.Open(name);
    AppendValue(value, text);
    list.Close();
  });
}

void WriteResponseHead(const ResponseHead& head, const ForwardResponse& forward, std::string* out) {
  out->assign("HTTP/1.1 ");
  AppendNumber(static_cast<std::uint64_t>(head.status), out);
  out->append(" ").append(head.reason).append("\r\n");
  EachResponseField(
      head, forward, [out](const HeaderField& field) { AppendParsed(field, out); },
      [out](std::string_view name, std::string_view value) { AppendField(name, value, out); });
  if (!head.interim()) {
    AppendEnding(head, forward, out);
    AppendSet(forward.set_headers, out);
  }
  out->append("\r\n");
}

void ListResponseFields(const ResponseHead& head, const ForwardResponse& forward,
                        std::vector<HeaderField>* fields, std::string* text) {
  fields->clear();
  text->clear();
  std::size_t own_size = forward.date.size() + forward.request_id.size() + kMostOwnText;
  for (const HeaderToSet& field : forward.set_headers) own_size += field.value.size();
  text->reserve(own_size);  // views of it must not move
  const auto own = [&](std::string_view name, std::string_view value) {
    const std::size_t begin = text->size();
    AppendValue(value, text);
    fields->push_back({name, std::string_view(*text).substr(begin)});
  };
  EachResponseField(
      head, forward, [fields](const HeaderField& field) { fields->push_back(field); }, own);
  if (head.interim()) return;
  if (forward.framing.body == BodyKind::kLength) {
    const std::size_t begin = text->size();
    AppendNumber(forward.framing.content_length, text);
    fields->push_back({"content-length", std::string_view(*text).substr(begin)});
  } else if (const auto length = LengthOfNothing(head, forward.framing); !length.empty()) {
    fields->push_back({"content-length", length});
  }
  EachSet(forward.set_headers, own);
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
  out->assign("0\r\n");
  for (const HeaderField& trailer : trailers) {
    if (MayBeTrailer(trailer.name)) AppendParsed(trailer, out);
  }
  out->append("\r\n");
}

bool MayBeTrailerOfRequest(std::string_view name, std::string_view address_header) {
  return MayBeTrailer(name) && !HasUnderscore(name) && !IsProxy(name) &&
         !IsOnlyFromProxies(name, address_header);
}

void WriteLastChunkOfRequest(std::span<const HeaderField> trailers, std::string_view address_header,
                             std::string* out) {
  out->assign("0\r\n");
  for (const HeaderField& trailer : trailers) {
    if (MayBeTrailerOfRequest(trailer.name, address_header)) AppendParsed(trailer, out);
  }
  out->append("\r\n");
}

}  // namespace spillway
