// SPDX-License-Identifier: MIT
#include "proxy/connecting.h"

#include <cstring>

namespace spillway {

Connecting::Step Connecting::GoOn(Stream& stream, IoWatch& watch) {
  if (const int error = reached_ ? 0 : ConnectError(stream.fd()); error != 0) {
    fault_ = std::strerror(error);
    return Step::kFailed;
  }
  reached_ = true;
  switch (stream.Handshake()) {
    case IoStatus::kOk:
      return Step::kDone;
    case IoStatus::kWouldBlock:
      watch.WantWrite(stream.read_wants_write());
      watch.WantRead(!stream.read_wants_write());
      return Step::kWaits;
    case IoStatus::kEnd:
    case IoStatus::kBroken:
      break;
  }
  fault_ = stream.tls_fault().data();
  return Step::kFailed;
}

}  // namespace spillway
