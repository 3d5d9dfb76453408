// SPDX-License-Identifier: MIT
// The version of HTTP that a client's connection speaks, as the connection knows it: who takes its
// bytes and its hours. The connection calls, and keeps time; what a byte means is told apart here.
//
// Thread rule: one worker's loop thread.
#pragma once

namespace spillway {

class ClientProtocol {
 public:
  virtual ~ClientProtocol() = default;

  virtual void OnReadable() = 0;
  virtual void OnFlushed() = 0;       // all that was sent is with the kernel
  virtual void OnReadExpired() = 0;   // the read deadline that it set
  virtual void OnWriteExpired() = 0;  // the client takes nothing, or too little
  virtual void OnBroken() = 0;        // a write failed: nothing more will go out
  virtual void OnClosed() = 0;        // every exchange is to be accounted; called once
  virtual void Drain() = 0;
  // A connection that is needed for somebody else, and serves nothing: ends it before it returns, as
  // gently as goes.
  virtual void GiveUp() = 0;
  // Nothing of a request has come since the last was answered: it may be put aside until something
  // does.
  virtual bool at_rest() const = 0;
  // Forgets the connection and all it sent. True: may serve another one.
  virtual bool Forget() = 0;
};

}  // namespace spillway
