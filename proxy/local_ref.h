// SPDX-License-Identifier: MIT
// Shared ownership within one thread: std::shared_ptr without its two locked instructions for each
// owner, which a request would pay for.
#pragma once

#include <cstdint>
#include <utility>

namespace spillway {

// What is owned derives from it.
class LocallyOwned {
 public:
  LocallyOwned() = default;
  LocallyOwned(const LocallyOwned&) = delete;
  LocallyOwned& operator=(const LocallyOwned&) = delete;

 private:
  template <class T>
  friend class LocalRef;
  std::uint32_t owners_ = 0;
};

// One owner of a T, or of nothing. REQUIRES: all owners of one T are used by one thread; T is made by new.
template <class T>
class LocalRef {
 public:
  LocalRef() = default;
  explicit LocalRef(T* made) : owned_(made) { Add(); }
  LocalRef(const LocalRef& other) : owned_(other.owned_) { Add(); }
  LocalRef(LocalRef&& other) noexcept : owned_(std::exchange(other.owned_, nullptr)) {}
  LocalRef& operator=(LocalRef other) noexcept {
    std::swap(owned_, other.owned_);
    return *this;
  }
  ~LocalRef() {
    if (owned_ != nullptr && --owned_->LocallyOwned::owners_ == 0) delete owned_;
  }
  T* get() const { return owned_; }
  T& operator*() const { return *owned_; }
  T* operator->() const { return owned_; }
  explicit operator bool() const { return owned_ != nullptr; }

 private:
  void Add() {
    if (owned_ != nullptr) ++owned_->LocallyOwned::owners_;
  }
  T* owned_ = nullptr;
};

}  // namespace spillway
