// SPDX-License-Identifier: MIT
// Puts one HTTP/2 request head together, field by field, into the form that HTTP/1's has: pseudo
// fields become method, target and Host, cookie crumbs one Cookie. What the frame layer does not
// look at is judged here.
//
// Memory: at most limits.head bytes of text and limits.headers fields; what is beyond is not kept.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/http1.h"

namespace spillway {

struct Http2Request;

class Http2HeadBuilder {
 public:
  // One field in order of arrival, pseudo fields first. REQUIRES: its grammar has been checked.
  void Add(std::string_view name, std::string_view value, const MessageLimits& limits);
  // The head is complete; `ended`: and nothing follows. Views in *request are of this builder's
  // text.
  void TakeHead(bool ended, Http2Request* request);
  // What is added from now on are trailers.
  void BeginTrailers() { in_trailers_ = true; }
  void TakeTrailers(Http2Request* request) const;
  // Ready for another head; keeps some room for it.
  void Clear();
  // As HTTP/1 would write them, of all fields that came, kept or not.
  std::size_t bytes() const { return bytes_; }

 private:
  struct Span {
    std::size_t begin = 0, size = 0;
  };
  struct Place {
    Span name, value;
  };
  // Trailers have a text of their own: views of the head must not move.
  struct Section {
    std::string text;
    std::vector<Place> places;
    Span Keep(std::string_view more);
    void Clear();
    std::string_view View(Span span) const {
      return std::string_view(text).substr(span.begin, span.size);
    }
  };
  void AddPseudo(std::string_view name, std::string_view value);
  void JoinCookies();
  void Refuse(int status, std::string_view reason);

  struct Pseudo {
    Span method, path, scheme, authority, protocol;
  };
  Section head_, trailers_;
  bool in_trailers_ = false;
  Pseudo pseudo_;
  std::vector<Span> cookies_;
  std::size_t bytes_ = 0;
  int refusal_ = 0;
  std::string_view reason_;
};

}  // namespace spillway
