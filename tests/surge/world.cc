// SPDX-License-Identifier: MIT
#include "tests/surge/world.h"

#include <algorithm>
#include <memory>
#include <queue>

namespace spillway::surge {
namespace {

constexpr std::uint64_t kHangingRoute = 999;
constexpr std::uint64_t kFirstName = 1000;
constexpr std::uint64_t kFamily = 1;
constexpr std::uint64_t kSlowRoute = 998;
constexpr double kWarm = 30;  // a process that has just begun may make one wait
constexpr double kErrorTakes = 0.002;

TimePoint At(double seconds) {
  return TimePoint(1h + ToDuration(seconds));
}

struct Visitor {
  std::uint64_t client = 0;
  std::uint8_t cohort = 0;
  TrafficClass traffic_class = TrafficClass::kCritical;
  std::uint32_t jabs = 0;
  std::uint64_t route = 1;
  bool is_page = true;
  std::uint32_t page = 0;  // that an asset belongs to
  bool flood = false;
};

class World {
 public:
  explicit World(const Scenario& scenario)
      : scenario_(scenario),
        arrivals_(scenario.seed * 3),
        works_(scenario.seed * 3 + 1),
        people_(scenario.seed * 3 + 2),
        flood_(scenario.seed * 3 + 5),
        origin_(scenario.origin),
        admission_(scenario.admission, scenario.seed, At(0)) {}

  Record Run() {
    Push(arrivals_.Exponential(1 / std::max(RateAt(0), 1e-9)), Event::kArrival, 0);
    for (std::uint32_t i = 0; i < scenario_.changes.size(); ++i) {
      Push(scenario_.changes[i].at, Event::kChange, i);
    }
    for (std::uint32_t i = 0; i < scenario_.hanging.workers; ++i) {
      Push(scenario_.hanging.from, Event::kWorkerHangs, 0);
    }
    for (const Burst& burst : scenario_.bursts) {
      for (std::uint32_t i = 0; i < burst.people; ++i)
        Push(burst.at + burst.over * i / burst.people, Event::kBurst, 0);
    }
    if (scenario_.flood.rate > 0) Push(scenario_.flood.from, Event::kFlood, 0);
    Push(0, Event::kMoment, 0);
    while (!events_.empty() && events_.top().at < scenario_.seconds) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.at;
      Handle(event);
    }
    record_.last = admission_.View(At(now_));
    return std::move(record_);
  }

 private:
  struct Event {
    enum Kind : std::uint8_t {
      kArrival,
      kAsk,
      kFinish,
      kError,
      kPatience,
      kTimeout,
      kWake,
      kChange,
      kMoment,
      kWorkerHangs,
      kFlood,
      kBurst
    };
    double at;
    std::uint64_t order;
    Kind kind;
    std::uint32_t id;
    std::uint32_t generation;
    friend bool operator<(const Event& a, const Event& b) {
      return a.at != b.at ? a.at > b.at : a.order > b.order;
    }
  };

  // An ask as spillway sees it; its job at the origin may outlive it.
  struct Ask {
    AdmissionTicket ticket;
    Visitor visitor;
    std::uint32_t id = 0;
    std::uint32_t generation = 0;
    bool open = false;    // somebody waits for it
    bool orphan = false;  // nobody does, and the servers work at it
    bool first = true;
    bool hanging = false;
    double asked = 0, sent = 0, work = 0;
  };
  struct Job {
    std::uint32_t ask = 0, generation = 0;
  };

  void Push(double at, Event::Kind kind, std::uint32_t id, std::uint32_t generation = 0) {
    events_.push({at, order_++, kind, id, generation});
  }

  double RateAt(double at) const {
    double rate = 0;
    for (const Scenario::Load& load : scenario_.load) {
      if (load.at <= at) rate = load.rate;
    }
    return rate;
  }

  void Handle(const Event& event) {
    switch (event.kind) {
      case Event::kArrival: {
        Push(now_ + arrivals_.Exponential(1 / std::max(RateAt(now_), 1e-3)), Event::kArrival, 0);
        return Begin(NewVisitor(), true);
      }
      case Event::kAsk: {
        const Visitor visitor = waiting_[event.id];
        spare_.push_back(event.id);
        return Begin(visitor, event.generation == 1);
      }
      case Event::kFinish:
        return Finish(event.id);
      case Event::kError:
        return Answer(event.id, event.generation, false);
      case Event::kPatience:
        return Leave(event.id, event.generation);
      case Event::kTimeout:
        return TimeOut(event.id, event.generation);
      case Event::kWake:
        if (event.at == wake_) wake_ = 1e18;
        return Listen();
      case Event::kChange: {
        const Scenario::Change& change = scenario_.changes[event.id];
        origin_.Become(change.workers, change.speed);
        return StartJobs();
      }
      case Event::kMoment:
        return Note();
      case Event::kWorkerHangs:
        hangs_due_ += 1;
        return;
      case Event::kFlood:
        Push(now_ + flood_.Exponential(1 / scenario_.flood.rate), Event::kFlood, 0);
        return Begin(Flooder(), true);
      case Event::kBurst:
        return Begin(NewVisitor(), true);
    }
  }

  Visitor NewVisitor() {
    Visitor visitor;
    visitor.client = people_.Word();
    visitor.cohort = static_cast<std::uint8_t>(people_.Below(128));
    double where = people_.Uniform();
    std::size_t one = 0;
    while (one + 1 < kTrafficClasses && where >= scenario_.visitors.classes[one]) {
      where -= scenario_.visitors.classes[one++];
    }
    visitor.traffic_class = static_cast<TrafficClass>(one);
    visitor.jabs = scenario_.visitors.most_jabs;
    visitor.route = 1 + people_.Below(scenario_.visitors.routes);
    if (scenario_.visitors.names > 0)
      visitor.route = kFirstName + people_.Below(scenario_.visitors.names);
    if (people_.Uniform() < scenario_.visitors.slow_share) visitor.route = kSlowRoute;
    if (now_ >= scenario_.hanging.from && scenario_.hanging.share > 0 &&
        people_.Uniform() < scenario_.hanging.share) {
      visitor.route = kHangingRoute;
    }
    return visitor;
  }

  Visitor Flooder() const {
    Visitor visitor;
    visitor.client = Mix(scenario_.seed + 77);
    visitor.cohort = static_cast<std::uint8_t>(visitor.client % 128);
    visitor.traffic_class = scenario_.flood.traffic_class;
    visitor.is_page = false;
    visitor.flood = true;
    return visitor;
  }

  void Begin(const Visitor& visitor, bool first) {
    std::uint32_t id;
    if (free_.empty()) {
      id = static_cast<std::uint32_t>(asks_.size());
      asks_.push_back(std::make_unique<Ask>());
    } else {
      id = free_.back();
      free_.pop_back();
    }
    Ask& ask = *asks_[id];
    ask.id = id;
    ++ask.generation;
    ask.visitor = visitor;
    ask.open = true;
    ask.first = first;
    ask.hanging = visitor.route == kHangingRoute;
    ask.asked = now_;
    ask.work = Draw(scenario_.origin.law, &works_) * scenario_.origin.service *
               (visitor.route == kSlowRoute ? scenario_.visitors.slow_times : 1);
    ask.ticket = AdmissionTicket{};
    ask.ticket.ask = {visitor.traffic_class,
                      false,
                      visitor.cohort,
                      visitor.client,
                      {Mix(visitor.route), kFamily},
                      {},
                      {},
                      {}};
    ask.ticket.owner = &ask;
    ++record_.asks;
    Push(now_ + people_.Exponential(scenario_.visitors.patience) * 0.5 +
             scenario_.visitors.patience * 0.5,
         Event::kPatience, id, ask.generation);
    admission_.Enter(&ask.ticket, At(now_));
    if (ask.ticket.state == AdmissionTicket::State::kQueued) {
      ++record_.queued;
      if (origin_.idle() && now_ >= kWarm) ++record_.held;
    }
    if (ask.ticket.state == AdmissionTicket::State::kAdmitted) Send(id);
    if (ask.ticket.state == AdmissionTicket::State::kShed) Refuse(id);
    Listen();
  }

  void Send(std::uint32_t id) {
    Ask& ask = *asks_[id];
    ask.sent = now_;
    if (origin_.Refuses()) return Push(now_ + kErrorTakes, Event::kError, id, ask.generation);
    Push(now_ + scenario_.upstream_timeout, Event::kTimeout, id, ask.generation);
    std::uint32_t job;
    if (free_jobs_.empty()) {
      job = static_cast<std::uint32_t>(jobs_.size());
      jobs_.emplace_back();
    } else {
      job = free_jobs_.back();
      free_jobs_.pop_back();
    }
    jobs_[job] = {id, ask.generation};
    double hang = ask.hanging ? scenario_.hanging.seconds : 0;
    if (hangs_due_ > 0) hang = scenario_.hanging.seconds, --hangs_due_, ask.hanging = true;
    origin_.Add({job, ask.work, hang});
    StartJobs();
  }

  void StartJobs() {
    Origin::Job job;
    double takes = 0;
    while (origin_.Start(&job, &takes)) Push(now_ + takes, Event::kFinish, job.id);
    inside_peak_ = std::max(inside_peak_, origin_.inside());
  }

  void Finish(std::uint32_t job) {
    origin_.Finish();
    StartJobs();
    const Job of = jobs_[job];
    free_jobs_.push_back(job);
    Answer(of.ask, of.generation, true);
  }

  void Answer(std::uint32_t id, std::uint32_t generation, bool good) {
    Ask& ask = *asks_[id];
    if ((!ask.open && !ask.orphan) || ask.generation != generation) return;
    const TimePoint at = At(now_);
    admission_.FirstByte(&ask.ticket, ToDuration(now_ - ask.sent), at, !good);
    admission_.Leave(&ask.ticket, good ? AdmissionEnd::kAnswered : AdmissionEnd::kError, at);
    if (ask.orphan) return Bury(id);
    Close(id, good ? Outcome::End::kGood : Outcome::End::kError, ShedReason::kNone);
    if (!good) Again(ask.visitor);
    if (good && !ask.visitor.is_page && !ask.visitor.flood)
      ++record_.pages[ask.visitor.page].assets;
    if (good && ask.visitor.is_page) {
      record_.pages.push_back({static_cast<float>(now_), 0});
      for (std::uint32_t i = 0; i < scenario_.visitors.assets; ++i) {
        Visitor asset = ask.visitor;
        asset.is_page = false;
        asset.page = static_cast<std::uint32_t>(record_.pages.size() - 1);
        if (!scenario_.visitors.assets_alike &&
            asset.traffic_class != TrafficClass::kCriticalPlus) {
          asset.traffic_class = std::max(asset.traffic_class, TrafficClass::kSheddablePlus);
        }
        Later(asset, 0.02 * people_.Uniform(), true);
      }
    }
    Listen();
  }

  void Leave(std::uint32_t id, std::uint32_t generation) {
    Ask& ask = *asks_[id];
    if (!ask.open || ask.generation != generation) return;
    // As the proxy does: its place is kept until the servers are done with it.
    ask.orphan = ask.ticket.state == AdmissionTicket::State::kAdmitted;
    if (ask.orphan) ask.ticket.left = At(now_);
    if (!ask.orphan) admission_.Leave(&ask.ticket, AdmissionEnd::kUnmeasured, At(now_));
    Close(id, Outcome::End::kLeft, ShedReason::kNone);
    Again(ask.visitor);
    Listen();
  }

  void TimeOut(std::uint32_t id, std::uint32_t generation) {
    Ask& ask = *asks_[id];
    if ((!ask.open && !ask.orphan) || ask.generation != generation) return;
    admission_.Leave(&ask.ticket, AdmissionEnd::kDropped, At(now_));
    if (ask.orphan) return Bury(id);
    Close(id, Outcome::End::kError, ShedReason::kNone);
    Again(ask.visitor);
    Listen();
  }

  void Refuse(std::uint32_t id) {
    Ask& ask = *asks_[id];
    Close(id, Outcome::End::kRefused, ask.ticket.reason);
    Again(ask.visitor);
  }

  void Close(std::uint32_t id, Outcome::End end, ShedReason reason) {
    Ask& ask = *asks_[id];
    ask.open = false;
    record_.outcomes.push_back({end, ask.visitor.traffic_class, reason, ask.first, ask.hanging,
                                ask.visitor.flood, static_cast<float>(ask.asked),
                                static_cast<float>(now_ - ask.asked),
                                static_cast<float>(ask.work)});
    if (!ask.orphan) free_.push_back(id);
  }

  void Bury(std::uint32_t id) {
    asks_[id]->orphan = false;
    free_.push_back(id);
    Listen();
  }

  void Again(Visitor visitor) {
    if (visitor.jabs == 0 || people_.Uniform() >= scenario_.visitors.jabs) return;
    --visitor.jabs;
    Later(visitor, people_.Exponential(scenario_.visitors.jab_after), false);
  }

  void Later(const Visitor& visitor, double after, bool first) {
    std::uint32_t place;
    if (spare_.empty()) {
      place = static_cast<std::uint32_t>(waiting_.size());
      waiting_.push_back(visitor);
    } else {
      place = spare_.back();
      spare_.pop_back();
      waiting_[place] = visitor;
    }
    Push(now_ + after, Event::kAsk, place, first ? 1 : 0);
  }

  // Does what the admission says, until it has nothing more to say.
  void Listen() {
    while (AdmissionTicket* ticket = admission_.Next(At(now_))) {
      const std::uint32_t id = static_cast<Ask*>(ticket->owner)->id;
      if (ticket->state == AdmissionTicket::State::kAdmitted) Send(id);
      if (ticket->state == AdmissionTicket::State::kShed) Refuse(id);
    }
    const std::optional<TimePoint> wakeup = admission_.wakeup();
    if (!wakeup) return;
    const double at =
        std::max(std::chrono::duration<double>(*wakeup - At(0)).count() + 1e-6, now_ + 1e-6);
    if (at < wake_) Push(wake_ = at, Event::kWake, 0);
  }

  void Note() {
    const AdmissionView view = admission_.View(At(now_));
    std::uint32_t queued = 0;
    for (const std::uint32_t one : view.queued) queued += one;
    double share = view.pressed ? view.admit_share : 1;
    record_.moments.push_back({static_cast<float>(view.limit), static_cast<float>(origin_.inside()),
                               static_cast<float>(queued), static_cast<float>(share),
                               static_cast<float>(inside_peak_)});
    inside_peak_ = origin_.inside();
    Push(now_ + kMoment, Event::kMoment, 0);
  }

  const Scenario& scenario_;
  Chance arrivals_, works_, people_, flood_;
  Origin origin_;
  Admission admission_;
  std::priority_queue<Event> events_;
  std::uint64_t order_ = 0;
  double now_ = 0, wake_ = 1e18;
  std::vector<std::unique_ptr<Ask>> asks_;
  std::vector<std::uint32_t> free_, free_jobs_, spare_;
  std::vector<Job> jobs_;
  std::vector<Visitor> waiting_;
  std::uint32_t hangs_due_ = 0;
  std::uint32_t inside_peak_ = 0;
  Record record_;
};

bool Counts(const Outcome& outcome, Window window, int traffic_class) {
  return outcome.asked >= window.from && outcome.asked < window.to &&
         (traffic_class < 0 || static_cast<int>(outcome.traffic_class) == traffic_class);
}

double QuantileOf(std::vector<float>* values, double quantile) {
  if (values->empty()) return 0;
  const std::size_t at = std::min(
      values->size() - 1, static_cast<std::size_t>(quantile * static_cast<double>(values->size())));
  std::nth_element(values->begin(), values->begin() + static_cast<std::ptrdiff_t>(at),
                   values->end());
  return (*values)[at];
}

}  // namespace

Record Play(const Scenario& scenario) {
  return World(scenario).Run();
}

double Rate(const Record& record, Window window, Outcome::End end) {
  double count = 0;
  for (const Outcome& one : record.outcomes) {
    const double ended = one.asked + one.took;
    count += one.end == end && ended >= window.from && ended < window.to ? 1 : 0;
  }
  return count / (window.to - window.from);
}

double Useful(const Record& record, Window window) {
  double work = 0;
  for (const Outcome& one : record.outcomes) {
    const double ended = one.asked + one.took;
    if (one.end == Outcome::End::kGood && ended >= window.from && ended < window.to)
      work += one.work;
  }
  return work / (window.to - window.from);
}

double Quantile(const Record& record, Window window, double quantile, int traffic_class) {
  std::vector<float> values;
  for (const Outcome& one : record.outcomes) {
    if (one.end == Outcome::End::kGood && !one.hanging && Counts(one, window, traffic_class)) {
      values.push_back(one.took);
    }
  }
  return QuantileOf(&values, quantile);
}

double RefusalQuantile(const Record& record, Window window, double quantile) {
  std::vector<float> values;
  for (const Outcome& one : record.outcomes) {
    if (one.end == Outcome::End::kRefused && Counts(one, window, -1)) values.push_back(one.took);
  }
  return QuantileOf(&values, quantile);
}

double Success(const Record& record, Window window, int traffic_class) {
  double good = 0, all = 0;
  for (const Outcome& one : record.outcomes) {
    if (one.hanging || one.flood || !Counts(one, window, traffic_class)) continue;
    all += 1;
    good += one.end == Outcome::End::kGood ? 1 : 0;
  }
  return all > 0 ? good / all : 1;
}

double FloodShare(const Record& record, Window window) {
  double flood = 0, all = 0;
  for (const Outcome& one : record.outcomes) {
    if (one.end != Outcome::End::kGood || !Counts(one, window, -1)) continue;
    all += one.work;
    flood += one.flood ? one.work : 0;
  }
  return all > 0 ? flood / all : 0;
}

double Peak(const Record& record, Window window) {
  double peak = 0;
  for (std::size_t i = 0; i < record.moments.size(); ++i) {
    const double at = static_cast<double>(i) * kMoment;
    if (at - kMoment >= window.from && at < window.to) {
      peak = std::max(peak, static_cast<double>(record.moments[i].inside_peak));
    }
  }
  return peak;
}

}  // namespace spillway::surge
