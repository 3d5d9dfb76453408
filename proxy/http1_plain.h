// SPDX-License-Identifier: MIT
// Heads as nearly all are, read in one pass: whole, without anything unusual. What is not plain is
// neither refused nor understood here; llhttp reads it (http1_head.h). Plain is
//
//   method     one of the common ones, then one space
//   target     begins with "/", visible ASCII without "#"
//   version    HTTP/1.1
//   status     200 to 599, then a space and a reason
//   line       token ":" value CR LF, where no byte of the value is a control character but tab
//   framing    one Content-Length of at most 18 digits with nothing behind them, or none; no
//              Transfer-Encoding, no Upgrade
//
// All of it within the limits. A plain head is a head to llhttp too, and read as it reads it: the
// rules above are those that http1.cc holds its lines against, and leave out each field that llhttp
// itself looks into and could refuse. The fuzzers and the tests that cut messages at each byte
// compare the two: a head that comes in pieces is llhttp's.
#pragma once

#include <cstddef>
#include <string_view>

#include "proxy/http1.h"

namespace spillway {

// The head's size with its empty line; 0 when the bytes do not begin with a whole plain one. Fills
// in what stands there: all that JudgeRequest and JudgeResponse require. After 0 nothing is said of
// the head.
std::size_t ReadPlainHead(std::string_view bytes, const MessageLimits& limits, RequestHead* head);
std::size_t ReadPlainHead(std::string_view bytes, const MessageLimits& limits, ResponseHead* head);

}  // namespace spillway
