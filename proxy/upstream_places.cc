// SPDX-License-Identifier: MIT
#include "proxy/upstream_places.h"

#include <cerrno>

namespace spillway {

tl::expected<UpstreamPlaces::Socket, int> UpstreamPlaces::Connect(const KernelAddress& address) {
  const std::uint64_t most = most_.load(std::memory_order_relaxed);
  const std::uint64_t before = taken_.fetch_add(1, std::memory_order_relaxed);
  Place place(*this);
  if (before >= most - most / 8) TellScarce();
  if (before >= most) return tl::unexpected(EMFILE);
  auto fd = StartConnect(address);
  if (!fd) return tl::unexpected(fd.error());
  return Socket{std::move(place), std::move(*fd)};
}

void UpstreamPlaces::TellScarce() {
  if (!hear_ || told_.exchange(true, std::memory_order_relaxed)) return;
  hear_(std::shared_ptr<void>(this, [](void* self) {
    static_cast<UpstreamPlaces*>(self)->told_.store(false, std::memory_order_relaxed);
  }));
}

}  // namespace spillway
