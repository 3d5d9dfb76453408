// SPDX-License-Identifier: MIT
// One request and its answer, as named steps in the order of life:
//
//   read head -> identify -> decide -> admit -> pick server -> connect -> send -+-> relay --+-> account
//       |            |          |        |           |            |         |   '-> tunnel -+
//       '------------'----------'--------'-----------'------------'---------'-----> reply --'
//
// Every way out reaches account, once. The rules' verdict is carried out here and nowhere else.
//
// Thread rule: one worker's loop thread; belongs to its client connection and is reused for its
// next request.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http1.h"
#include "proxy/local_ref.h"
#include "proxy/pool_admission.h"
#include "proxy/pool_hold.h"
#include "proxy/reply.h"
#include "proxy/silence.h"
#include "proxy/upstream_side.h"
#include "proxy/worker_context.h"
#include "spillway/identify_target.h"
#include "spillway/policy.h"
#include "spillway/protection.h"
#include "spillway/request.h"

namespace spillway {

class ClientSide;

// In order of life; ARCHITECTURE.md draws the same names (a test compares).
enum class Step : std::uint8_t {
  kReadHead,
  kIdentify,
  kDecide,
  kAdmit,
  kPickServer,
  kConnect,
  kSend,
  kRelay,
  kTunnel,
  kReply,
  kAccount,
};
std::string_view StepName(Step step);

class Exchange final : public UpstreamUser,
                       public AdmissionUser,
                       public HoldUser,
                       public SilentUser {
 public:
  explicit Exchange(ClientSide& client);
  ~Exchange();

  // The head is complete in the client's parser.
  void Begin();
  // What came is no request: answers `status` and closes.
  void Refuse(int status, std::string_view why);
  // More of the request's body has been read (or, in a tunnel, can be).
  void OnClientReadable();
  // All that was sent to the client is with the kernel.
  void OnClientWritable();
  // The client ended its side or broke.
  void OnClientGone();
  // The connection is closed: lets go of the upstream and accounts, if that has not been done.
  void OnConnectionClosed();
  // No byte of the body came for clients.timeouts.body.
  void OnBodyTimeout();
  // The client was too slow in taking the answer, or its tunnel was silent for too long.
  void OnClientTimeout();
  bool active() const { return step_ != Step::kReadHead && step_ != Step::kAccount; }
  Step step() const { return step_; }

  void OnUpstreamReadable() override;
  void OnUpstreamWritable() override;
  void OnUpstreamDeadline() override;
  void OnAdmission() override;
  void OnHoldEnd() override;
  void OnServerHangs() override;

 private:
  enum class Side : std::uint8_t { kClient, kUpstream };
  // What an upstream did wrong. Faults of the client's side are none of these.
  enum class Failure : std::uint8_t { kConnect, kConnectTimeout, kReset, kTimeout, kProtocol };
  // What the upstream owes us: what its deadline is for. kNothing: it is for the client to act.
  enum class Wait : std::uint8_t { kNothing, kConnect, kFirstByte, kProgress };

  // Pieces of a body that are sent with one system call.
  static constexpr std::size_t kMostPieces = 64;
  // How often one readiness event reads from one side before others get their turn.
  static constexpr int kReadsPerTurn = 4;

  // exchange.cc
  void Start();
  void Proceed();
  void ForgetAll();
  Facts KnownFacts(const Surroundings& surroundings) const;
  void Decide();
  void JudgeResponse(const ResponseHead& head);
  void CountMatches(std::span<const RuleMatch> matches);
  void CarryOut();
  void AnswerAsLastHop();
  void AnswerInternally();
  void Reply(const Answer& answer, Decision decision);
  void ReplyError(int status, std::string_view detail, Decision decision);
  void EndEarly(std::string_view why);
  AnswerContext answer_context();
  std::string_view rule_name() const;

  // exchange_account.cc
  void Account();
  void Count(Decision decision, Duration took);
  void LogAccess(Decision decision, Duration took);

  // exchange_receipt.cc
  bool LeavesReceipt(Decision decision) const;
  void LeaveReceipt(Decision decision);

  // exchange_identify.cc
  bool Identify();
  void IdentifyAsker(const RequestHead& head);
  bool IdentifyTarget(const RequestHead& head);
  bool RefuseRequest(int status, std::string_view why);

  // exchange_admit.cc
  std::uint64_t ClientHash() const;
  AdmissionAsk AskOf();
  void Admit();
  void CarryOutAdmission();
  void ReplyShed();
  void NoteFirstByte(const ResponseHead& head);
  bool NoteUpload();
  void NoteSlowReader();
  void NoteStream();
  void GiveBackPermit();

  // exchange_orphan.cc
  WideHash SameRequest();
  bool LetItFinish();
  bool TakeUp();

  // exchange_hang.cc
  bool MayMove() const;

  // exchange_hold.cc
  bool MeetOutage();
  bool Hold();
  void TurnAway(std::string_view why);
  bool NoteRefusal(Failure failure);
  bool HoldAfter(Failure failure, bool refused);
  void NoteHeldAnswer();

  // exchange_protect.cc
  void ReadProtection();
  std::string_view ProtectionToSet(const ResponseHead& head);

  // exchange_forward.cc: each event that may concern the upstream ends with ArmUpstream
  void Forward();
  void PickServer();
  bool TakeKept();
  void Connect();
  void OpenStream();
  void ReplyShortage(std::string_view why);
  void BeginSend();
  void PumpRequestBody();
  void DrainUpstreamOutput();
  Wait upstream_wait() const;
  void ArmUpstream();
  void FailTry(Failure failure, std::string_view why);
  void ChargeUpstream(Failure failure);
  bool may_retry(Failure failure) const;
  static bool IsIdempotent(std::string_view method);
  void TellOfCertificate(std::string_view fault);
  void DropUpstream();
  std::uint64_t BalanceKey() const;
  std::optional<std::string_view> Cookie(std::string_view name) const;
  Pool& pool() const { return state_.generation->pools[verdict_.pool].pool(); }
  PoolCounters& pool_counters() const { return *state_.generation->pool_counters[verdict_.pool]; }

  // exchange_relay.cc
  void PumpResponse();
  void SpareClient();
  bool PassOnResponse(bool ended);
  bool TakeResponseHead();
  void BeginResponse();
  void SendInterim();
  void FinishResponse();
  void FailUpstream(Failure failure, std::string_view why);
  void AbortRelay(std::string_view why);

  // exchange_tunnel.cc
  void EnterTunnel();
  void PumpTunnel();
  bool TunnelFromClient();
  bool TunnelFromUpstream();
  bool OutlivesBreak(Side side);

  // What there is to know of one request; assigned anew for each.
  struct State {
    // Of the request.
    LocalRef<LocalGeneration> generation;
    Request request;
    TargetToSend to_send;
    bool peer_trusted = false;
    bool has_body = false;
    bool request_done = false;  // its last byte has been read
    bool head_unsent = false;   // the upstream was given its head, which SendBody sends
    bool body_touched = false;  // some of its body left our hands: not to be repeated
    bool internal = false;
    std::optional<Protection> protection;  // the visitor is in the middle of something
    bool refused = false;                  // there is no head: what came is no request
    std::optional<Decision> decision;
    std::optional<BotCheck> bot;  // what a rule was told, if one asked

    // Of the upstream.
    std::shared_ptr<Endpoint> last;  // the one that was tried last
    std::uint32_t tries = 0;
    std::uint32_t tries_before = 0;  // it was held
    bool busy = false;               // the server's backlog was full: it is there
    bool lost = false;               // it was held after its connection broke: once is enough
    bool reuse_failed = false;       // a kept connection turned out dead; the next one is a new one
    // The upstream takes no more of the request; its answer may still come
    bool sending_abandoned = false;
    Wait armed_for = Wait::kNothing;  // what its deadline stands for
    bool upstream_moved = false;      // it took or gave bytes in this event

    // Of the answer.
    bool response_begun = false;  // its final head went to the client
    bool keep_client = true;
    std::string_view end;             // why it ended early,
    Step ended_at = Step::kReadHead;  // and where

    // Of a tunnel.
    bool client_ended = false, upstream_ended = false;  // no more is read of it

    // For account.
    TimePoint began;
    WallTime began_wall;
    TimePoint asked;  // the upstream has all of the request: the time of its first byte runs
    Duration first_byte{-1};
    Duration queued{0};  // it waited for its turn
    Duration held{0};    // it waited for a server, all in all
    TimePoint held_since;
    bool turned_away = false;  // no server answers: it was not held, or in vain
    AdmissionEnd admission_end = AdmissionEnd::kUnmeasured;
    bool apart = false;      // its place at the servers is free for others
    bool uploading = false;  // the same, until the request is all here
    std::uint64_t bytes_in = 0, bytes_out = 0;
    int status = 0, upstream_status = 0;
  };

  ClientSide& client_;
  WorkerContext& worker_;
  Step step_ = Step::kReadHead;
  State state_;
  std::unique_ptr<Permit> permit_;  // null: it asks for none, or has given it back
  std::unique_ptr<Held> held_;      // null: it never was
  SilentWait silent_{*this};        // for the first byte
  Lease lease_;
  std::unique_ptr<UpstreamSide> upstream_;

  // Of one request too, but kept beside, as their room is used again by the next.
  TargetTexts target_;
  std::string request_id_, client_text_;
  std::string protection_field_;
  std::string internal_body_;  // of a challenge solution
  Answer answer_;              // of our own
  Verdict verdict_;
  std::vector<const Endpoint*> tried_;  // compared only: they may be gone by now
  std::string head_;                    // the request's, being sent
  std::vector<iovec> vectors_;
  std::vector<std::pair<std::string, std::string>> limit_fields_;
  std::vector<HeaderToSet> response_fields_;
};

}  // namespace spillway
