// SPDX-License-Identifier: MIT
// A request, and the answer to one, as the rules see it: a bundle of borrowed views. The proxy fills it from the parsed
// head; every view stays valid for as long as the exchange holds that head. Nothing here owns
// memory. Thread rule: plain values.
#pragma once

#include <span>
#include <string_view>

#include "spillway/address.h"
#include "spillway/text.h"

namespace spillway {

struct HeaderField {
  std::string_view name;   // as received; compared without case
  std::string_view value;  // without surrounding white space
};

struct Request {
  std::string_view method;              // as received: "GET"
  std::string_view target;              // as received: "/a/../b?x=1"
  std::string_view path;                // normalised for matching (see spillway/target.h): "/b"
  std::string_view query;               // as received, without '?': "x=1"
  std::string_view host;                // lower case, without port; empty when there is none
  std::string_view scheme;              // "http" or "https", as the client sees it
  std::string_view protocol;            // "HTTP/1.0", "HTTP/1.1", "HTTP/2.0"
  std::string_view ja4;                 // of the TLS client; empty: none, or no TLS
  std::string_view client_certificate;  // its subject, "CN=a,O=b"; empty: none was asked or shown
  std::span<const HeaderField> headers;
  IpAddress client;  // as identified: the peer, or what a trusted proxy said
};

// What a server answered, as the rules see it: its final head. Borrowed in the same way.
struct Response {
  int status = 0;
  std::span<const HeaderField> headers;
};

// The first header of that name, or nullptr.
const HeaderField* FindHeader(std::span<const HeaderField> headers, std::string_view name);

}  // namespace spillway
