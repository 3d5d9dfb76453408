// SPDX-License-Identifier: MIT
// Puts one HTTP/2 response head together, field by field, into the form that HTTP/1's has, and
// judges it by the same rules. What the frame layer does not look at is judged here.
//
// Memory: at most limits.head bytes of text and limits.headers fields; what is beyond is not kept.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/http1.h"

namespace spillway {

// A head, interim or final, or the trailers, with the text that their views are of.
class Http2Response {
 public:
  // One field in order of arrival, pseudo fields first. REQUIRES: its grammar has been checked.
  // False: it is one too many.
  bool Add(std::string_view name, std::string_view value, const MessageLimits& limits);
  // The head is complete; `ended`: and nothing follows; `to_head`: the request was HEAD. Why it is
  // refused, or empty.
  std::string_view TakeHead(bool ended, bool to_head);
  const ResponseHead& head() const { return head_; }  // after TakeHead
  // Instead of TakeHead: what came are trailers.
  std::vector<HeaderField> TakeTrailers() const;

 private:
  struct Place {
    std::size_t begin, name, value;  // where the name begins, and both sizes
  };
  HeaderField View(const Place& place) const;
  std::string text_;
  std::vector<Place> places_;
  std::string status_;
  std::size_t bytes_ = 0;
  ResponseHead head_;
};

}  // namespace spillway
