// SPDX-License-Identifier: MIT
#include "proxy/health_check.h"

#include <sys/socket.h>

#include <cstring>
#include <utility>

#include "proxy/log.h"
#include "proxy/socket.h"

namespace spillway {

HealthCheck::HealthCheck(Loop& loop, std::string pool, std::shared_ptr<Endpoint> endpoint,
                         const HealthCheckConfig& config, UpstreamProtocol protocol)
    : loop_(loop),
      pool_(std::move(pool)),
      endpoint_(std::move(endpoint)),
      config_(config),
      protocol_(protocol),
      timer_(loop, this, [](void* self) { static_cast<HealthCheck*>(self)->OnTimer(); }),
      parser_(MessageLimits{.head = kMostHead}) {
  const auto share = static_cast<std::int64_t>(endpoint_->identity % 1000);
  timer_.SetAfter(config_.interval * share / 1000);
}

HealthCheck::~HealthCheck() = default;

void HealthCheck::OnTimer() {
  if (watch_) {
    Finish(connected_ ? "no answer within the time limit" : "no connection within the time limit");
  } else {
    Begin();
  }
}

void HealthCheck::Begin() {
  timer_.SetAfter(config_.timeout);
  auto fd = StartConnect(endpoint_->address);
  if (!fd && IsOurShortage(fd.error())) return FinishUnasked();
  if (!fd) return Finish(std::strerror(fd.error()));
  if (tls_) {
    stream_.emplace(std::move(*fd), *tls_, TlsPeer{endpoint_->tls_name, &endpoint_->session});
  } else {
    stream_.emplace(std::move(*fd));
  }
  const bool is_unix = endpoint_->address.family() == AF_UNIX;
  const std::string host = !config_.host.empty() ? config_.host
                           : is_unix             ? "localhost"
                                                 : endpoint_->text;
  if (protocol_ == UpstreamProtocol::kHttp2) {
    question_ = std::make_unique<Http2Question>(config_.path, host, tls_ ? "https" : "http",
                                                MessageLimits{.head = kMostHead});
    unsent_ = question_->TakeOutput();
  } else {
    unsent_ = "GET " + config_.path + " HTTP/1.1\r\nHost: " + host +
              "\r\nUser-Agent: spillway-health-check\r\nAccept: */*\r\nConnection: close\r\n\r\n";
  }
  received_.clear();
  head_at_ = 0;
  connected_ = false;
  connecting_ = {};
  parser_.Reset("GET");
  const auto ready = [](void* self) { static_cast<HealthCheck*>(self)->OnReady(); };
  watch_ = std::make_unique<IoWatch>(loop_, stream_->fd(), this, ready, ready);
  watch_->WantWrite(true);
}

void HealthCheck::AskNow(std::function<void(bool)> done) {
  asked_.push_back(std::move(done));
  if (!watch_) Begin();
}

// Each step goes on with the one before it until that is done.
void HealthCheck::OnReady() {
  if (Establish() && Ask()) Listen();
}

// The connect, and the TLS handshake behind it.
bool HealthCheck::Establish() {
  if (connected_) return true;
  const Connecting::Step step = connecting_.GoOn(*stream_, *watch_);
  if (step == Connecting::Step::kWaits) return false;
  if (step == Connecting::Step::kFailed) {
    const bool by_tls = !stream_->tls_fault().empty();
    Finish((by_tls ? "TLS: " : "") + std::string(connecting_.fault()));
    return false;
  }
  if (tls_ && question_ && !stream_->chose_http2()) {
    Finish("TLS: the server does not offer HTTP/2");
    return false;
  }
  connected_ = true;
  return true;
}

bool HealthCheck::Ask() {
  if (unsent_.empty()) return true;
  const iovec vector{unsent_.data(), unsent_.size()};
  const IoResult sent = stream_->Write({&vector, 1});
  if (sent.status == IoStatus::kBroken) {
    Finish("the connection broke");
    return false;
  }
  unsent_.erase(0, sent.bytes);
  watch_->WantWrite(!unsent_.empty());
  watch_->WantRead(unsent_.empty() || stream_->write_wants_read());
  return unsent_.empty();
}

void HealthCheck::Listen() {
  char buffer[4096];
  do {
    const IoResult got = stream_->Read(buffer);
    if (got.status == IoStatus::kWouldBlock) return;
    if (got.status == IoStatus::kEnd) return Finish("closed without an answer");
    if (got.status == IoStatus::kBroken) return Finish("the connection broke");
    Take({buffer, got.bytes});
  } while (stream_ && stream_->has_pending());
}

void HealthCheck::Take(std::string_view bytes) {
  if (question_) {
    question_->Receive(bytes, loop_.now());
    unsent_ += question_->TakeOutput();
    if (question_->failure()) return Finish(*question_->failure());
    return watch_->WantWrite(!unsent_.empty());
  }
  const std::size_t from = received_.size();
  received_.append(bytes);
  // Interim heads may come before the final one, each within kMostHead; all of them together too.
  if (received_.size() > kMostHead) return Finish("the answer's head is too long");
  Parse(from);
}

void HealthCheck::Parse(std::size_t from) {
  for (;;) {
    switch (
        parser_.Feed(received_.data() + head_at_, from - head_at_, received_.size() - head_at_)) {
      case ParseStep::kNeedMore:
        return;
      case ParseStep::kHead: {
        if (!parser_.head().interim()) {
          return Finish(JudgeHealth(parser_.head().status));
        }
        head_at_ += parser_.taken();
        from = head_at_;
        parser_.NextHead();
        break;
      }
      case ParseStep::kFailed:
        return Finish("not HTTP: " + std::string(parser_.error()));
      case ParseStep::kBody:
      case ParseStep::kEnd:
        return Finish("not HTTP");  // cannot come before a final head
    }
  }
}

void HealthCheck::Finish(std::string_view failure) {
  watch_.reset();
  stream_.reset();
  timer_.SetAfter(config_.interval);
  const bool healthy = endpoint_->healthy.load(std::memory_order_relaxed);
  const auto asked = std::exchange(asked_, {});
  if (failure.empty()) {
    ++good_;
    bad_ = 0;
    if (!healthy && (good_ >= config_.rise || !asked.empty())) {
      endpoint_->well_since.store(loop_.now().time_since_epoch().count(),
                                  std::memory_order_relaxed);
      endpoint_->healthy.store(true, std::memory_order_relaxed);
      log::Info("pool {}: {} is healthy again", pool_, endpoint_->text);
    }
  } else {
    ++bad_;
    good_ = 0;
    if (healthy && bad_ >= config_.fall) {
      endpoint_->healthy.store(false, std::memory_order_relaxed);
      log::Warning("pool {}: {} is unhealthy: {}", pool_, endpoint_->text, log::Escape(failure));
    }
  }
  for (const auto& done : asked) done(failure.empty());
}

// Nothing was learnt of the server: it is asked again when its time comes.
void HealthCheck::FinishUnasked() {
  timer_.SetAfter(config_.interval);
  for (const auto& done : std::exchange(asked_, {})) done(false);
}

bool HealthCheck::Same(const HealthCheckConfig& config, UpstreamProtocol protocol) const {
  return protocol == protocol_ && config.path == config_.path && config.host == config_.host &&
         config.interval == config_.interval && config.timeout == config_.timeout &&
         config.rise == config_.rise && config.fall == config_.fall;
}

}  // namespace spillway
