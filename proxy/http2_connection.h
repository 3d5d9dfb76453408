// SPDX-License-Identifier: MIT
// A client's connection once it speaks HTTP/2: many streams, each with an exchange of its own, over
// one session. Keeps the connection's time limits; the streams keep theirs.
//
// Thread rule: one worker's loop thread; belongs to its ClientConnection. Memory: streams, at most
// clients.http2.streams of them, and one batch of frames (64 KiB) while it is sent.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "proxy/http2.h"
#include "proxy/loop.h"
#include "spillway/config.h"

namespace spillway {

class ClientConnection;
class Http2Stream;

class Http2Connection final : public Http2Handler {
 public:
  explicit Http2Connection(ClientConnection& carrier);
  ~Http2Connection();

  // ---- for the carrier ----
  void Receive(std::string_view bytes);
  void OnFlushed();  // all that was sent is with the kernel
  void OnExpired();  // the carrier's read deadline
  void OnClosed();   // the carrier is closed: every exchange is accounted
  void Drain();

  // ---- for the streams ----
  ClientConnection& carrier() { return carrier_; }
  Http2Session& session() { return session_; }
  const ClientConfig& config() const;
  // Sends what the session has, as far as the kernel takes it. False: the connection is broken; it
  // will be closed when the caller has returned.
  bool Pump();
  void PumpSoon();  // at the loop's next turn
  void Bury(std::int32_t stream);

  void OnHttp2Head(std::int32_t stream, std::shared_ptr<Http2Request> request) override;
  void OnHttp2Body(std::int32_t stream, std::string_view bytes) override;
  void OnHttp2End(std::int32_t stream) override;
  void OnHttp2Closed(std::int32_t stream, Http2Error error) override;
  Http2Part OnHttp2Want(std::int32_t stream, std::span<char> into,
                        std::vector<HeaderField>* trailers) override;

 private:
  static void OnLater(void* self);
  static void OnGrace(void* self);
  void Later();
  Http2Stream* Find(std::int32_t id);
  enum class Clock : std::uint8_t { kNone, kIdle, kHead };
  void GoAwaySoon();
  void SetDeadline();
  bool over() const;

  ClientConnection& carrier_;
  Http2Session session_;
  std::unordered_map<std::int32_t, std::unique_ptr<Http2Stream>> streams_;
  std::vector<std::unique_ptr<Http2Stream>> graveyard_;  // never freed under a callback of theirs
  Deadline later_;  // for what must not be done under a caller's feet
  Deadline grace_;  // between saying that we go and going
  std::string frames_;
  std::uint64_t requests_ = 0;
  bool receiving_ = false, pumping_ = false;
  bool broken_ = false;
  bool ending_ = false;  // no more is read: what is left is sent, then the carrier is closed
  bool going_ = false;
  Clock clock_ = Clock::kNone;  // what the carrier's read deadline is for
};

}  // namespace spillway
