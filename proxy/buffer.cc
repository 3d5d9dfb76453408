// SPDX-License-Identifier: MIT
#include "proxy/buffer.h"

#include <algorithm>
#include <cstring>

namespace spillway {

Block BlockPool::Take(std::size_t at_least) {
  std::vector<Block>* kept = at_least <= kSmallBlock   ? &small_
                             : at_least <= kLargeBlock ? &large_
                                                       : nullptr;
  if (kept != nullptr && !kept->empty()) {
    Block block = std::move(kept->back());
    kept->pop_back();
    return block;
  }
  const std::size_t size = at_least <= kSmallBlock   ? kSmallBlock
                           : at_least <= kLargeBlock ? kLargeBlock
                                                     : at_least;
  return {std::make_unique_for_overwrite<char[]>(size), size};
}

void BlockPool::Give(Block block) {
  if (block.size == kSmallBlock && small_.size() < kKeepSmall) {
    small_.push_back(std::move(block));
  } else if (block.size == kLargeBlock && large_.size() < kKeepLarge) {
    large_.push_back(std::move(block));
  }
}

void InputBuffer::DropFront(std::size_t from) {
  if (from < end_) std::memmove(data(), data() + from, end_ - from);
  end_ -= from;
}

void InputBuffer::Reserve(std::size_t capacity) {
  if (block_.size >= capacity) return;
  // The analyzer loses sight of the block in the moves below; block_ owns it in the end.
  Block larger = pool_.Take(capacity);  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks)
  if (end_ > 0) std::memcpy(larger.data.get(), block_.data.get(), end_);
  if (block_.data) pool_.Give(std::move(block_));
  block_ = std::move(larger);
}

void InputBuffer::Release() {
  if (block_.data) pool_.Give(std::move(block_));
  block_ = {};
  end_ = 0;
}

IoStatus Output::Write(Stream& stream, std::span<iovec> vectors) {
  if (empty()) {
    Clear();
    while (!vectors.empty()) {
      const IoResult result = stream.Write(vectors);
      if (result.status == IoStatus::kWouldBlock) break;
      if (result.status != IoStatus::kOk) return IoStatus::kBroken;
      std::size_t taken = result.bytes;
      while (!vectors.empty() && taken >= vectors.front().iov_len) {
        taken -= vectors.front().iov_len;
        vectors = vectors.subspan(1);
      }
      if (!vectors.empty()) {
        vectors.front().iov_base = static_cast<char*>(vectors.front().iov_base) + taken;
        vectors.front().iov_len -= taken;
        // A plain socket that took less than all has no room: trying again would be a wasted call.
        if (!stream.encrypted()) break;
      }
    }
  }
  for (const iovec& vector : vectors) {
    pending_.append(static_cast<const char*>(vector.iov_base), vector.iov_len);
  }
  return IoStatus::kOk;
}

IoStatus Output::Flush(Stream& stream) {
  while (!empty()) {
    const iovec rest = ToVector(std::string_view(pending_).substr(sent_));
    const IoResult result = stream.Write({&rest, 1});
    if (result.status == IoStatus::kWouldBlock) return IoStatus::kOk;
    if (result.status != IoStatus::kOk) return IoStatus::kBroken;
    sent_ += result.bytes;
  }
  Clear();
  return IoStatus::kOk;
}

// A peer's backlog is given back: most writes leave none.
void Output::Clear() {
  sent_ = 0;
  std::string().swap(pending_);
}

}  // namespace spillway
