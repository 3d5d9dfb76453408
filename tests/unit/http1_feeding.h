// SPDX-License-Identifier: MIT
// Feeds a parser as a connection does, and writes down all that it says. Every piece comes in a
// fresh heap block of exactly its size and the old one is freed, so that a stale or stray pointer
// is found by ASan.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/http1.h"

namespace spillway::testing {

using Fields = std::vector<std::pair<std::string, std::string>>;

inline Fields Copy(std::span<const HeaderField> fields) {
  Fields copy;
  for (const HeaderField& field : fields) copy.emplace_back(field.name, field.value);
  return copy;
}

// What a parser said of one message (and of the interim heads before it).
struct Reading {
  ParseStep last = ParseStep::kNeedMore;
  int heads = 0;
  std::string start;  // of the last head: method and target, or status and reason
  int minor = -1;
  Fields headers;
  std::vector<Field> fields;
  BodyKind kind = BodyKind::kNone;
  std::uint64_t length = 0;
  bool keep_alive = false, expects = false;
  std::string upgrade;
  std::string body;
  Fields trailers;
  std::size_t consumed = 0;
  int status = 0;     // of a refused request
  std::string error;  // may differ with the pieces: not compared

  friend bool operator==(const Reading& a, const Reading& b) {
    const bool failed = a.last == ParseStep::kFailed && b.last == ParseStep::kFailed;
    return a.last == b.last && a.heads == b.heads && a.start == b.start && a.minor == b.minor &&
           a.headers == b.headers && a.fields == b.fields && a.kind == b.kind &&
           a.length == b.length && a.keep_alive == b.keep_alive && a.expects == b.expects &&
           a.upgrade == b.upgrade && a.body == b.body && a.trailers == b.trailers &&
           a.status == b.status && (failed || a.consumed == b.consumed);
  }
  friend std::ostream& operator<<(std::ostream& out, const Reading& r) {
    out << "step " << static_cast<int>(r.last) << ", heads " << r.heads << ", start '" << r.start
        << "', minor " << r.minor << ", body '" << r.body << "' (kind " << static_cast<int>(r.kind)
        << ", length " << r.length << "), consumed " << r.consumed << ", status " << r.status
        << ", error '" << r.error << "'";
    for (const auto& [name, value] : r.headers) out << "\n  " << name << ": " << value;
    for (const auto& [name, value] : r.trailers) out << "\n  trailer " << name << ": " << value;
    return out;
  }
};

class Block {
 public:
  explicit Block(std::string_view bytes) : bytes_(new char[bytes.size()]) {
    std::memcpy(bytes_.get(), bytes.data(), bytes.size());
  }
  const char* get() const { return bytes_.get(); }

 private:
  std::unique_ptr<char[]> bytes_;
};

// What heads of both kinds have.
template <class Head>
void NoteHead(const Head& head, Reading* r) {
  r->minor = head.minor;
  r->headers = Copy(head.headers);
  r->fields.assign(head.fields.begin(), head.fields.end());
  r->kind = head.body;
  r->length = head.content_length;
  r->keep_alive = head.keep_alive;
}
inline void Note(const RequestParser& parser, Reading* r) {
  const RequestHead& head = parser.head();
  NoteHead(head, r);
  r->start = std::string(head.method) + " " + std::string(head.target);
  r->expects = head.expect_continue;
  r->upgrade = head.upgrade;
}
inline void Note(const ResponseParser& parser, Reading* r) {
  const ResponseHead& head = parser.head();
  NoteHead(head, r);
  r->start = std::to_string(head.status) + " " + std::string(head.reason);
  r->upgrade = head.upgrade ? "yes" : "";
}

inline bool Continue(RequestParser&) {
  return false;
}
inline bool Continue(ResponseParser& parser) {  // on to the head after an interim one
  if (!parser.head().interim()) return false;
  parser.NextHead();
  return true;
}
inline int StatusOf(const RequestParser& parser) {
  return parser.status();
}
inline int StatusOf(const ResponseParser&) {
  return 0;
}
inline ParseStep End(RequestParser&) {
  return ParseStep::kNeedMore;
}
inline ParseStep End(ResponseParser& parser) {
  return parser.FeedEnd();
}

// Feeds `bytes` in pieces that end at `cuts` (rising) and at the end. `ends`: the peer then closes.
template <typename Parser>
Reading Read(Parser& parser, std::string_view bytes, std::vector<std::size_t> cuts,
             bool ends = false) {
  Reading r;
  cuts.push_back(bytes.size());
  std::size_t start = 0;  // where the block begins
  std::size_t taken = 0;
  Block head("");  // holds the last head's bytes
  bool noted = false;
  for (std::size_t cut : cuts) {
    auto block = std::make_unique<Block>(bytes.substr(start, cut - start));
    do {
      r.last = parser.Feed(block->get(), taken - start, cut - start);
      if (r.last != ParseStep::kFailed) taken = start + parser.taken();
      if (r.last == ParseStep::kHead) {
        ++r.heads;
        Block moved(bytes.substr(start, taken - start));
        parser.Rebase(block->get(), moved.get());
        head = std::move(moved);
        start = taken;
        block = std::make_unique<Block>(bytes.substr(start, cut - start));
        Note(parser, &r);
        noted = !Continue(parser);
      }
      if (r.last == ParseStep::kBody) r.body += parser.body();
    } while (r.last == ParseStep::kHead || r.last == ParseStep::kBody);
    if (r.last != ParseStep::kNeedMore) break;
  }
  if (r.last == ParseStep::kNeedMore && ends) r.last = End(parser);
  if (noted) Note(parser, &r);  // again: the views must still hold after all those moves
  if (r.last == ParseStep::kEnd) r.trailers = Copy(parser.trailers());
  if (r.last == ParseStep::kFailed) {
    r.status = StatusOf(parser);
    r.error = parser.error();
  }
  r.consumed = taken;
  return r;
}

// Reads the message whole, cut in two at every byte, and byte by byte; `differs` is told of each
// reading that isn't the same as the whole one. The whole one is returned.
template <typename MakeParser>
Reading ReadEveryWay(
    MakeParser make, std::string_view bytes, bool ends,
    const std::function<void(std::size_t, const Reading&, const Reading&)>& differs) {
  auto parser = make();
  const Reading whole = Read(parser, bytes, {}, ends);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    auto other = make();
    const Reading parts = Read(other, bytes, {cut}, ends);
    if (!(parts == whole)) differs(cut, whole, parts);
  }
  std::vector<std::size_t> all;
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) all.push_back(cut);
  auto other = make();
  const Reading bytewise = Read(other, bytes, all, ends);
  if (!(bytewise == whole)) differs(bytes.size(), whole, bytewise);
  return whole;
}

}  // namespace spillway::testing
