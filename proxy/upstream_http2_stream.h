// SPDX-License-Identifier: MIT
// One stream of HTTP/2 as its exchange's upstream side. The response comes in through a window that
// opens as the client takes it; the request goes out as the server's windows allow.
//
// Thread rule: one worker's loop thread; belongs to its exchange and holds its connection. Memory:
// one window of the response's body, one read of the request's, heads as the session bounds them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/loop.h"
#include "proxy/upstream_http2_session.h"
#include "proxy/upstream_side.h"

namespace spillway {

class Http2UpstreamConnection;

class Http2UpstreamStream final : public UpstreamSide {
 public:
  Http2UpstreamStream(std::shared_ptr<Http2UpstreamConnection> connection, UpstreamUser& user);
  ~Http2UpstreamStream() override;

  // ---- for the connection ----
  void TakeHead(std::unique_ptr<Http2Response> head) { heads_.push_back(std::move(head)); }
  void TakeBody(std::string_view bytes) { in_.append(bytes); }
  void TakeEnd(std::unique_ptr<Http2Response> trailers);
  void TakeClose(Http2End how, std::string_view why);
  Http2Part GiveBody(std::span<char> into, std::vector<HeaderField>* trailers);
  void Tell();              // the user, what it wants to hear; it may end this
  bool to_be_told = false;  // is in the connection's list

  // ---- for the exchange ----
  bool connected() const override { return connected_; }
  std::string_view FinishConnect() override;
  bool reached() const override;
  std::string_view tls_fault() const override;
  bool certificate_refused() const override;
  bool has_pending() const override { return false; }
  bool stale() const override;
  bool unprocessed() const override { return closed_ && how_ == Http2End::kUnprocessed; }
  void SetDeadline(Duration after) override { deadline_.SetAfter(after); }
  void ClearDeadline() override { deadline_.Clear(); }
  bool outlives_user() const override { return false; }  // a reset tells the server
  void ChangeUser(UpstreamUser&) override {}
  void WantRead(bool want) override;
  void WantWrite(bool want) override { wants_write_ = want; }
  void BeginRequest(const RequestHead& head, const ForwardRequest& forward, std::string* room,
                    std::vector<iovec>* pieces) override;
  IoStatus SendBody(std::vector<iovec>* pieces, bool last,
                    std::span<const HeaderField> trailers) override;
  std::size_t unsent() const override { return closed_ ? 0 : out_.size() - sent_; }
  IoStatus Flush(bool* moved) override;
  ReadResult Read() override;
  ParseStep Next(bool ended) override;
  const ResponseHead& head() const override { return head_->head(); }
  std::string_view body() const override { return piece_; }
  std::span<const HeaderField> trailers() const override { return trailers_; }
  std::string_view error() const override { return why_; }
  void NextHead() override { head_.reset(); }
  void ReleasePieces() override;
  void Finish(const UpstreamFinish& how) override;
  // There are no tunnels: no response of HTTP/2 is a 101.
  std::string_view EnterTunnel() override { return {}; }
  IoResult ReadTunnel(std::span<char>) override { return {IoStatus::kBroken, 0}; }
  IoStatus WriteTunnel(iovec) override { return IoStatus::kBroken; }
  void EndTunnelInput() override {}
  void DropUnsent() override {}

 private:
  static void OnExpired(void* self);
  bool readable() const;  // there is something for Next
  void Consume(std::size_t bytes);

  const std::shared_ptr<Http2UpstreamConnection> connection_;
  UpstreamUser& user_;
  Deadline deadline_;
  const bool reused_;
  std::int32_t id_ = 0;  // 0: the session has not been told of it

  std::vector<std::unique_ptr<Http2Response>> heads_;  // that came; null: the exchange has had it
  std::size_t heads_given_ = 0;
  std::unique_ptr<Http2Response> head_;  // the one that the exchange has
  std::string in_;                       // of the body, not yet used up
  std::size_t given_ = 0;                // of it, to the exchange
  std::size_t used_ = 0;                 // used up, and the server has not been told so
  std::string_view piece_;
  std::unique_ptr<Http2Response> end_;  // the trailers' text
  std::vector<HeaderField> trailers_;

  ReliedOn relied_on_;  // for the request's trailers
  std::string out_;     // of the request's body, not yet taken by the session
  std::size_t sent_ = 0;
  std::vector<std::pair<std::string, std::string>> trailers_out_;

  Http2End how_ = Http2End::kWell;  // when closed_
  std::string_view why_;
  bool connected_;
  bool has_body_ = false;
  bool all_out_ = false;  // out_ is the request's end
  bool ended_ = false;    // the response's end has come
  bool closed_ = false;   // the session knows it no more
  bool expired_ = false;  // its deadline has passed
  bool wants_read_ = false, wants_write_ = false;
  bool moved_ = false;  // some of out_ went since the user was told, or will never go
};

}  // namespace spillway
