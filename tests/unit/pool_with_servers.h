// SPDX-License-Identifier: MIT
// A pool with its servers, to be asked which of them is usable and who gets the next request; nothing
// is connected to.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "proxy/upstream.h"

namespace spillway {

class PoolWithServers : public testing::Test {
 protected:
  static constexpr TimePoint kStart{1000s};

  // A pool of `count` endpoints "a", "b", ..., in the place of what was made before.
  void Make(std::size_t count, PoolConfig config = {}) {
    config.name = "app";
    pool_ = std::make_shared<Pool>(config);
    endpoints_.clear();
    auto members = std::make_shared<PoolMembers>();
    for (std::size_t i = 0; i < count; ++i) {
      auto endpoint = std::make_shared<Endpoint>();
      endpoint->text = std::string(1, static_cast<char>('a' + i));
      endpoint->identity = HashAddress(endpoint->text);
      members->push_back({endpoint, 1, false});
      endpoints_.push_back(endpoint);
    }
    pool_->SetMembers(members);
    local_ = std::make_unique<PoolLocal>(pool_);
  }
  bool Usable(std::size_t index, TimePoint now = kStart) {
    return Pool::Usable(*endpoints_[index], now);
  }

  std::shared_ptr<Pool> pool_;
  std::unique_ptr<PoolLocal> local_;
  std::vector<std::shared_ptr<Endpoint>> endpoints_;
  std::uint64_t chance_ = 1;
};

}  // namespace spillway
