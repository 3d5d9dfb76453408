// SPDX-License-Identifier: MIT
// Asks one upstream server, again and again, whether it is well: a GET on a connection of its own,
// in HTTP/1.1 or HTTP/2 as the pool says, with TLS where requests to it have it. `fall` failures in
// a row make the endpoint unhealthy, `rise` answers in a row healthy again. A final 2xx or 3xx
// within the time limit is an answer; its body is not read. A check that we had no descriptor for
// counts as none.
//
// Thread rule: one loop thread. Memory: at most kMostHead of an answer, while a check is under way.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/connecting.h"
#include "proxy/health_check_http2.h"
#include "proxy/http1.h"
#include "proxy/loop.h"
#include "proxy/stream.h"
#include "proxy/upstream.h"
#include "spillway/config.h"

namespace spillway {

// The first check comes within one interval, at a moment that depends on the endpoint, so that many
// servers are not asked at the same instant.
class HealthCheck {
 public:
  HealthCheck(Loop& loop, std::string pool, std::shared_ptr<Endpoint> endpoint,
              const HealthCheckConfig& config,
              UpstreamProtocol protocol = UpstreamProtocol::kHttp1);
  ~HealthCheck();
  HealthCheck(const HealthCheck&) = delete;
  HealthCheck& operator=(const HealthCheck&) = delete;

  // Whether it would ask the same.
  bool Same(const HealthCheckConfig& config, UpstreamProtocol protocol) const;
  // Asks now, or says how the check went that is under way; `done` is called once. One that goes well makes
  // the server healthy at once.
  void AskNow(std::function<void(bool well)> done);
  // From the next check on; null: in the clear, as at the beginning.
  void UseTls(std::shared_ptr<const TlsClientContext> tls) { tls_ = std::move(tls); }

 private:
  static constexpr std::size_t kMostHead = 16 * 1024;

  void Begin();
  void OnReady();
  bool Establish();
  bool Ask();
  void Listen();
  void OnTimer();
  void Take(std::string_view bytes);
  void Parse(std::size_t from);
  void Finish(std::string_view failure);  // empty: it is well
  void FinishUnasked();                   // for want of something of ours

  Loop& loop_;
  const std::string pool_;
  const std::shared_ptr<Endpoint> endpoint_;
  const HealthCheckConfig config_;
  const UpstreamProtocol protocol_;
  Deadline timer_;  // the next check, or the time limit of this one
  ResponseParser parser_;
  std::unique_ptr<Http2Question> question_;  // in HTTP/2, in the parser's place
  std::shared_ptr<const TlsClientContext> tls_;
  std::optional<Stream> stream_;
  std::unique_ptr<IoWatch> watch_;  // not null: a check is under way
  std::string unsent_;
  std::string received_;     // of HTTP/1
  std::size_t head_at_ = 0;  // where the head being read begins in received_
  Connecting connecting_;
  bool connected_ = false;
  std::uint32_t good_ = 0, bad_ = 0;              // in a row
  std::vector<std::function<void(bool)>> asked_;  // who is to be told of this check
};

}  // namespace spillway
