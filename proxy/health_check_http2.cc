// SPDX-License-Identifier: MIT
#include "proxy/health_check_http2.h"

namespace spillway {

std::string JudgeHealth(int status) {
  return status >= 200 && status < 400 ? std::string() : "status " + std::to_string(status);
}

Http2Question::Http2Question(const std::string& path, const std::string& host,
                             std::string_view scheme, const MessageLimits& limits)
    : session_(*this, {.message = limits, .streams = 1}) {
  const HeaderField fields[] = {
      {":method", "GET"},   {":scheme", scheme}, {":path", path},
      {":authority", host}, {"accept", "*/*"},   {"user-agent", "spillway-health-check"},
  };
  session_.Open(fields, /*has_body=*/false, /*to_head=*/false);
}

std::string Http2Question::TakeOutput() {
  std::string out;
  session_.Produce(64 * 1024, &out);
  if (session_.over() && !failure_) failure_ = "not HTTP/2";
  return out;
}

void Http2Question::Receive(std::string_view bytes, TimePoint now) {
  if (!failure_ && !session_.Receive(bytes, now)) failure_ = "not HTTP/2";
}

void Http2Question::OnHttp2Response(std::int32_t, std::unique_ptr<Http2Response> head) {
  if (!head->head().interim()) failure_ = JudgeHealth(head->head().status);
}

void Http2Question::OnHttp2Closed(std::int32_t, Http2End how, std::string_view why) {
  if (failure_) return;
  failure_ = how == Http2End::kViolation ? "not HTTP/2: " + std::string(why) : "it was reset";
}

}  // namespace spillway
