// SPDX-License-Identifier: MIT
// What an exchange knows of its upstream: one request to send and one response to read, whichever
// version of HTTP carries them. The counterpart of ClientSide. Framing, and what is kept when the
// response has ended (a connection, or all but one stream of it), are the business of whoever
// implements this.
//
// Thread rule: one worker's loop thread. An exchange calls; its upstream side calls the exchange
// back as its user, and never from within a call of the exchange's.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http1.h"
#include "proxy/stream.h"
#include "spillway/units.h"

namespace spillway {

// Who hears what happens on an upstream side while it is in use.
class UpstreamUser {
 public:
  virtual void OnUpstreamReadable() = 0;
  virtual void OnUpstreamWritable() = 0;  // also when the connect is done, well or not
  virtual void OnUpstreamDeadline() = 0;

 protected:
  ~UpstreamUser() = default;
};

// How an exchange ended that ended well.
struct UpstreamFinish {
  bool request_sent = false;  // all of the request has been given to SendBody
  bool to_head = false;       // the request was HEAD
  std::size_t keep = 0;       // how many idle connections may be kept
  Duration idle{0};           // and for how long
};

// Destroying one in the middle of its exchange tells the upstream that it was cut short.
class UpstreamSide {
 public:
  struct ReadResult {
    IoStatus status = IoStatus::kWouldBlock;  // kEnd: nothing will follow what has been read
    bool more = false;                        // worth another Read at once
  };

  virtual ~UpstreamSide() = default;
  UpstreamSide(const UpstreamSide&) = delete;
  UpstreamSide& operator=(const UpstreamSide&) = delete;

  // ---- the connection ----
  virtual bool connected() const = 0;
  // After OnUpstreamWritable of one that is not connected: "", or why the connect failed, or the TLS
  // handshake behind it.
  virtual std::string_view FinishConnect() = 0;
  // While it connects: the server has taken the connection, and what may fail yet is TLS.
  virtual bool reached() const = 0;
  // TLS: what it, or the verification of the server's certificate, found wrong; else "".
  virtual std::string_view tls_fault() const = 0;
  virtual bool certificate_refused() const = 0;
  // TLS has decrypted what no event will tell of: Read before waiting.
  virtual bool has_pending() const = 0;
  // When it broke: it looks like a kept connection that the server had closed before this request
  // came, which says nothing about the server.
  virtual bool stale() const = 0;
  // When it broke: the server says that it has done nothing of the request.
  virtual bool unprocessed() const = 0;
  virtual void SetDeadline(Duration after) = 0;  // OnUpstreamDeadline, unless moved or cleared
  virtual void ClearDeadline() = 0;
  // Whether the server would work on, were this destroyed now; and who hears of it from now on.
  virtual bool outlives_user() const = 0;
  virtual void ChangeUser(UpstreamUser& user) = 0;  // REQUIRES: outlives_user()
  virtual void WantRead(bool want) = 0;
  virtual void WantWrite(bool want) = 0;

  // ---- the request ----
  // Its head, which goes out with the first SendBody. *room is the caller's, for text that must
  // last until then; may begin *pieces, which are what SendBody is called with.
  virtual void BeginRequest(const RequestHead& head, const ForwardRequest& forward,
                            std::string* room, std::vector<iovec>* pieces) = 0;
  // Pieces of the body, which may be none; `last` with the trailers that end it. May add framing to
  // *pieces, which the caller clears. kOk, or kBroken: no more can be sent, though an answer may
  // still be there to read. REQUIRES: unsent() is 0.
  virtual IoStatus SendBody(std::vector<iovec>* pieces, bool last,
                            std::span<const HeaderField> trailers) = 0;
  // So many bytes wait for the upstream to take them: WantWrite, and give it no more.
  virtual std::size_t unsent() const = 0;
  // After OnUpstreamWritable: sends on. *moved becomes true when some of it went.
  virtual IoStatus Flush(bool* moved) = 0;

  // ---- the response ----
  // Reads what there is, once.
  virtual ReadResult Read() = 0;
  // The next of what has been read: kHead (head() has it), kBody (body()), kEnd (trailers()),
  // kNeedMore or kFailed (error() says why). `ended`: the last Read said kEnd.
  virtual ParseStep Next(bool ended) = 0;
  virtual const ResponseHead& head() const = 0;
  virtual std::string_view body() const = 0;
  virtual std::span<const HeaderField> trailers() const = 0;
  virtual std::string_view error() const = 0;
  // The interim head has been passed on: another one follows.
  virtual void NextHead() = 0;
  // All pieces of the body given so far are used up: their room is free again.
  virtual void ReleasePieces() = 0;
  // The response has ended well, and with it the exchange. Ends this object: what may serve again
  // is kept.
  virtual void Finish(const UpstreamFinish& how) = 0;

  // ---- a tunnel ----
  // After a 101: what has been read behind it, to be used before the next call.
  virtual std::string_view EnterTunnel() = 0;
  virtual IoResult ReadTunnel(std::span<char> into) = 0;
  virtual IoStatus WriteTunnel(iovec bytes) = 0;
  virtual void EndTunnelInput() = 0;  // the client has ended its side
  virtual void DropUnsent() = 0;

 protected:
  UpstreamSide() = default;
};

}  // namespace spillway
