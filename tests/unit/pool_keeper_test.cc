// SPDX-License-Identifier: MIT
#include "proxy/pool_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <map>

#include "proxy/health_check.h"
#include "proxy/pool_hold.h"

namespace spillway {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

ServerConfig Server(const std::string& host, std::uint16_t port, std::uint32_t weight = 1) {
  ServerConfig server;
  server.weight = weight;
  server.address.port = port;
  if (const auto ip = IpAddress::Parse(host)) {
    server.address.form = SocketAddress::Form::kIp;
    server.address.ip = *ip;
  } else {
    server.address.form = SocketAddress::Form::kName;
    server.address.name = host;
  }
  server.address.text = host + ":" + std::to_string(port);
  return server;
}

PoolConfig PoolOf(const std::string& name, std::vector<ServerConfig> servers) {
  PoolConfig config;
  config.name = name;
  config.servers = std::move(servers);
  return config;
}

std::vector<std::string> Texts(const Pool& pool) {
  std::vector<std::string> texts;
  for (const PoolMember& member : *pool.members()) texts.push_back(member.endpoint->text);
  return texts;
}

class PoolKeeperTest : public testing::Test {
 protected:
  std::shared_ptr<Pool> Load(const PoolConfig& config) {
    const std::vector<PoolConfig> configs = {config};
    auto pools = keeper_.Build(configs);
    keeper_.Adopt(pools);
    return pools.at(0);
  }
  void Answer(const std::string& name, const std::vector<std::string>& addresses) {
    ASSERT_EQ(asked_.count(name), 1u) << name << " was not asked for";
    Resolved resolved;
    resolved.ttl = 60s;
    for (const std::string& text : addresses) resolved.addresses.push_back(*IpAddress::Parse(text));
    auto done = asked_[name];
    asked_.erase(name);
    if (addresses.empty()) {
      done(Fail("no such host"));
    } else {
      done(resolved);
    }
  }

  Loop loop_;
  std::map<std::string, std::function<void(Result<Resolved>)>> asked_;
  PoolKeeper keeper_{loop_, [this](const std::string& name, auto done) { asked_[name] = done; }};
};

TEST_F(PoolKeeperTest, AddressesAreThereAtOnce) {
  const auto pool = Load(PoolOf("app", {Server("10.0.0.1", 80, 3), Server("10.0.0.2", 81)}));
  EXPECT_THAT(Texts(*pool), ElementsAre("10.0.0.1:80", "10.0.0.2:81"));
  EXPECT_EQ((*pool->members())[0].weight, 3u);
  EXPECT_TRUE(keeper_.settled());
}

TEST_F(PoolKeeperTest, NamesFollowAsTheyResolve) {
  const auto pool = Load(PoolOf("app", {Server("web", 3000)}));
  EXPECT_THAT(Texts(*pool), IsEmpty());
  EXPECT_FALSE(keeper_.settled());
  Answer("web", {"10.0.0.1", "10.0.0.2"});
  EXPECT_THAT(Texts(*pool), ElementsAre("10.0.0.1:3000", "10.0.0.2:3000"));
  EXPECT_TRUE(keeper_.settled());
}

TEST_F(PoolKeeperTest, BuildAloneAsksNobody) {
  const std::vector<PoolConfig> configs = {PoolOf("app", {Server("web", 3000)})};
  keeper_.Build(configs);
  EXPECT_TRUE(asked_.empty());
}

TEST_F(PoolKeeperTest, ANameThatFailsIsSettledButWithoutMembers) {
  const auto pool = Load(PoolOf("app", {Server("web", 3000)}));
  Answer("web", {});
  EXPECT_THAT(Texts(*pool), IsEmpty());
  EXPECT_TRUE(keeper_.settled());
}

TEST_F(PoolKeeperTest, AKnownNameIsThereAtOnceAfterAReload) {
  Load(PoolOf("app", {Server("web", 3000)}));
  Answer("web", {"10.0.0.1"});
  const auto pool = Load(PoolOf("app", {Server("web", 3000), Server("10.0.0.9", 1)}));
  EXPECT_THAT(Texts(*pool), ElementsAre("10.0.0.1:3000", "10.0.0.9:1"));
  EXPECT_TRUE(asked_.empty());
}

TEST_F(PoolKeeperTest, EndpointsKeepTheirStateOverAReload) {
  const auto before = Load(PoolOf("app", {Server("10.0.0.1", 80)}));
  const auto endpoint = before->members()->at(0).endpoint;
  endpoint->errors_in_row = 3;
  const auto after = Load(PoolOf("app", {Server("10.0.0.2", 80), Server("10.0.0.1", 80)}));
  EXPECT_EQ(after->members()->at(1).endpoint, endpoint);
}

TEST_F(PoolKeeperTest, PoolsOfOtherNamesDoNotShareEndpoints) {
  const std::vector<PoolConfig> configs = {PoolOf("app", {Server("10.0.0.1", 80)}),
                                           PoolOf("api", {Server("10.0.0.1", 80)})};
  const auto pools = keeper_.Build(configs);
  EXPECT_NE(pools[0]->members()->at(0).endpoint, pools[1]->members()->at(0).endpoint);
}

TEST_F(PoolKeeperTest, AMoveToANewNameKeepsTheOldMembersUntilItResolves) {
  Load(PoolOf("app", {Server("10.0.0.1", 80)}));
  const auto pool = Load(PoolOf("app", {Server("new-host", 80)}));
  EXPECT_THAT(Texts(*pool), ElementsAre("10.0.0.1:80"));
  Answer("new-host", {});
  EXPECT_THAT(Texts(*pool), ElementsAre("10.0.0.1:80"));
  const auto moved = Load(PoolOf("app", {Server("other-host", 80)}));
  Answer("other-host", {"10.0.0.7"});
  EXPECT_THAT(Texts(*moved), ElementsAre("10.0.0.7:80"));
}

TEST_F(PoolKeeperTest, AnAnswerForANameNoLongerConfiguredIsIgnored) {
  Load(PoolOf("app", {Server("web", 3000)}));
  const auto pool = Load(PoolOf("app", {Server("10.0.0.1", 80)}));
  Answer("web", {"10.0.0.66"});
  EXPECT_THAT(Texts(*pool), ElementsAre("10.0.0.1:80"));
}

TEST_F(PoolKeeperTest, AnAnswerAfterItsEndIsIgnored) {
  auto keeper = std::make_unique<PoolKeeper>(
      loop_, [this](const std::string& name, auto done) { asked_[name] = done; });
  const std::vector<PoolConfig> configs = {PoolOf("app", {Server("web", 3000)})};
  keeper->Adopt(keeper->Build(configs));
  keeper.reset();
  Answer("web", {"10.0.0.1"});
}

TEST_F(PoolKeeperTest, WithoutChecksAnEndpointIsHealthyAgain) {
  const auto pool = Load(PoolOf("app", {Server("10.0.0.1", 80)}));
  pool->members()->at(0).endpoint->healthy = false;
  Load(PoolOf("app", {Server("10.0.0.1", 80)}));
  EXPECT_TRUE(pool->members()->at(0).endpoint->healthy);
}

// A server that is new is sent one connect, and one that was known none.
class FirstContactTest : public PoolKeeperTest {
 protected:
  FirstContactTest()
      : taken_(*Listen(kAny, false)), listener_(loop_, taken_.get(), this, &OnConnect, nullptr) {
    listener_.WantRead(true);
  }
  static void OnConnect(void* self) {
    auto& it = *static_cast<FirstContactTest*>(self);
    while (Accept(it.taken_.get())) ++it.contacts_;
  }
  // Until nothing more is under way.
  void Settle(const std::function<bool()>& done) {
    for (const TimePoint until = loop_.now() + 20s; !done() && loop_.now() < until;) {
      Deadline soon(loop_, &loop_, [](void* loop) { static_cast<Loop*>(loop)->Stop(); });
      soon.SetAfter(1ms);
      loop_.Run();
    }
    EXPECT_TRUE(done());
  }
  static bool Refuses(const Pool& pool, std::size_t member) {
    return (*pool.members())[member].endpoint->refuses.load();
  }
  static ServerConfig At(const Fd& listener) {
    return Server("127.0.0.1", LocalAddress(listener.get()).port());
  }

  const KernelAddress kAny = KernelAddress::FromIp(*IpAddress::Parse("127.0.0.1"), 0);
  const Fd taken_;
  IoWatch listener_;
  int contacts_ = 0;
};

TEST_F(FirstContactTest, AServerThatIsNotThereIsKnownToBeDownBeforeAnybodyAsks) {
  // Nobody listens there any more.
  const ServerConfig gone = At(*Listen(kAny, false));
  const auto pool = Load(PoolOf("app", {gone}));
  Settle([&] { return Refuses(*pool, 0); });
  EXPECT_EQ(pool->hold()->state(), HoldView::State::kDown);
}

TEST_F(FirstContactTest, OneOfTwoIsNoOutageAndAReloadLooksAtNewOnesOnly) {
  const ServerConfig gone = At(*Listen(kAny, false));
  auto pool = Load(PoolOf("app", {At(taken_)}));
  Settle([&] { return contacts_ == 1; });
  pool = Load(PoolOf("app", {At(taken_), gone}));
  Settle([&] { return Refuses(*pool, 1); });
  EXPECT_FALSE(Refuses(*pool, 0));
  EXPECT_EQ(pool->hold()->state(), HoldView::State::kUp);
  EXPECT_EQ(contacts_, 1);
}

TEST_F(FirstContactTest, AServerThatSomebodyTriedMeanwhileIsNotTakenForDownNorABackup) {
  const ServerConfig gone = At(*Listen(kAny, false));
  ServerConfig backup = At(*Listen(kAny, false));
  backup.backup = true;
  const ServerConfig last = At(*Listen(kAny, false));
  const auto pool = Load(PoolOf("app", {gone, backup, last}));
  (*pool->members())[0].endpoint->requests = 1;
  Settle([&] { return Refuses(*pool, 2); });  // their answers come one after the other
  EXPECT_FALSE(Refuses(*pool, 0));
  EXPECT_FALSE(Refuses(*pool, 1));
  EXPECT_EQ(pool->hold()->state(), HoldView::State::kUp);
}

TEST_F(FirstContactTest, AnAddressThatANameBringsIsNewToo) {
  const std::uint16_t port = LocalAddress(taken_.get()).port();
  const auto pool = Load(PoolOf("app", {Server("app.test", port)}));
  Answer("app.test", {"127.0.0.1"});
  Settle([&] { return contacts_ == 1; });
}

TEST_F(FirstContactTest, WhileANameIsAwaitedADeadAddressIsNoOutage) {
  const ServerConfig gone = At(*Listen(kAny, false));
  const auto pool = Load(PoolOf("app", {gone, Server("app.test", 80)}));
  Settle([&] { return Refuses(*pool, 0); });
  EXPECT_EQ(pool->hold()->state(), HoldView::State::kUp);
}

TEST_F(FirstContactTest, AServerThatIsGoneBeforeItsAnswerCameIsForgotten) {
  const ServerConfig gone = At(*Listen(kAny, false));
  Load(PoolOf("app", {gone}));
  const auto pool = Load(PoolOf("app", {At(taken_)}));
  Settle([&] { return contacts_ == 1; });
  EXPECT_EQ(pool->hold()->state(), HoldView::State::kUp);
}

// A server on a free port that gives `answer` to whoever connects, on the checks' own loop.
class HealthCheckTest : public testing::Test {
 protected:
  HealthCheckTest() {
    const KernelAddress any = KernelAddress::FromIp(*IpAddress::Parse("127.0.0.1"), 0);
    listener_ = std::move(*Listen(any, false));
    watch_ = std::make_unique<IoWatch>(
        loop_, listener_.get(), this,
        [](void* self) { static_cast<HealthCheckTest*>(self)->Serve(); }, nullptr);
    watch_->WantRead(true);
    endpoint_->address = LocalAddress(listener_.get());
    endpoint_->text = endpoint_->address.ToString();
    config_.path = "/health";
    config_.interval = 1ms;
    config_.timeout = 5s;
  }
  void Serve() {
    std::optional<Accepted> accepted = Accept(listener_.get());
    if (!accepted) return;
    if (!answer_.empty() && answer_ != "close")
      ::send(accepted->fd.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
    ++served_;
    held_.push_back(std::move(accepted->fd));
    if (answer_ == "close") held_.pop_back();
    if (done_()) loop_.Stop();
  }
  // Checks until `done` says enough (asked after each connection), or far too long.
  void CheckUntil(std::function<bool()> done) {
    done_ = std::move(done);
    Deadline far_too_long(loop_, &loop_, [](void* loop) { static_cast<Loop*>(loop)->Stop(); });
    far_too_long.SetAfter(20s);
    if (!check_) check_ = std::make_unique<HealthCheck>(loop_, "app", endpoint_, config_);
    loop_.Run();
    ASSERT_TRUE(done_()) << "after " << served_ << " checks";
  }

  Loop loop_;
  Fd listener_;
  std::unique_ptr<IoWatch> watch_;
  std::shared_ptr<Endpoint> endpoint_ = std::make_shared<Endpoint>();
  HealthCheckConfig config_;
  std::string answer_;
  std::vector<Fd> held_;
  int served_ = 0;
  std::function<bool()> done_;
  std::unique_ptr<HealthCheck> check_;
};

TEST_F(HealthCheckTest, FallsAfterSomeFailuresAndRisesAfterSomeAnswers) {
  answer_ = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
  CheckUntil([&] { return !endpoint_->healthy; });
  EXPECT_EQ(served_, 4);  // the third failure is known when the fourth check comes
  answer_ = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n";
  served_ = 0;
  CheckUntil([&] { return endpoint_->healthy.load(); });
  EXPECT_EQ(served_, 3);
}

TEST_F(HealthCheckTest, StaysHealthyWhileAnswered) {
  answer_ = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  CheckUntil([&] { return served_ == 10; });
  EXPECT_TRUE(endpoint_->healthy);
}

TEST_F(HealthCheckTest, WhatIsNotHttpIsAFailure) {
  answer_ = "SSH-2.0-OpenSSH_9.2\r\n";
  CheckUntil([&] { return !endpoint_->healthy; });
}

TEST_F(HealthCheckTest, SilenceIsAFailure) {
  config_.timeout = 1ms;
  CheckUntil([&] { return !endpoint_->healthy; });
}

TEST_F(HealthCheckTest, ClosingWithoutAnAnswerIsAFailure) {
  answer_ = "close";
  CheckUntil([&] { return !endpoint_->healthy; });
}

}  // namespace
}  // namespace spillway
