// SPDX-License-Identifier: MIT
// A worker's connections of HTTP/1 to upstream servers: one that serves an exchange, and those kept
// idle between two.
//
// Thread rule: one worker's loop thread. Memory: an idle connection holds no buffer; how many are
// kept for each endpoint is the pool's keep_alive.connections.
#pragma once

#include <atomic>
#include <memory>
#include <unordered_map>
#include <vector>

#include "proxy/buffer.h"
#include "proxy/connecting.h"
#include "proxy/http1.h"
#include "proxy/loop.h"
#include "proxy/stream.h"
#include "proxy/upstream.h"
#include "proxy/upstream_places.h"
#include "proxy/upstream_side.h"

namespace spillway {

class UpstreamCache;

class UpstreamConnection final : public UpstreamSide {
 public:
  UpstreamConnection(Loop& loop, BlockPool& blocks, UpstreamCache& cache,
                     std::shared_ptr<Endpoint> endpoint, UpstreamPlaces::Socket socket,
                     std::size_t response_head, const TlsClientContext* tls);

  void Use(UpstreamUser& user) { user_ = &user; }
  // Whether it may serve a request. `look`: one that could not be repeated, which is worth a look at
  // the socket (a system call).
  bool Trusted(bool look) { return (!look && !doubtful_) || StillQuiet(); }

  bool connected() const override { return connected_; }
  std::string_view FinishConnect() override;
  bool reached() const override { return connecting_.reached(); }
  std::string_view tls_fault() const override { return stream_.tls_fault(); }
  bool certificate_refused() const override { return stream_.certificate_refused(); }
  bool has_pending() const override { return stream_.has_pending(); }
  bool stale() const override { return reused_; }
  bool unprocessed() const override { return false; }
  void SetDeadline(Duration after) override { deadline_.SetAfter(after); }
  void ClearDeadline() override { deadline_.Clear(); }
  bool outlives_user() const override { return true; }
  void ChangeUser(UpstreamUser& user) override { user_ = &user; }
  void WantRead(bool want) override { watch_.WantRead(want); }
  void WantWrite(bool want) override { watch_.WantWrite(want); }
  void BeginRequest(const RequestHead& head, const ForwardRequest& forward, std::string* room,
                    std::vector<iovec>* pieces) override;
  IoStatus SendBody(std::vector<iovec>* pieces, bool last,
                    std::span<const HeaderField> trailers) override;
  std::size_t unsent() const override { return out_.size(); }
  IoStatus Flush(bool* moved) override;
  ReadResult Read() override;
  ParseStep Next(bool ended) override;
  const ResponseHead& head() const override { return parser_.head(); }
  std::string_view body() const override { return parser_.body(); }
  std::span<const HeaderField> trailers() const override { return parser_.trailers(); }
  std::string_view error() const override { return parser_.error(); }
  void NextHead() override;
  void ReleasePieces() override;
  void Finish(const UpstreamFinish& how) override;
  std::string_view EnterTunnel() override;
  IoResult ReadTunnel(std::span<char> into) override;
  IoStatus WriteTunnel(iovec bytes) override;
  void EndTunnelInput() override { stream_.ShutdownWrite(); }
  void DropUnsent() override { out_.Clear(); }

 private:
  friend class UpstreamCache;
  static void OnReadable(void* self);
  static void OnWritable(void* self);
  static void OnExpired(void* self);
  void Establish();
  // A peek at the socket: false when the server has closed it or sent what nobody asked for.
  bool StillQuiet();

  const std::shared_ptr<Endpoint> endpoint_;
  const UpstreamPlaces::Place place_;
  Stream stream_;
  IoWatch watch_;
  Deadline deadline_;
  InputBuffer in_;
  std::size_t parsed_ = 0;  // how much of in_ the parser has taken
  ResponseParser parser_;
  Output out_;
  std::size_t head_pieces_ = 0;  // of what SendBody is called with: no part of the body
  ReliedOn relied_on_;           // for the request's trailers
  bool chunked_ = false;         // the request's body
  bool connected_ = false;
  bool drained_ = false;          // the last read left nothing
  bool doubtful_ = false;         // its last answer had no body: one may come late, by mistake
  bool reused_ = false;           // has served an exchange before this one
  UpstreamUser* user_ = nullptr;  // null: idle in the cache
  UpstreamCache& cache_;
  Connecting connecting_;
};

// Idle connections by endpoint; the last one put back is the first one taken.
class UpstreamCache {
 public:
  UpstreamCache(Loop& loop, BlockPool& blocks, UpstreamPlaces& places)
      : loop_(loop), blocks_(blocks), places_(places) {}

  // An idle connection, or null. Takes no system call.
  std::unique_ptr<UpstreamConnection> Take(const Endpoint& endpoint);
  // Begins to connect, and to speak TLS when `tls` is not null; or the errno with which the system
  // refuses at once, EMFILE when all places are taken.
  tl::expected<std::unique_ptr<UpstreamConnection>, int> Connect(std::shared_ptr<Endpoint> endpoint,
                                                                 std::size_t response_head,
                                                                 const TlsClientContext* tls);
  // Keeps a connection whose exchange ended cleanly, or closes it when there are `most` already.
  void Put(std::unique_ptr<UpstreamConnection> connection, std::size_t most, Duration idle);
  void CloseAll();
  std::size_t size() const { return size_.load(std::memory_order_relaxed); }  // from any thread

 private:
  friend class UpstreamConnection;
  static constexpr std::size_t kManyEndpoints = 256;
  void Drop(UpstreamConnection* connection);  // an idle one that was closed, broken or is too old
  Loop& loop_;
  BlockPool& blocks_;
  UpstreamPlaces& places_;
  // Keyed by address: an Endpoint lives as long as a connection to it.
  std::unordered_map<const Endpoint*, std::vector<std::unique_ptr<UpstreamConnection>>> idle_;
  std::atomic<std::size_t> size_{0};  // written by the worker alone
};

}  // namespace spillway
