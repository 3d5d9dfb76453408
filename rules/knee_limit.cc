// SPDX-License-Identifier: MIT
// The limit by experiment. A server with N workers answers as fast with one request in flight as with
// N, and from there on each more adds to the wait of all and to the work of none:
//
//   time |            /          the knee is at N: the most that is answered,
//        |           /           and nobody waits
//        |__________/
//        +---------N------- in flight
//
// Nobody tells N, and when the times grow nobody tells whether there are fewer workers or slower ones.
// So each step is a question to the servers, answered by the next samples (an epoch):
//
//   grow   more in flight: as fast as before? It stays, and the next step is larger. Slower? Back.
//   cut    the times are too long: a quarter fewer in flight, or less. Faster? Then they had waited,
//          and the limit goes to where the wait began. As slow as before? Then the servers themselves
//          became slower: that is the norm from now on, and the limit goes back to where it was.
//   check  a cut without a cause, since the norm of a long surge grows old; and the first thing of all
//          where overload was there before anything was learnt: the servers may be far beyond.
//
// An epoch is a cohort: those admitted in a while, judged when the last of them has had its time. (Those
// who answer in a while would be others: after a cut mostly slow ones, after a step up quick ones.) What
// is compared is the mean logarithm of their times, none counted as more than kMuch too long, whether
// it has come to its end or not: a wait that all have shows in it sooner than in the mean, since it
// lengthens the short answers most, and a few slow ones do not disturb it.
//
// Without pressure the limit is cut only where it is far too high: who would gain? It keeps ahead of what
// is in flight.
#include "rules/adaptive_limit.h"

namespace spillway {
namespace {

constexpr double kTolerance = 0.03;          // by how much longer the times may be,
constexpr double kToleranceOfSpread = 0.06;  // and by which part of their spread
constexpr double kLeastSpread = 0.03;
constexpr double kBeforeTheFirst = 0.12;  // more, until overload was seen once: norms are new
constexpr double kWaitOfSpread =
    0.25;  // how much of the logarithm a short wait adds is not its length
constexpr double kFirstStep = 0.06, kNextStep = 1.7, kLargestStep = 0.35;
constexpr double kAhead = 1.5;     // times what was in flight at most, without pressure
constexpr double kReached = 0.85;  // of a limit, in flight: else nothing was learnt of it
constexpr double kUnprovenCut = 0.65, kRough = 6;
constexpr double kProven = 100;  // answers that a norm of the first who came is made of at least
constexpr double kDeepestCut = 0.4, kTrialCut = 0.35, kSlightCut = 0.12;
constexpr double kHelps = 0.5;     // times that fell by so much for each that is not in flight
constexpr double kBadShare = 0.1;  // errors and drops, before they count as overload
// A cohort is as large as makes its mean this much better than the tolerance; where they come slowly
// it makes do with fewer, and what is clear needs no more.
constexpr double kPrecision = 4, kFewest = 10, kFirst = 24, kMost = 400, kMany = 96;
constexpr double kClear = 3.5;  // times the error of the mean
constexpr Duration kEpoch = std::chrono::milliseconds(500);
constexpr Duration kLongestEpoch = std::chrono::seconds(2);
constexpr double kTheirTime = 2;  // times an answer's mean time
constexpr Duration kTheirTimeAtMost = std::chrono::seconds(4);
constexpr std::uint32_t kCrowd = 40;  // so many wait, which luck seldom does
constexpr double kHaste =
    0.6;  // without pressure: the limit is cut where it is more than so much too high,
constexpr double kMargin = 1.3;  // and to so much above what seems right
constexpr Duration kHoldAtLeast = std::chrono::milliseconds(700);
constexpr double kHoldTimes = 4;  // of an answer's time
constexpr Duration kCheckAfter = std::chrono::seconds(8);
constexpr Duration kCheckAtMost = std::chrono::seconds(60);
constexpr Duration kForgiveErrors = std::chrono::seconds(20);

Duration Span(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

class KneeLimit final : public AdaptiveLimit {
 public:
  using AdaptiveLimit::AdaptiveLimit;

  std::uint32_t Admitted(std::uint32_t in_flight, TimePoint now) override {
    if (!begun_) Begin(now);
    const std::uint32_t cohort = open_.id;
    open_.admitted += 1;
    open_.in_flight += in_flight;
    if (!waits_) Close(now);
    return cohort;
  }

  void Sample(const LimitSample& sample, const LimitScene& scene) override {
    const TimePoint now = sample.now;
    peak_ = std::max(peak_, static_cast<double>(scene.in_flight));
    bound_ = bound_ || scene.bound;
    const bool answered = sample.end == LimitSample::End::kAnswer;
    if (answered) {
      const double took = std::chrono::duration<double>(sample.took).count();
      mean_took_ += (took - mean_took_) / std::min(++answers_, 32.0);
    }
    if (!begun_) return;
    Cohort* cohort = &open_;
    if (!sample.counted) {  // nobody knows the route; but a failure is one
      if (answered || sample.end == LimitSample::End::kGone) return;
      cohort->admitted += 1;
      cohort->in_flight += sample.in_flight;
    } else if (waits_ && sample.cohort == closed_.id) {
      cohort = &closed_;
    } else if (sample.cohort != open_.id) {
      return;
    }
    switch (sample.end) {
      case LimitSample::End::kGone:
        cohort->admitted -= 1;
        cohort->in_flight -= sample.in_flight;
        return;
      case LimitSample::End::kError:
      case LimitSample::End::kDrop:
        cohort->bad += 1;
        break;
      case LimitSample::End::kAnswer: {
        const double excess = std::min(sample.excess, kMuch);
        cohort->count += 1;
        cohort->sum += excess;
        cohort->squares += excess * excess;
      }
    }
    const Duration time = std::min(Span(kTheirTime * mean_took_), kTheirTimeAtMost);
    const bool done = closed_.count + closed_.bad >= closed_.admitted;
    if (waits_ && (done || now >= closed_until_ + time)) {
      waits_ = false;
      const double late = std::max(closed_.admitted - closed_.count - closed_.bad, 0.0);
      closed_.count += late;
      closed_.sum += late * kMuch;
      closed_.squares += late * kMuch * kMuch;
      return Judge(closed_, true, now, scene);
    }
    if (scene.pressed || scene.queued >= kCrowd) Judge(*cohort, false, now, scene);
  }

  double excess() const override { return excess_; }
  double TakeCorrection() override {
    excess_ -= correction_;
    return std::exchange(correction_, 0);
  }

 private:
  enum class Phase : std::uint8_t { kHold, kGrown, kCut, kCheck };

  struct Cohort {
    std::uint32_t id = 0;
    TimePoint from{};
    double admitted = 0, in_flight = 0;
    double count = 0, sum = 0, squares = 0;  // of those that were answered
    double bad = 0;                          // errors and drops
  };
  // What it said.
  struct Finding {
    double mean = 0, spread = 0, error = 0, in_flight = 1;
    double bad = 0;  // share of errors and drops, where it is to be acted on
    double any_bad = 0;
    bool high = false, whole = false;
  };

  void Begin(TimePoint now) {
    begun_ = true;
    waits_ = false;
    open_ = Cohort{};
    open_.id = ++cohorts_;
    open_.from = now;
    peak_ = 0;
    bound_ = false;
  }
  // The cohort that is open has enough, or has been open for long enough.
  void Close(TimePoint now) {
    const Duration open = now - open_.from;
    const bool rough = unproven_ && phase_ == Phase::kCheck;
    const double part = rough ? kRough : phase_ != Phase::kGrown ? 1 : started_ ? 4 : 10;
    const double wanted = std::max(enough_ / part, kFewest);
    const bool full = open_.admitted >= wanted ||
                      (open_.admitted >= std::min(enough_, kMany) && open >= kEpoch) ||
                      (open_.admitted >= kFewest && open >= kLongestEpoch);
    if (!full) return;
    closed_ = open_;
    closed_until_ = now;
    waits_ = true;
    open_ = Cohort{};
    open_.id = ++cohorts_;
    open_.from = now;
  }
  void Change(double limit, Phase phase, TimePoint now) {
    gradient_ = limit / limit_;
    Set(limit);
    phase_ = phase;
    Begin(now);
  }
  void Stay(TimePoint now) {
    phase_ = Phase::kHold;
    gradient_ = 1;
    peak_ = 0;
    bound_ = false;
    Close(now);
  }
  void Hold(TimePoint now) {
    hold_until_ = now + std::max(kHoldAtLeast, Span(kHoldTimes * mean_took_));
    step_ = kFirstStep;
  }

  // `whole`: the cohort has had its time. Else only what is clear is acted on; those who are still
  // missing take longer than those who came.
  void Judge(const Cohort& cohort, bool whole, TimePoint now, const LimitScene& scene) {
    const double all = cohort.count + cohort.bad;
    const double bad = cohort.bad / all;
    const bool failing = bad > kBadShare && all >= 2 * kFewest && now >= forgiven_until_;
    const double n = std::max(cohort.count, 1.0);
    double mean = cohort.sum / n;
    const double own = std::max(cohort.squares / n - mean * mean, 0.0);
    const double spread =
        std::max(std::sqrt(spread_ > 0 ? (own + 3 * spread_) / 4 : own), kLeastSpread);
    const double threshold =
        kTolerance + kToleranceOfSpread * spread + (started_ ? 0 : kBeforeTheFirst);
    const double error = spread / std::sqrt(n);
    if (whole && judged_ && phase_ == Phase::kHold && cohort.count >= kFewest) {
      mean = SharpenNorm(mean, error, spread);
    }
    const double beyond = mean - threshold;
    const bool clear = cohort.count >= kFewest && beyond > std::max(kClear * error, 2 * threshold);
    if (!whole && !clear && !failing) return;
    if (whole && cohort.count >= kFewest) {
      spread_ = spread_ > 0 ? spread_ + 0.2 * (own - spread_) : own;
      const double wanted = spread / (kTolerance + kToleranceOfSpread * spread) * kPrecision;
      enough_ = std::clamp(wanted * wanted, kFewest, kMost);
    }
    // Nobody has seen these servers at rest: what the first cohort says is the norm until a check.
    if (scene.novel && !judged_) {
      if (!whole) return;
      judged_ = true;
      unproven_ = true;
      norm_error_ = error;
      correction_ += mean;
      return Stay(now);
    }
    judged_ = true;
    excess_ = mean;
    // A step up that is undone by chance costs more than one that is undone a cohort later.
    const double sure = phase_ == Phase::kGrown ? 1 : 0.5;
    const Finding found{mean,
                        spread,
                        error,
                        std::max(cohort.in_flight / cohort.admitted, 1.0),
                        failing ? bad : 0,
                        bad,
                        (cohort.count > 0 && beyond > sure * error) || failing,
                        whole};
    switch (phase_) {
      case Phase::kHold:
      case Phase::kGrown:
        return Steady(found, now, scene);
      case Phase::kCut:
        return AfterCut(found, now);
      case Phase::kCheck:
        return AfterCheck(found, now);
    }
  }

  // A norm that was made of the first few answers is as doubtful as they are few: what follows is
  // weighed with it (Kalman's gain), until it is made of enough. What is left of the mean.
  double SharpenNorm(double mean, double error, double spread) {
    if (norm_error_ <= 0 || norm_error_ < spread / std::sqrt(kProven)) return mean;
    const double doubt = norm_error_ * norm_error_, noise = error * error;
    const double weight = doubt / (doubt + noise);
    correction_ += weight * mean;
    norm_error_ = std::sqrt(doubt * noise / (doubt + noise));
    return mean * (1 - weight);
  }

  // By which part a limit is too high where the times are so much above those without a wait. Of
  // constant times exp(-excess) would be exact.
  static double Surplus(double excess, double spread) {
    return std::exp(-std::max(excess - kWaitOfSpread * spread, 0.04));
  }

  // Deep enough that the answers can tell it from chance.
  void Cut(const Finding& found, Phase phase, TimePoint now) {
    if (phase_ != Phase::kCut) origin_ = limit_;
    top_ = limit_;
    at_top_ = found;
    before_growth_ = 0;
    const double from = found.bad > 0 ? std::min(limit_, found.in_flight * 1.1) : limit_;
    const double surplus = std::max(Surplus(found.mean, found.spread), kDeepestCut);
    const double trial = std::exp(-std::clamp(5 * found.error, kSlightCut, kTrialCut));
    const double deep = unproven_ ? kUnprovenCut : 1;
    Change(from * std::min({trial, phase == Phase::kCut ? surplus : 1, deep}), phase, now);
  }

  void Steady(const Finding& found, TimePoint now, const LimitScene& scene) {
    const bool pressed = scene.pressed || found.bad > 0;
    if (scene.pressure >= 0.9) return Change(limit_ * 0.9, Phase::kHold, now);
    if (found.high) {
      if (!started_) checked_ = now - kCheckAfter;
      started_ = true;
      const double surplus = Surplus(found.mean, found.spread);
      if (!pressed) {
        if (scene.queued < kCrowd || surplus > kHaste) return Stay(now);
        return Change(limit_ * std::max(surplus * kMargin, kDeepestCut), Phase::kHold, now);
      }
      const bool slightly = found.bad == 0 && surplus > std::exp(-kTrialCut);
      if (before_growth_ == 0 || !slightly) return Cut(found, Phase::kCut, now);
      Hold(now);
      return Change(std::min(std::exchange(before_growth_, 0), limit_), Phase::kHold, now);
    }
    // Much faster than thought: the servers are better than they were.
    if (pressed && found.mean < -0.05 - 3 * found.error) correction_ += found.mean;
    if (!pressed) {
      // Of a crowd that has just come the answers know nothing yet.
      const double wanted =
          std::min({peak_ * kAhead, limit_ * (1 + kLargestStep), found.in_flight * 2 * kAhead});
      if (wanted > limit_ && scene.pressure < 0.7 && found.any_bad <= kBadShare)
        return Change(wanted, Phase::kHold, now);
      return Stay(now);
    }
    if (bound_ && (unproven_ || (started_ && now - checked_ > check_after_))) {
      return Cut(found, Phase::kCheck, now);
    }
    const bool reached =
        bound_ && found.in_flight > kReached * limit_ && found.any_bad <= kBadShare;
    if (!reached || now < hold_until_ || scene.pressure >= 0.7) return Stay(now);
    before_growth_ = limit_;
    const double step = started_ ? step_ : kLargestStep;
    step_ = std::min(step_ * kNextStep, kLargestStep);
    Change(limit_ + std::max(1.0, limit_ * step), Phase::kGrown, now);
  }

  void AfterCut(const Finding& found, TimePoint now) {
    const double fewer = std::log(at_top_.in_flight / found.in_flight);
    const bool lowest = limit_ <= range_.min;
    if (at_top_.bad > 0) {
      if (found.bad == 0) return Good(now);
      if (found.bad < 0.7 * at_top_.bad && !lowest) return Cut(found, Phase::kCut, now);
      forgiven_until_ = now + kForgiveErrors;  // errors of another kind
      return Back(now);
    }
    const double faster = at_top_.mean - found.mean;
    if (fewer < kSlightCut / 2 && !lowest) {  // those at the top were not so many after all
      return found.high ? Cut(found, Phase::kCut, now) : Good(now);
    }
    if (faster < kHelps * fewer) {
      if (!found.whole) return;
      // It became worse meanwhile, so the two do not compare; now they will.
      if (faster < -2 * found.error && !lowest) return Cut(found, Phase::kCut, now);
      correction_ += (at_top_.mean + found.mean) / 2;
      return Back(now);
    }
    if (found.high && !lowest) return Cut(found, Phase::kCut, now);
    if (found.mean < -2 * found.error) correction_ += found.mean / 2;
    Set(std::clamp(top_ * Surplus(faster, at_top_.spread), limit_, top_));
    Good(now);
  }

  void AfterCheck(const Finding& found, TimePoint now) {
    const double fewer = std::log(at_top_.in_flight / found.in_flight);
    const double faster = at_top_.mean - found.mean;
    if (faster < kHelps * fewer || faster < 2 * found.error) {
      unproven_ = false;
      correction_ += (at_top_.mean + found.mean) / 4;
      check_after_ = std::min(check_after_ * 2, kCheckAtMost);
      return Back(now);
    }
    correction_ += found.mean;
    started_ = started_ || !unproven_;
    check_after_ = kCheckAfter;
    Set(std::clamp(top_ * Surplus(faster, found.spread), limit_, top_));
    Good(now);
    checked_ = now - kCheckAfter;  // and how is it now?
  }

  void Back(TimePoint now) {
    checked_ = now;
    Hold(now);
    Change(origin_, Phase::kHold, now);
  }
  void Good(TimePoint now) {
    checked_ = now;
    Hold(now);
    Change(limit_, Phase::kHold, now);
  }

  Cohort open_, closed_;
  std::uint32_t cohorts_ = 0;
  bool begun_ = false;
  bool waits_ = false;  // closed_ is to be judged when it has had its time
  TimePoint closed_until_{};
  double enough_ = kFirst;
  double peak_ = 0;     // in flight since the last step
  bool bound_ = false;  // a slot was wanting since then

  Phase phase_ = Phase::kHold;
  double before_growth_ = 0;     // the limit that the last step up came from; 0: it was undone
  double origin_ = 0, top_ = 0;  // of kCut and kCheck: where the first and the last of them began
  Finding at_top_;
  double step_ = kFirstStep;
  bool judged_ = false;
  bool unproven_ = false;  // the norm is that of the first who came, and no cut has told more
  bool started_ = false;   // overload was seen once: from then on growth begins with small steps
  TimePoint hold_until_{}, checked_{}, forgiven_until_{};
  Duration check_after_ = kCheckAfter;

  double excess_ = 0, correction_ = 0;
  double norm_error_ = 0;  // of a norm of the first who came; 0: it was learnt at rest
  double spread_ = 0;      // variance of the logarithms within a cohort
  double mean_took_ = 0, answers_ = 0;
};

}  // namespace

std::unique_ptr<AdaptiveLimit> MakeKneeLimit(const AdaptiveLimit::Range& range) {
  return std::make_unique<KneeLimit>(range);
}

}  // namespace spillway
