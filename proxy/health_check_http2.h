// SPDX-License-Identifier: MIT
// A health check's question to a server that is spoken to in HTTP/2: one GET on a session of its
// own. No I/O: the caller brings bytes and takes bytes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/upstream_http2_session.h"

namespace spillway {

class Http2Question final : public Http2UpstreamHandler {
 public:
  // `scheme`: of the connection.
  Http2Question(const std::string& path, const std::string& host, std::string_view scheme,
                const MessageLimits& limits);

  std::string TakeOutput();
  void Receive(std::string_view bytes, TimePoint now);
  // What is wrong with the answer, empty: nothing; nullopt: it has not come yet.
  const std::optional<std::string>& failure() const { return failure_; }

  void OnHttp2Response(std::int32_t stream, std::unique_ptr<Http2Response> head) override;
  void OnHttp2Body(std::int32_t, std::string_view) override {}  // it is not read
  void OnHttp2End(std::int32_t, std::unique_ptr<Http2Response>) override {}
  void OnHttp2Closed(std::int32_t stream, Http2End how, std::string_view why) override;
  Http2Part OnHttp2Want(std::int32_t, std::span<char>, std::vector<HeaderField>*) override {
    return {0, true};
  }

 private:
  Http2UpstreamSession session_;
  std::optional<std::string> failure_;
};

// What a final status says of a server's health: empty, or what is wrong.
std::string JudgeHealth(int status);

}  // namespace spillway
