// SPDX-License-Identifier: MIT
// A client's connection once it speaks HTTP/2: many streams, each with an exchange of its own, over
// one session. Sets the connection's time limits; the streams keep theirs.
//
// Thread rule: one worker's loop thread; belongs to its ClientConnection. Memory: streams, at most
// clients.http2.streams of them; frames are gathered in the worker's room.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/client_protocol.h"
#include "proxy/http2.h"
#include "proxy/loop.h"
#include "proxy/stream_list.h"
#include "spillway/config.h"

namespace spillway {

class ClientConnection;
class Http2Spares;
class Http2Stream;

class Http2Connection final : public ClientProtocol, public Http2Handler {
 public:
  explicit Http2Connection(ClientConnection& carrier);
  ~Http2Connection() override;

  // ---- for the carrier ----
  void Receive(std::string_view bytes);
  void OnReadable() override;
  void OnFlushed() override;
  void OnReadExpired() override;
  void OnWriteExpired() override;
  void OnBroken() override;
  void OnClosed() override;
  void Drain() override;
  void GiveUp() override;
  bool at_rest() const override { return false; }
  bool Forget() override { return false; }

  // ---- for the streams ----
  ClientConnection& carrier() { return carrier_; }
  std::string_view peer_text() const { return peer_text_; }
  Http2Session& session() { return session_; }
  const ClientConfig& config() const;
  // Sends what the session has, as far as the kernel takes it. False: the connection is broken; it
  // will be closed when the caller has returned.
  bool Pump();
  bool PumpSoon();  // at the end of the loop's turn
  void Bury(std::int32_t stream);

  std::shared_ptr<Http2Request> NewHttp2Request() override;
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
  Http2Spares& spares();
  enum class Clock : std::uint8_t { kNone, kIdle, kHead };
  bool Send(std::string_view frames);
  void End();
  void GoAwaySoon();
  void SetDeadline();
  bool over() const;

  ClientConnection& carrier_;
  const std::string peer_text_;
  Http2Session session_;
  StreamList<std::unique_ptr<Http2Stream>> streams_;
  std::vector<std::unique_ptr<Http2Stream>> graveyard_;  // never freed under a callback of theirs
  TurnEnd later_;   // for what must not be done under a caller's feet
  Deadline grace_;  // between saying that we go and going
  std::uint64_t requests_ = 0;
  bool receiving_ = false, pumping_ = false, settling_ = false;
  bool broken_ = false;
  bool ending_ = false;  // no more is read: what is left is sent, then the carrier is closed
  bool going_ = false;
  Clock clock_ = Clock::kNone;  // what the carrier's read deadline is for
};

}  // namespace spillway
