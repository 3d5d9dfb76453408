// SPDX-License-Identifier: MIT
// head_ and tail_ only grow; a position modulo the capacity is its place. The writer publishes
// head_ after the bytes, the reader publishes tail_ after it is done with them.
#include "proxy/log_ring.h"

#include <algorithm>
#include <cstring>

namespace spillway {

bool LogRing::Put(std::string_view line) {
  if (!bytes_) bytes_.reset(new char[capacity_]);
  const std::uint64_t head = head_.load(std::memory_order_relaxed);
  if (head - known_tail_ + line.size() > capacity_ / 2) {
    known_tail_ = tail_.load(std::memory_order_acquire);
  }
  const std::size_t used = static_cast<std::size_t>(head - known_tail_);
  crossed_half_ = false;
  if (capacity_ - used < line.size()) return false;

  const std::size_t place = static_cast<std::size_t>(head) & (capacity_ - 1);
  const std::size_t first = std::min(line.size(), capacity_ - place);
  std::memcpy(bytes_.get() + place, line.data(), first);
  std::memcpy(bytes_.get(), line.data() + first, line.size() - first);
  head_.store(head + line.size(), std::memory_order_release);
  crossed_half_ = used <= capacity_ / 2 && used + line.size() > capacity_ / 2;
  return true;
}

std::array<iovec, 2> LogRing::Peek(std::uint64_t end) const {
  const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
  const std::size_t size = static_cast<std::size_t>(end - tail);
  const std::size_t place = static_cast<std::size_t>(tail) & (capacity_ - 1);
  const std::size_t first = std::min(size, capacity_ - place);
  char* const bytes = bytes_.get();
  return {iovec{bytes + place, first}, iovec{bytes, size - first}};
}

}  // namespace spillway
