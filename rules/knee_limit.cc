// SPDX-License-Identifier: MIT
// The limit by belief. A server with N workers answers as fast with one request in flight as with
// N, and from there on each more adds to the wait of all and to the work of none:
//
//   time |            /          the knee is at N: the most that is answered,
//        |           /           and nobody waits
//        |__________/
//        +---------N------- in flight
//
// Nobody tells N, and when the times grow nobody tells whether there are fewer workers or slower ones.
// So there is a belief of both (rules/knee_belief.h), and under pressure each cohort of requests is a
// measurement for it, with a limit that is chosen from it:
//
//   most   somewhere within what is likely for the knee, each time elsewhere: as narrow as the belief is,
//          so the search ends by itself when it has found
//   probe  now and then above it: more workers would not show otherwise
//   climb  above what was in flight, by larger steps each time, to twice, as long as the knee is likely to be above that
//   test   where it is doubtful whether answers wait or became slow in themselves: far below, for once
//
// A cohort is those admitted in a while, judged when the last of them has had its time. (Those who
// answer in a while would be others: after a cut mostly slow ones, after a step up quick ones.) What is
// compared is the mean logarithm of their times, none counted as more than kMuch too long, whether it
// has come to its end or not. Where many are errors they say that the knee is
// below, and nothing of times; a few count as kMuch.
//
// Without pressure the limit is cut only where it is far too high: who would gain? It keeps ahead of what
// is in flight.
#include "rules/adaptive_limit.h"
#include "rules/knee_belief.h"

namespace spillway {
namespace {

constexpr double kLargestStep = 0.35, kDeepestCut = 0.4;
constexpr double kRelief = 0.9;    // of the limit, where the servers say that they want less
constexpr double kBadShare = 0.1;  // errors and drops, before they count as pressure
constexpr double kErrors = 0.3;    // a logarithm: what many errors say at least
// Under pressure.
constexpr double kLow = 0.2, kHigh = 0.8;  // quantiles of the knee that limits are chosen between
constexpr double kTurn = 0.6180339887498949;
constexpr double kFirstTurn = 0.382;  // after which the first is the lowest
constexpr double kProbe = 0.1, kProbeErrors = 1.5, kNextStep = 1.7, kLargestClimb = 1;
constexpr Duration kProbeEvery = std::chrono::milliseconds(700);
constexpr double kProbeTimes = 3;  // answers' mean times
constexpr double kSureAbove = 0.65, kClimbs = 1.08;
// Half a slot above what was in flight, as there is no half worker; in flight at a limit of 1, where what is vital may
// be a second one.
constexpr double kHalfASlot = 0.5, kAlone = 1.5;
// Where workers are few, one slot is a large step. One too many lengthens all times by as much as one too few takes
// from what is answered: so what is likely for the knee is looked at from lower down, steps up want to be surer and
// are larger then, and after a probe that was large (of any number) there is a rest of so many cohorts, but where it
// is as likely as this that more would do: then the next one is made at once.
// "Few" is what is believed, and for the size of steps what the limit is.
constexpr double kFewWorkers = 8, kLowOfFew = 0.1, kHighOfFew = 0.7, kSureAboveOfFew = 0.8;
constexpr double kNextStepOfFew = 2, kLargestStepOfFew = 0.6, kLikelyAboveOfFew = 0.4;
constexpr double kLargeProbe = 0.2;
constexpr int kRest = 3;
constexpr double kDoubtful = 0.2;  // standard deviation of the norm
constexpr double kTest = 0.1;      // quantile
constexpr double kClear = 3.5, kClearlyMore = 0.1;
constexpr double kNormChanged = 0.05, kNormSure = 0.15, kNormClear = 3;
// How well the times of a quiet hour are known: at best, and as from so many answers.
constexpr double kNormError = 0.05, kNormOf = 100;
constexpr double kUnknownNorm = 1;
// Without it.
constexpr double kAhead = 1.5;  // times what was in flight at most
constexpr double kTolerance = 0.15, kToleranceOfSpread = 0.06, kSlowErrors = 0.5;
// Of the first growth: so many answers are looked at, whose mean may be so much longer than usual, and
// so many of its standard errors besides; and they tell something of a limit that is so many times as high
// as what was in flight.
constexpr double kLately = 16, kAsUsual = 0.3, kByChance = 1.5, kTells = 2.5;
// The first to answer are the short ones: what is usual is not known by them.
constexpr double kSettled = 32;
constexpr double kOpens = 0.5;   // slots for each answer
constexpr double kBeyond = 1.2;  // what was in flight when it ended, without the wait; so much more
constexpr double kWaitOfSpread = 0.25, kLeastExcess = 0.04;
// So many wait, which luck seldom does; or as many as the limit is, if that is not very low.
constexpr double kCrowd = 40, kCrowdOfFew = 8;
constexpr double kHaste = 0.6;   // the limit is cut where it is more than so much too high,
constexpr double kMargin = 1.3;  // and to so much above what seems right
// A cohort is as large as makes its mean this much better than what is to be told apart.
constexpr double kDifference = 0.03, kDifferenceOfSpread = 0.06, kPrecision = 4;
constexpr double kFewest = 8, kFirst = 24, kMost = 400, kWhileClimbing = 4;
constexpr Duration kEpoch = std::chrono::milliseconds(400);
constexpr double kTheirTime = 2;  // times an answer's mean time
constexpr Duration kTheirTimeAtMost = std::chrono::seconds(4);
constexpr double kLeastSpread = 0.03;
constexpr double kOwn = 0.25;    // the weight of a cohort's own variance, beside the others'
constexpr double kNewest = 0.2;  // by which it moves theirs
constexpr double kAnswers = 32;  // that the mean time is of

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
      mean_took_ += (took - mean_took_) / std::min(++answers_, kAnswers);
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
        cohort->errors += 1;
        [[fallthrough]];
      case LimitSample::End::kDrop:
        cohort->bad += 1;
        cohort->Count(kMuch, 1);
        break;
      case LimitSample::End::kAnswer:
        cohort->Count(std::min(sample.excess, kMuch), 1);
        if (scene.bound) Open(sample, scene);
    }
    const Duration time = std::min(ToDuration(kTheirTime * mean_took_), kTheirTimeAtMost);
    if (waits_ && (closed_.count >= closed_.admitted || now >= closed_until_ + time)) {
      waits_ = false;
      closed_.Count(kMuch, std::max(closed_.admitted - closed_.count, 0.0));
      return Judge(closed_, now, scene);
    }
    if (believes_ && scene.pressed && ClearlyMore(*cohort)) {
      const Cohort enough = *cohort;
      Begin(now);
      Judge(enough, now, scene);
    }
  }

  bool opening() const override { return opening_; }
  void Reopen() override {
    opening_ = true;
    opened_by_ = lately_ = lately_variance_ = lately_in_flight_ = 0;
    begun_ = waits_ = believes_ = false;
  }
  double excess() const override { return excess_; }
  double TakeCorrection() override {
    excess_ -= correction_;
    return std::exchange(correction_, 0);
  }

 private:
  struct Cohort {
    std::uint32_t id = 0;
    TimePoint from{};
    double admitted = 0, in_flight = 0;
    double count = 0, sum = 0, squares = 0;  // of those that came to an end
    double bad = 0, errors = 0;              // errors and drops among them; errors

    void Count(double excess, double times) {
      count += times;
      sum += times * excess;
      squares += times * excess * excess;
    }
    void Shift(double by) {
      squares += (2 * sum + count * by) * by;
      sum += count * by;
    }
    double mean() const { return sum / count; }
    double variance() const { return std::max(squares / count - mean() * mean(), 0.0); }
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
  // Until these servers were seen to be pressed the limit holds nobody back for long: each answer that
  // came as fast as usual, from about as many in flight, opens half a slot. So in two answers' time there
  // are twice as many, and a limit that nobody asked for costs next to nothing where none is needed. It
  // ends as the last few took longer, and what these say of the knee is the limit. Where nobody has seen
  // the servers at rest and many wait, there are surer ways.
  void Open(const LimitSample& sample, const LimitScene& scene) {
    if (!opening_ || (scene.pressed && novel_) || scene.pressure >= Admission::kNoMore) return;
    const double part = 1 / std::min(++opened_by_, kLately);
    const double off = std::min(sample.excess, kMuch) - lately_;
    lately_ += off * part;
    lately_variance_ += (off * off - lately_variance_) * part;
    lately_in_flight_ += (sample.in_flight - lately_in_flight_) * part;
    if (sample.in_flight * kTells < limit_) return;
    // A mean that is moved by a part of each new value has this share of their variance.
    const double error = std::sqrt(lately_variance_ * part / (2 - part));
    if (lately_ <= kAsUsual + kByChance * error) return Set(limit_ + kOpens);
    if (opened_by_ < kSettled) return;
    opening_ = false;
    const double knee = lately_in_flight_ * std::exp(-lately_) * kBeyond;
    if (knee < limit_) Change(knee, sample.now);
  }
  // The cohort that is open has enough, or has been open for long enough.
  void Close(TimePoint now) {
    const double wanted = std::max(enough_ / (climbs_ ? kWhileClimbing : 1), kFewest);
    const bool full =
        open_.admitted >= wanted || (open_.admitted >= kFewest && now - open_.from >= kEpoch);
    if (!full) return;
    closed_ = open_;
    closed_until_ = now;
    waits_ = true;
    open_ = Cohort{};
    open_.id = ++cohorts_;
    open_.from = now;
  }
  // All times are longer by so much, and that is usual. What the open cohort has counted was compared with
  // what was usual before.
  void Correct(double by) {
    correction_ += by;
    open_.Shift(-by);
  }
  void Change(double limit, TimePoint now) {
    gradient_ = limit / limit_;
    Set(limit);
    Begin(now);
  }
  void Stay(TimePoint now) {
    gradient_ = 1;
    peak_ = 0;
    bound_ = false;
    Close(now);
  }

  bool low() const { return limit_ < kFewWorkers; }
  double LargestStep() const { return low() ? kLargestStepOfFew : kLargestStep; }
  double SpreadOf(const Cohort& cohort) const {
    const double own = cohort.variance();
    return std::max(std::sqrt(spread_ > 0 ? kOwn * own + (1 - kOwn) * spread_ : own), kLeastSpread);
  }
  // A cohort that has not had its time yet, but has said enough: those who are missing take longer than
  // those who came.
  bool ClearlyMore(const Cohort& cohort) const {
    if (cohort.count < kFewest) return false;
    const double error = SpreadOf(cohort) / std::sqrt(cohort.count);
    return cohort.mean() - expected_ > kClear * error + kClearlyMore;
  }

  void Judge(const Cohort& cohort, TimePoint now, const LimitScene& scene) {
    if (cohort.count < kFewest || cohort.admitted < 1) return Close(now);
    const double spread = SpreadOf(cohort);
    const bool erring = cohort.bad > kBadShare * cohort.count;
    const bool failing = erring && cohort.count >= 2 * kFewest;
    // Servers that refuse what is too much for them do so at once: how much too much it was is not said.
    const bool refused = cohort.errors > kBadShare * cohort.count;
    spread_ = spread_ > 0 ? spread_ + kNewest * (cohort.variance() - spread_) : cohort.variance();
    const double wanted = spread / (kDifference + kDifferenceOfSpread * spread) * kPrecision;
    enough_ = std::clamp(wanted * wanted, kFewest, kMost);
    const KneeBelief::Seen seen{std::max(cohort.in_flight / cohort.admitted, 1.0),
                                refused ? std::min(cohort.mean(), kErrors) : cohort.mean(),
                                spread / std::sqrt(cohort.count), spread, refused};
    // Nobody has seen these servers at rest: what the first cohort says is taken for usual, and is to
    // be doubted.
    if (scene.novel && !judged_) {
      judged_ = novel_ = true;
      Correct(seen.excess);
      return Stay(now);
    }
    judged_ = true;
    novel_ = novel_ && scene.novel;
    excess_ = seen.excess;
    const double threshold = kTolerance + kToleranceOfSpread * spread;
    const bool slow = seen.excess - threshold > kSlowErrors * seen.error;
    // Where nobody has seen the servers at rest, all may be slow, and nothing shows it.
    if (slow || failing || (scene.pressed && novel_)) opening_ = false;
    if (scene.pressure >= Admission::kLess) {
      opening_ = false;
      return Change(limit_ * kRelief, now);
    }
    if ((scene.pressed && !opening_) || failing) {
      UnderPressure(seen, erring, now, scene);
    } else {
      believes_ = false;
      AtEase(seen, slow, now, scene);
    }
  }

  void AtEase(const KneeBelief::Seen& seen, bool slow, TimePoint now, const LimitScene& scene) {
    if (slow) {
      const double surplus =
          std::exp(-std::max(seen.excess - kWaitOfSpread * seen.spread, kLeastExcess));
      if (scene.queued < std::clamp(limit_, kCrowdOfFew, kCrowd) || surplus > kHaste)
        return Stay(now);
      return Change(limit_ * std::max(surplus * kMargin, kDeepestCut), now);
    }
    // Of a crowd that has just come the answers know nothing yet.
    const double wanted =
        std::min({peak_ * kAhead, limit_ * (1 + kLargestStep), seen.in_flight * 2 * kAhead});
    if (wanted > limit_ && scene.pressure < Admission::kNoMore) return Change(wanted, now);
    Stay(now);
  }

  void UnderPressure(const KneeBelief::Seen& seen, bool erring, TimePoint now,
                     const LimitScene& scene) {
    if (!believes_) {
      believes_ = true;
      knee_.Begin(limit_, novel_ ? kUnknownNorm : kNormError * kNormError + spread_ / kNormOf, now);
      if (novel_) turn_ = kFirstTurn;
      novel_ = climbs_ = false;
      probe_at_ = now + kProbeEvery;
    }
    knee_.Learn(seen, now);
    // Faster than usual is certain; slower must be told from a wait. Errors are no time.
    const double norm = knee_.norm();
    const bool sure = !erring && (knee_.norm_doubt() < kNormSure * kNormSure ||
                                  norm * norm > kNormClear * kNormClear * knee_.norm_doubt());
    const bool doubtful = knee_.norm_doubt() > kDoubtful * kDoubtful;
    if (std::lround(limit_) == 1 && seen.in_flight < kAlone && !erring &&
        seen.excess > kTolerance) {
      // There is no lower limit to try, and one alone does not wait.
      Correct(seen.excess);
      knee_.Begin(limit_, kNormError * kNormError + spread_ / kNormOf, now);
    } else if (norm < -kNormChanged || (norm > kNormChanged && sure)) {
      Correct(norm);
      knee_.ShiftNorm(norm);
    }
    const double wanted = Choose(seen, doubtful, now, scene);
    climbs_ = wanted > limit_ * kClimbs;
    expected_ = knee_.Expected(wanted, seen.spread);
    if (std::lround(wanted) != std::lround(limit_)) return Change(wanted, now);
    Set(wanted);
    Stay(now);
  }

  double Choose(const KneeBelief::Seen& seen, bool doubtful, TimePoint now,
                const LimitScene& scene) {
    turn_ += kTurn;  // evenly over the unit, in an order without a rhythm
    turn_ -= std::floor(turn_);
    // Under pressure the line leaves some slots idle where nothing else does, so they are not all to be in use.
    const bool more = bound_ && scene.pressure < Admission::kNoMore;
    // Above it is more to be learnt than below.
    const double knee = knee_.Quantile(0.5);
    const bool few_workers = knee < kFewWorkers;
    const double above = knee_.Above(seen.in_flight + kHalfASlot);
    const bool sure_above = above > (few_workers ? kSureAboveOfFew : kSureAbove);
    tested_ = doubtful && !tested_ && !sure_above;
    const bool due = (now >= probe_at_ && rest_ <= 0) || (few_workers && above > kLikelyAboveOfFew);
    const bool probes = !tested_ && more && due;
    rest_ -= 1;
    const double one_more = std::round(limit_) + 1;
    double wanted = 0;
    if (tested_) {
      wanted = knee_.Quantile(kTest);
    } else if (probes) {
      const double size = std::clamp(kProbeErrors * seen.error, kProbe, kLargestStep);
      wanted = std::max(knee * (1 + size), knee + 1);
      const double every =
          std::max(std::chrono::duration<double>(kProbeEvery).count(), kProbeTimes * mean_took_);
      probe_at_ = now + ToDuration(every * size / kProbe);
      rest_ = wanted > knee * (1 + kLargeProbe) ? kRest : 0;
    } else {
      const double low = few_workers ? kLowOfFew : kLow, high = few_workers ? kHighOfFew : kHigh;
      wanted = knee_.Quantile(low + (high - low) * turn_);
    }
    double largest = LargestStep();
    if (sure_above) {
      wanted = std::max({wanted, limit_ * (1 + step_), one_more});
      largest = std::max(largest, step_);
      if (more) step_ = std::min(step_ * (low() ? kNextStepOfFew : kNextStep), kLargestClimb);
    } else {
      step_ = kProbe;
    }
    // Of what is far above what was in flight nothing was learnt.
    const double beyond = std::max(seen.in_flight * (1 + largest), seen.in_flight + 1);
    const double most = more ? std::max(limit_, beyond) : limit_;
    wanted = std::clamp(std::min(wanted, most), limit_ * kDeepestCut,
                        std::max(limit_ * (1 + largest), one_more));
    return std::clamp(wanted, range_.min, range_.max);
  }

  Cohort open_, closed_;
  std::uint32_t cohorts_ = 0;
  bool begun_ = false;
  bool waits_ = false;  // closed_ is to be judged when it has had its time
  TimePoint closed_until_{};
  double enough_ = kFirst;
  double peak_ = 0;     // in flight since the last step
  bool bound_ = false;  // a slot was wanting since then

  bool opening_ = true;   // not yet seen to be pressed, or not since Reopen
  double opened_by_ = 0;  // answers
  double lately_ = 0, lately_variance_ = 0, lately_in_flight_ = 0;  // over the last few

  KneeBelief knee_;
  bool believes_ = false;  // knee_ is of the pressure that lasts
  double expected_ = 0;    // the excess at this limit
  bool judged_ = false;
  bool novel_ = false;  // what is usual is what the first who came said
  double turn_ = 0;
  bool tested_ = false, climbs_ = false;
  double step_ = kProbe;  // the next one while it climbs
  TimePoint probe_at_{};
  int rest_ = 0;  // cohorts, before the next probe

  double excess_ = 0, correction_ = 0;
  double spread_ = 0;  // variance of the logarithms within a cohort
  double mean_took_ = 0, answers_ = 0;
};

}  // namespace

std::unique_ptr<AdaptiveLimit> MakeKneeLimit(const AdaptiveLimit::Range& range) {
  return std::make_unique<KneeLimit>(range);
}

}  // namespace spillway
