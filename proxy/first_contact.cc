// SPDX-License-Identifier: MIT
#include "proxy/first_contact.h"

#include <cstring>
#include <utility>

namespace spillway {

FirstContact::FirstContact(Loop& loop, const KernelAddress& address, Duration patience,
                           Failed failed)
    : failed_(std::move(failed)),
      timer_(loop, this, [](void* self) { static_cast<FirstContact*>(self)->OnTimer(); }) {
  auto fd = StartConnect(address);
  if (!fd) {
    error_ = fd.error();
    if (NobodyListens(error_)) timer_.Set(loop.now());
    return;
  }
  fd_ = std::move(*fd);
  const auto ready = [](void* self) { static_cast<FirstContact*>(self)->OnReady(); };
  watch_ = std::make_unique<IoWatch>(loop, fd_.get(), this, ready, ready);
  watch_->WantWrite(true);
  timer_.SetAfter(patience);
}

FirstContact::~FirstContact() = default;

void FirstContact::OnReady() {
  const int error = ConnectError(fd_.get());
  End();
  if (NobodyListens(error)) failed_(std::strerror(error));
}

void FirstContact::OnTimer() {
  const bool in_vain = watch_ != nullptr;
  End();
  failed_(in_vain ? "no connection within the time limit" : std::strerror(error_));
}

void FirstContact::End() {
  timer_.Clear();
  watch_.reset();
  fd_ = Fd();
}

}  // namespace spillway
