// SPDX-License-Identifier: MIT
// Requests for an upstream, written anew field by field: what frames, routes or identifies is our
// own word, what is between client and proxy alone stays here, all else passes as it came.
//
// A Connection field may take away only fields that the proxy knows nothing of. If it could name
// any, a client could make us remove what the upstream relies on ("Connection: x-forwarded-for,
// cookie").
#include <algorithm>

#include "proxy/http1_write.h"

namespace spillway {
namespace {

// CGI, WSGI and PHP read "_" and "-" alike: with an underscore a client could write a field twice,
// and past any rule that names it. So such names are not passed on.
bool HasUnderscore(std::string_view name) {
  return name.find('_') != std::string_view::npos;
}

// Said by proxies of whom they speak for, and of what was asked of them. From anyone else it is a
// claim that an upstream must not see.
constexpr std::string_view kOnlyFromProxies[] = {
    "cf-connecting-ip",
    "client-ip",
    "fastly-client-ip",
    "forwarded-for",
    "true-client-ip",
    "x-azure-clientip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-forwarded",
    "x-host",
    "x-http-host-override",
    "x-original-host",
    "x-original-url",
    "x-originating-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-rewrite-url",
};

bool IsOnlyFromProxies(std::string_view name, std::string_view address_header) {
  constexpr std::string_view kForwardedPrefix = "x-forwarded-";
  if (EqualsIgnoreCase(name.substr(0, kForwardedPrefix.size()), kForwardedPrefix)) return true;
  if (EqualsIgnoreCase(name, address_header)) return true;
  return std::any_of(std::begin(kOnlyFromProxies), std::end(kOnlyFromProxies),
                     [&](std::string_view each) { return EqualsIgnoreCase(name, each); });
}

bool IsRuled(std::string_view name, std::span<const std::string> ruled_fields) {
  return std::any_of(ruled_fields.begin(), ruled_fields.end(),
                     [name](const std::string& each) { return EqualsIgnoreCase(each, name); });
}

std::string Dashed(std::string_view name) {
  std::string dashed(name);
  std::replace(dashed.begin(), dashed.end(), '.', '-');
  return dashed;
}

// Some servers read "." as CGI reads "_". Unlike that one it is in names that are in use: so it only
// must not make a second name of one that is known, whoever says it.
bool IsKnownWithDots(std::string_view name, const ReliedOn& relied_on) {
  if (name.find('.') == std::string_view::npos) return false;
  if (ClassifyLoosely(name) != Field::kOther) return true;
  const std::string dashed = Dashed(name);
  if (IsOnlyFromProxies(dashed, relied_on.address_header)) return true;
  return std::any_of(relied_on.ruled_fields.begin(), relied_on.ruled_fields.end(),
                     [&](const std::string& each) {
                       return each.size() == name.size() && !EqualsIgnoreCase(each, name) &&
                              EqualsIgnoreCase(Dashed(each), dashed);
                     });
}

// CGI hands it to scripts as HTTP_PROXY, where many a library looks for the proxy to use (httpoxy).
// No standard has such a field, so nobody misses it.
bool IsProxy(std::string_view name) {
  return EqualsIgnoreCase(name, "proxy");
}

// Where a request's fields go. Pass takes one as it came, Plain a value that may stand there, Any any.
// A value of several parts is put together between Open and Close: Raw takes text that may stand
// there, Value any.
class Lines {
 public:
  explicit Lines(Pen* pen) : pen_(*pen) {}
  void Pass(const HeaderField& field) { PutParsed(field, &pen_); }
  void Plain(std::string_view name, std::string_view value) { pen_.Line(name, value); }
  void Any(std::string_view name, std::string_view value) { PutField(name, value, &pen_); }
  void Open(std::string_view name) { pen_.Put(name).Put(": "); }
  void Raw(std::string_view text) { pen_.Put(text); }
  void Value(std::string_view text) { PutValue(text, &pen_); }
  void Number(std::uint64_t number) { pen_.Decimal(number); }
  void Close() { pen_.Put("\r\n"); }

 private:
  Pen& pen_;
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
  void Plain(std::string_view name, std::string_view value) {
    Open(name);
    Raw(value);
    Close();
  }
  void Any(std::string_view name, std::string_view value) {
    Open(name);
    Value(value);
    Close();
  }
  void Open(std::string_view name) {
    own_.push_back({fields_.size(), text_.size(), 0});
    fields_.push_back({name, {}});
  }
  void Raw(std::string_view text) { text_.append(text); }
  void Value(std::string_view text) { AppendValue(text, &text_); }
  void Number(std::uint64_t number) { text_.append(std::to_string(number)); }
  void Close() { own_.back().size = text_.size() - own_.back().begin; }

 private:
  struct Own {
    std::size_t index, begin, size;
  };
  std::vector<HeaderField>& fields_;
  std::string& text_;
  std::vector<Own> own_;
};

// Between two hops alone, or written anew.
constexpr FieldSet kNeverPass =
    kHopByHop | FieldSet{Field::kHost, Field::kExpect, Field::kForwarded, Field::kXForwardedFor};

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
    WriteMaxForwards();
    if (forward_.expect_continue) out_.Pass({"Expect", "100-continue"});
  }

  void WriteSet() {
    EachSet(forward_.set_headers,
            [this](std::string_view name, std::string_view value) { out_.Any(name, value); });
  }

 private:
  bool Passes(const HeaderField& header, Field field) const {
    if (kNeverPass.Has(field) || IsSet(forward_.set_headers, header.name)) return false;
    switch (field) {
      case Field::kMaxForwards:
        return !head_.max_forwards;
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
    // Of the names that are known none has an underscore, and none is "proxy".
    if (HasUnderscore(header.name) || IsProxy(header.name)) return false;
    if (IsKnownWithDots(header.name, forward_.relied_on)) return false;
    if (!forward_.peer_trusted &&
        IsOnlyFromProxies(header.name, forward_.relied_on.address_header)) {
      return false;
    }
    return !lists_ || !ConnectionLists(head_.headers, head_.fields, header.name);
  }

  // Who asked, by which way, and under which number.
  void WriteIdentity() {
    WriteForwardedFor();
    const bool keeps = forward_.peer_trusted;
    if (!(keeps && head_.Has(Field::kXForwardedProto)) &&
        IsOwn("X-Forwarded-Proto", forward_.scheme)) {
      out_.Plain("X-Forwarded-Proto", forward_.scheme);
    }
    if (!(keeps && head_.Has(Field::kXForwardedHost)) &&
        IsOwn("X-Forwarded-Host", forward_.client_host)) {
      out_.Any("X-Forwarded-Host", forward_.client_host);
    }
    if (keeps && head_.Has(Field::kForwarded)) WriteForwarded();
    if (IsOwn("X-Request-Id", forward_.request_id)) out_.Plain("X-Request-Id", forward_.request_id);
    if (!IsSet(forward_.set_headers, "via")) {
      out_.Pass({"Via", head_.major == 2   ? "2.0 spillway"
                        : head_.minor == 0 ? "1.0 spillway"
                                           : "1.1 spillway"});
    }
  }

  bool IsOwn(std::string_view name, std::string_view value) const {
    return !value.empty() && !IsSet(forward_.set_headers, name);
  }

  void WriteForwardedFor() {
    if (IsSet(forward_.set_headers, "x-forwarded-for")) return;
    if (!forward_.peer_trusted) return out_.Plain("X-Forwarded-For", forward_.client_address);
    out_.Open("X-Forwarded-For");
    WriteAll(Field::kXForwardedFor);
    out_.Value(forward_.peer_address);
    out_.Close();
  }

  // This hop is one of them (RFC 9110 7.6.2).
  void WriteMaxForwards() {
    if (!head_.max_forwards || IsSet(forward_.set_headers, "max-forwards")) return;
    out_.Open("Max-Forwards");
    out_.Number(*head_.max_forwards - 1);
    out_.Close();
  }

  // RFC 7239: one more element, for the hop that came to us.
  void WriteForwarded() {
    if (IsSet(forward_.set_headers, "forwarded")) return;
    out_.Open("Forwarded");
    WriteAll(Field::kForwarded);
    const bool v6 = forward_.peer_address.find(':') != std::string_view::npos;
    out_.Raw(v6 ? "for=\"[" : "for=");
    out_.Value(forward_.peer_address);
    if (v6) out_.Raw("]\"");
    if (!forward_.client_host.empty()) {
      out_.Raw(";host=");
      WriteQuoted(forward_.client_host);
    }
    out_.Raw(";proto=");
    WriteQuoted(forward_.scheme);
    out_.Close();
  }

  // All the field's values that came, each followed by ", ".
  void WriteAll(Field field) {
    for (std::size_t i = 0; i < head_.headers.size(); ++i) {
      if (head_.fields[i] != field || head_.headers[i].value.empty()) continue;
      out_.Raw(head_.headers[i].value);
      out_.Raw(", ");
    }
  }

  void WriteQuoted(std::string_view value) {
    if (IsToken(value)) return out_.Raw(value);
    out_.Raw("\"");
    for (const char& c : value) {
      if (c == '"' || c == '\\') out_.Raw("\\");
      out_.Value({&c, 1});
    }
    out_.Raw("\"");
  }

  const RequestHead& head_;
  const ForwardRequest& forward_;
  Out& out_;
  const bool lists_;  // Connection lists unusual names
};

// The client reads trailers (RFC 9110 10.1.4), which HTTP/2 can pass on; the only word of TE that
// it knows.
bool TakesTrailers(const RequestHead& head) {
  if (!head.fields.Has(Field::kTe)) return false;
  for (std::size_t i = 0; i < head.headers.size(); ++i) {
    if (head.fields[i] != Field::kTe) continue;
    std::string_view rest = head.headers[i].value;
    while (const auto item = NextItem(&rest)) {
      if (EqualsIgnoreCase(*item, "trailers")) return true;
    }
  }
  return false;
}

}  // namespace

void WriteRequestHead(const RequestHead& head, const ForwardRequest& forward, std::string* out) {
  out->clear();
  Pen pen(out);
  pen.Put(head.method).Put(' ');
  if (forward.target.empty() || forward.target.front() == '?') pen.Put('/');
  pen.Put(forward.target).Put(" HTTP/1.1\r\n");
  if (!IsSet(forward.set_headers, "host")) PutField("Host", forward.host, &pen);
  Lines lines(&pen);
  RequestFields fields(head, forward, lines);
  fields.Write();
  if (forward.upgrade && !head.upgrade.empty()) {
    pen.Put("Connection: upgrade\r\nUpgrade: ").Put(head.upgrade).Put("\r\n");
  }
  PutFraming(forward.framing, &pen);
  fields.WriteSet();
  pen.Put("\r\n");
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
    list.Number(forward.framing.content_length);
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

bool MayBeTrailerOfRequest(std::string_view name, const ReliedOn& relied_on) {
  return MayBeTrailer(name) && !HasUnderscore(name) && !IsProxy(name) &&
         !IsOnlyFromProxies(name, relied_on.address_header) &&
         !IsRuled(name, relied_on.ruled_fields) && !IsKnownWithDots(name, relied_on);
}

void WriteLastChunkOfRequest(std::span<const HeaderField> trailers, const ReliedOn& relied_on,
                             std::string* out) {
  out->clear();
  Pen pen(out);
  pen.Put("0\r\n");
  for (const HeaderField& trailer : trailers) {
    if (MayBeTrailerOfRequest(trailer.name, relied_on)) PutParsed(trailer, &pen);
  }
  pen.Put("\r\n");
}

}  // namespace spillway
