// SPDX-License-Identifier: MIT
// Reads one message's head up to its empty line, through llhttp, and holds every line against the
// wire's grammar once more. What the head means is not its business (http1_rules.h). Its
// implementation is http1.cc, llhttp's door.
//
//   head   "GET /a HTTP/1.1" CR LF   *( name ":" OWS value OWS CR LF )   CR LF
//           ^    ^ target             ^ names and values in order         ^ size
//
// All places are offsets from the head's first byte until the head is complete, so the buffer may
// move. Memory: two offsets for each name and value, at most limits.headers of them; of that 4 KiB
// are kept from head to head.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "proxy/http1.h"
#include "proxy/http1_rules.h"

namespace spillway {

struct Piece {
  std::size_t begin = 0, end = 0;  // end 0: not seen (no piece ends at a head's first byte)
};

class HeadReader {
 public:
  enum class Side : std::uint8_t { kRequest, kResponse };
  HeadReader(Side side, const MessageLimits& limits);
  void SetLimits(const MessageLimits& limits);
  const MessageLimits& limits() const;
  ~HeadReader();

  void Reset();
  // kNeedMore, kHead or kFailed. `skip`: so many bytes at the front are not the head's.
  ParseStep Feed(const char* base, std::size_t from, std::size_t to, std::size_t skip);

  // After kFailed.
  const Refusal& refusal() const;

  // After kHead.
  std::size_t size() const;         // with the empty line
  Piece target() const;             // requests; end 0: there was none
  std::string_view method() const;  // as llhttp understood it
  int status() const;               // as llhttp understood it
  // Checks the lines from offset `at` on and makes views of them. False: some line is not as it
  // should be.
  bool FillFields(const char* base, std::size_t at, std::vector<HeaderField>* headers,
                  FieldKinds* fields) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Moves a view, or the views of fields, from an old buffer (which may be gone, hence a number) to a
// new one.
void MoveView(std::string_view* view, std::uintptr_t from, const char* to);
void MoveFields(std::vector<HeaderField>* headers, std::uintptr_t from, const char* to);

}  // namespace spillway
