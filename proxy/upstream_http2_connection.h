// SPDX-License-Identifier: MIT
// One connection of HTTP/2 to an upstream server, and the streams on it. What comes is first taken
// in whole, then the exchanges are told: so none of them runs within the session's callbacks.
//
// Thread rule: one worker's loop thread. Its streams hold it: when it has broken they still read
// from themselves what came before. Memory: see proxy/upstream_http2_stream.h for a stream; frames
// that the kernel did not take, at most one batch (64 KiB) and a frame.
#pragma once

#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "proxy/buffer.h"
#include "proxy/connecting.h"
#include "proxy/loop.h"
#include "proxy/upstream.h"
#include "proxy/upstream_http2_session.h"
#include "proxy/upstream_places.h"
#include "proxy/upstream_side.h"

namespace spillway {

class Http2Upstreams;
class Http2UpstreamStream;

class Http2UpstreamConnection final : public Http2UpstreamHandler,
                                      public std::enable_shared_from_this<Http2UpstreamConnection> {
 public:
  Http2UpstreamConnection(Loop& loop, Http2Upstreams& owner, std::shared_ptr<Endpoint> endpoint,
                          UpstreamPlaces::Socket socket, const TlsClientContext* tls,
                          const PoolConfig& config);
  ~Http2UpstreamConnection();

  // ---- for its owner ----
  bool has_room() const;  // for one more stream
  bool idle() const { return streams_.empty(); }
  // Reads what has come over an idle connection: whether it still has room.
  bool StillGood();
  std::unique_ptr<Http2UpstreamStream> Attach(UpstreamUser& user);
  void Close();  // REQUIRES: idle

  // ---- for its streams ----
  const std::shared_ptr<Endpoint>& endpoint() const { return endpoint_; }
  Loop& loop() { return loop_; }
  Http2UpstreamSession& session() { return session_; }
  bool connected() const { return connected_; }
  bool broken() const { return broken_; }
  // Why it could not be had; empty: it could, or may yet.
  std::string_view connect_fault() const { return connecting_.fault(); }
  bool reached() const { return connecting_.reached(); }
  std::string_view tls_fault() const { return stream_.tls_fault(); }
  bool certificate_refused() const { return stream_.certificate_refused(); }
  bool encrypted() const { return stream_.encrypted(); }
  void Know(std::int32_t id, Http2UpstreamStream& stream) { known_[id] = &stream; }
  // Sends what the session has, as far as the kernel takes it. False: the connection is broken.
  bool Pump();
  // Before the loop waits again: sends; tells the stream's user what it wants to hear.
  void PumpSoon();
  void TellSoon(Http2UpstreamStream& stream);
  // `expired`: it waited in vain. Maybe nobody is there any more, and a stream's end does not tell.
  void Detach(Http2UpstreamStream& stream, std::int32_t id, bool expired);

  void OnHttp2Response(std::int32_t id, std::unique_ptr<Http2Response> head) override;
  void OnHttp2Body(std::int32_t id, std::string_view bytes) override;
  void OnHttp2End(std::int32_t id, std::unique_ptr<Http2Response> trailers) override;
  void OnHttp2Closed(std::int32_t id, Http2End how, std::string_view why) override;
  Http2Part OnHttp2Want(std::int32_t id, std::span<char> into,
                        std::vector<HeaderField>* trailers) override;

 private:
  enum class Clock : std::uint8_t { kNone, kIdle, kStall };
  // Runs `what`, then sends and tells what came of it.
  template <class What>
  static void Event(void* self, What what);
  Http2UpstreamStream* Find(std::int32_t id);
  void OnReadable();
  void Establish();
  void OnWritable();
  void OnExpired();
  void Receive();
  void Flush();
  void Tell();
  void Break(std::string_view violation);  // empty: none
  void Fail(Http2End how, std::string_view why);
  void SetClock(Clock clock, Duration after);

  Loop& loop_;
  Http2Upstreams& owner_;
  const std::shared_ptr<Endpoint> endpoint_;
  const PoolConfig::KeepAlive keep_;
  const Duration stall_;  // the longest that the server takes nothing
  const UpstreamPlaces::Place place_;
  Stream stream_;
  IoWatch watch_;
  Deadline deadline_;
  TurnEnd later_;  // for what must not be done under a caller's feet
  Http2UpstreamSession session_;
  Output out_;
  std::vector<Http2UpstreamStream*> streams_;
  std::unordered_map<std::int32_t, Http2UpstreamStream*> known_;  // to the session
  std::vector<Http2UpstreamStream*> news_;  // streams to be told; null: gone since
  Clock clock_ = Clock::kNone;              // what the deadline is for
  std::size_t queued_ = 0;                  // streams that were opened while output waits
  Connecting connecting_;
  bool connected_ = false, broken_ = false;
  bool doubted_ = false;   // takes no more streams until something is heard
  bool working_ = false;   // the session is at work, and must not be entered
  bool in_event_ = false;  // which ends with sending and telling
};

}  // namespace spillway
