// SPDX-License-Identifier: MIT
// What fuzzers hold the codec against: the same bytes in other pieces, llhttp's own reading of the
// body, and the parser's reading of what the writer wrote. A difference ends the process.
#pragma once

#include <llhttp.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http1.h"
#include "tests/unit/http1_feeding.h"

namespace spillway::testing {

inline void Require(bool holds, const char* what, std::string_view bytes) {
  if (holds) return;
  std::cerr << "broken: " << what << "\non " << bytes.size() << " bytes:\n" << bytes << "\n";
  std::abort();
}

// Both refuse, or both read the same. Where several things are wrong, which of them is met first
// may depend on the pieces, and with it the status; never whether it is refused.
inline bool SameVerdict(Reading a, Reading b) {
  a.status = b.status = 0;
  return a == b;
}

// Cuts that the bytes themselves choose, so that an input is one test, always the same.
inline std::vector<std::size_t> Cuts(std::string_view bytes) {
  std::vector<std::size_t> cuts;
  std::uint64_t seed = 1469598103934665603u ^ bytes.size();
  for (char c : bytes.substr(0, 64)) seed = (seed ^ static_cast<unsigned char>(c)) * 1099511628211u;
  for (std::size_t at = seed % 97; at < bytes.size();
       at += 1 + (seed = seed * 6364136223846793005u + 1) % 61) {
    cuts.push_back(at);
  }
  return cuts;
}

struct Oracle {
  bool agrees(std::string_view read) const { return lost || (complete && body == read); }
  bool complete = false;
  // It knows less of chunk extensions than RFC 9112: it takes what follows one with a value
  // ("0;a=2;b") for a chunk's size, and refuses obs-text in quotes.
  bool lost = false;
  std::string body;
};

// llhttp's reading of one whole message; `at_end`: the connection ends after it.
inline Oracle ReadWithLlhttp(llhttp_type_t type, std::string_view bytes, bool at_end) {
  static const llhttp_settings_t settings = [] {
    llhttp_settings_t made;
    llhttp_settings_init(&made);
    made.on_body = [](llhttp_t* parser, const char* at, std::size_t length) {
      static_cast<Oracle*>(parser->data)->body.append(at, length);
      return 0;
    };
    made.on_headers_complete = [](llhttp_t* parser) {
      parser->upgrade = 0;  // its mode of stopping there is not ours
      return 0;
    };
    made.on_message_complete = [](llhttp_t* parser) {
      static_cast<Oracle*>(parser->data)->complete = true;
      return 0;
    };
    return made;
  }();
  Oracle oracle;
  llhttp_t parser;
  llhttp_init(&parser, type, &settings);
  parser.data = &oracle;
  const llhttp_errno_t error = llhttp_execute(&parser, bytes.data(), bytes.size());
  if (error != HPE_OK) oracle.complete = false;
  const char* reason = error == HPE_OK ? nullptr : llhttp_get_error_reason(&parser);
  const bool extension = reason != nullptr && std::strstr(reason, "chunk extension") != nullptr;
  oracle.lost =
      extension || (error == HPE_INVALID_CHUNK_SIZE && llhttp_get_error_pos(&parser)[-1] == ';');
  if (error == HPE_OK && at_end) llhttp_finish(&parser);
  return oracle;
}

// The body as the proxy passes it on: in chunks of its own, and the trailers that may pass.
inline std::string Rechunk(const Reading& r) {
  std::string out;
  char head[20];
  for (std::size_t at = 0; at < r.body.size(); at += 1000) {
    const std::string_view piece = std::string_view(r.body).substr(at, 1000);
    out.append(head, WriteChunkHead(piece.size(), head)).append(piece).append("\r\n");
  }
  std::vector<HeaderField> trailers;
  for (const auto& [name, value] : r.trailers) trailers.push_back({name, value});
  std::string last;
  WriteLastChunk(trailers, &last);
  return out + last;
}

inline std::string BodyAgain(const Reading& r) {
  return r.kind == BodyKind::kChunked ? Rechunk(r) : r.body;
}

// The fields that mean nothing to a proxy, as lines.
inline std::vector<std::string> PlainFields(const Fields& headers) {
  std::vector<std::string> lines;
  for (const auto& [name, value] : headers) {
    if (ClassifyField(name) == Field::kOther) lines.push_back(name + ":" + value);
  }
  return lines;
}

// The first value of the field.
inline std::string Value(const Fields& headers, Field field) {
  for (const auto& [name, value] : headers) {
    if (ClassifyField(name) == field) return value;
  }
  return "";
}

// Every line of `part` stands in `whole`, in the same order.
inline bool IsPartOf(const std::vector<std::string>& part, const std::vector<std::string>& whole) {
  std::size_t at = 0;
  for (const std::string& line : whole) {
    if (at < part.size() && part[at] == line) ++at;
  }
  return at == part.size();
}

}  // namespace spillway::testing
