// SPDX-License-Identifier: MIT
// What an exchange knows of its client: one request to read and one answer to give, whichever
// version of HTTP carries them. Framing, and what ends with an answer (a connection or a stream of
// one), are the business of whoever implements this.
//
// Thread rule: one worker's loop thread. An exchange calls; its client side calls the exchange's
// On... functions back.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "proxy/http1.h"
#include "proxy/reply.h"
#include "proxy/stream.h"
#include "spillway/address.h"
#include "spillway/units.h"

namespace spillway {

struct WorkerContext;

class ClientSide {
 public:
  virtual WorkerContext& worker() = 0;
  virtual const IpAddress& peer() const = 0;
  virtual std::string_view peer_text() const = 0;
  virtual bool encrypted() const = 0;
  virtual TlsFacts tls_facts() const = 0;

  // ---- the request ----
  virtual const RequestHead& head() const = 0;
  virtual std::string_view protocol() const = 0;  // "HTTP/1.1", as logs write it
  // The next piece of the body that has been read: kBody (body() has it), kEnd (trailers() has
  // them), kNeedMore or kFailed (error() says why, error_status() what to answer).
  virtual ParseStep NextBodyPiece() = 0;
  virtual std::string_view body() const = 0;
  virtual std::span<const HeaderField> trailers() const = 0;
  virtual std::string_view error() const = 0;
  virtual int error_status() const = 0;
  // All pieces given so far are used up: their room is free again. True when more could be had at
  // once and has been.
  virtual bool ReadBodyAgain() = 0;
  // More body is wanted (read on), or is not for now. While it is wanted its silence has a limit,
  // OnBodyTimeout of the exchange, but not before the client may send it.
  virtual void WantBody(bool want) = 0;
  // The request waits here, maybe for long, and is not begun if its client goes: that has to be heard of.
  virtual void HearOfLeaving() = 0;
  // The client waits for a 100 (Expect: 100-continue): none was sent, nor has any of the body come.
  virtual bool awaits_continue() const = 0;

  // ---- the answer ----
  // Each Send is false when the client is gone (OnClientGone is then the exchange's to call).
  virtual bool SendInterim(const ResponseHead& head) = 0;
  // The final head; goes out with the first SendBody. `keep`: as far as the exchange knows, the
  // connection may serve another request; the answer is whether it may indeed.
  virtual bool BeginResponse(const ResponseHead& head, const ForwardResponse& forward,
                             bool keep) = 0;
  // Pieces of the body, which may be none; `last` with the trailers that end it. May add framing to
  // *pieces, which the caller clears.
  virtual bool SendBody(std::vector<iovec>* pieces, bool last,
                        std::span<const HeaderField> trailers) = 0;
  // An answer of our own, whole. `head_only`: the request was HEAD. It has a mould only where
  // takes_moulds() says so.
  virtual bool SendAnswer(const Answer& answer, bool head_only, bool keep) = 0;
  virtual bool takes_moulds() const = 0;
  // What was sent is still with us: read no more for this client.
  virtual bool output_full() const = 0;

  // The exchange is over: its last byte is in a Send's hands. `keep`: another request may follow.
  virtual void FinishExchange(bool keep) = 0;
  virtual bool may_keep() const = 0;
  // Ends at once; `reset` so that the client cannot take what it got for the whole.
  virtual void Close(bool reset) = 0;
  void Close() { Close(false); }
  // An event that was the upstream's is over: the last that an exchange says in it.
  virtual void Settle() = 0;

  // ---- a tunnel ----
  // From now on bytes are relayed as they come; OnClientReadable of the exchange reads them.
  // `head` is the 101, `early` what the upstream sent behind it.
  virtual bool EnterTunnel(const ResponseHead& head, const ForwardResponse& forward,
                           std::string_view early) = 0;
  virtual IoResult ReadTunnel(std::span<char> into) = 0;
  virtual bool WriteTunnel(std::string_view bytes) = 0;
  virtual void EndTunnelOutput() = 0;
  virtual void TouchTunnel() = 0;  // it is not idle

 protected:
  ~ClientSide() = default;
};

}  // namespace spillway
