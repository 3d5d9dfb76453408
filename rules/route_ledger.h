// SPDX-License-Identifier: MIT
// What is known of each route of a pool: how long its answers take when nothing presses, how many
// slots it holds and since when. So a slow report is compared with slow reports, and a route that
// hangs is found and held to a few slots while the others go on.
//
// A bounded table: kRows routes and families of routes; those that find no place share row 0. A route with
// requests, with some that were given up, or with a cap is never pushed out; of the others the one that is
// asked for least.
//
// Where names are in the paths ("/product/blue-shirt") most routes are asked for too seldom to be known.
// What is usual of such a one is what is usual of those of its family that are not known either, and of
// all such where that is not known: a mean of many pages, but of the same ones from one second to the next.
//
// Thread rule: none of its own.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "spillway/admission.h"
#include "spillway/units.h"

namespace spillway {

// What an answer took, as it is compared: a logarithm is taken once.
struct AnswerTime {
  explicit AnswerTime(Duration took);
  double seconds;
  double logarithm;  // of no less than two milliseconds: what is shorter says nothing of servers
};

class RouteLedger {
 public:
  static constexpr std::size_t kWays = 8;
  static constexpr std::size_t kSets = 16;
  static constexpr std::size_t kRows = kWays * kSets + 1;
  static constexpr std::size_t kNameBytes = CappedRoute::kNameBytes;

  struct Row {
    AdmissionTicket* oldest = nullptr;  // in flight, no byte yet
    AdmissionTicket* youngest = nullptr;
    std::uint32_t silent = 0;     // how many those are
    std::uint32_t in_flight = 0;  // they, and those that are being answered
    std::uint32_t apart = 0;      // those that SetApart was told of, beside these
    std::uint32_t samples = 0;    // answers that `norm` was learnt from
    double norm = 0;              // ln of the seconds to the first byte, when nothing presses
    double variance = 0;          // of that
    double asks = 0;              // decayed
    double answers = 0;           // decayed
    double given_up = 0;          // those who left after a long silence; decayed
    TimePoint last_answer{};
    bool proven = false;    // it has answered, and not in vain
    std::uint32_t cap = 0;  // slots it may hold; 0: no cap
    bool stuck = false;     // why: its requests hang; else it held more than its share
    TimePoint over_since{};
    TimePoint calm_since{};
    bool over = false;
    bool calm = false;
  };

  // Its row; where there is none to be had, its family's; where there is none for that, 0, the shared one.
  std::uint16_t Ask(const AdmissionAsk& ask);
  void Admit(AdmissionTicket* ticket);  // REQUIRES: ticket->route_row is set
  // One that has left its slot takes one again; its ask counts once.
  void Return(AdmissionTicket* ticket);
  // Its first byte came.
  void Speak(AdmissionTicket* ticket);
  // It stands apart: it counts no more, and its silence says nothing.
  void SetApart(AdmissionTicket* ticket);
  // It ends; Speak or not.
  void Leave(AdmissionTicket* ticket, TimePoint now);

  // Nothing is heard of it for so long, then, that it seems to hang.
  bool SilentTooLong(const AdmissionTicket& ticket, TimePoint now) const;

  // An answer came; `in_vain`: after a silence that was too long for who had asked.
  void Answered(std::uint16_t row, const AnswerTime& took, bool in_vain, TimePoint now);
  // How `took` compares: ln(took / norm). False where too little is known.
  bool Compare(const AdmissionTicket& ticket, const AnswerTime& took, double* excess);
  // The answer is a usual one.
  void Learn(const AdmissionTicket& ticket, const AnswerTime& took);
  // The answer is as far from the usual as all are lately: so no route's norm moves against the rest. Teaches
  // what is not known well yet, or who waits by design.
  void LearnInCrowd(const AdmissionTicket& ticket, const AnswerTime& took);
  // All that is known answers as it ever did: what is silent takes nothing from it.
  bool AsEver() const;
  // Its answers usually take many times as long as is typical, as of what waits for something that is no
  // work.
  bool WaitsByDesign(const AdmissionTicket& ticket) const;
  // It is known, and not so slow that the others are done for long when it is.
  bool Comparable(const AdmissionTicket& ticket) const;
  // All routes take so much longer (a logarithm) than was thought usual, and that is no overload.
  void Shift(double by) { lift_ += by, level_ -= by; }

  // Once in a while: puts caps on and takes them off. `limit`: of the pool, 0 for none; `pressed`:
  // others wait.
  void Judge(std::uint32_t limit, bool pressed, TimePoint now);
  // `vital`: of a rank that is held back by a hang only, not for holding much.
  bool MayEnter(std::uint16_t index, bool vital) const {
    const Row& row = rows_[index];
    return row.cap == 0 || (vital && !row.stuck) || row.in_flight + row.given_up < row.cap;
  }
  // It never answered, while others do; and so many as may go first are silent, or were given up.
  bool Unproven(const AdmissionTicket& ticket, std::uint32_t first, TimePoint now) const;
  void Prove(std::uint16_t row) { rows_[row].proven = true; }  // it has answered, if by an error
  bool Stuck(std::uint16_t row) const { return rows_[row].cap != 0 && rows_[row].stuck; }
  // Slots held by routes that hang.
  std::uint32_t stuck_slots() const { return stuck_slots_; }
  // What an answer of its route takes, or where that is not known any answer; 0: none came yet.
  double UsualSeconds(const AdmissionTicket& ticket) const;
  // What an answer takes lately, over all routes; 0: none came yet.
  Duration Typical() const;
  double mean_seconds() const { return mean_; }

  std::vector<CappedRoute> Capped() const;
  // Grows when a cap is put on, and when one is taken off.
  std::uint32_t cap_changes() const { return cap_changes_; }
  const Row& row(std::uint16_t index) const { return rows_[index]; }

 private:
  static std::size_t SetOf(std::uint64_t route);
  std::uint16_t Find(std::uint64_t route) const;  // 0: has no row
  std::uint16_t Place(std::uint64_t route);       // 0: there is none to be had
  void Call(std::uint16_t row, const AdmissionAsk& ask);
  // Where what is usual of it is to be read: its own row, its family's or the shared one.
  std::uint16_t NormRow(const AdmissionTicket& ticket) const;
  template <class Teach>
  void EachToTeach(const AdmissionTicket& ticket, Teach teach);
  void Learn(std::uint16_t row, double logarithm, double excess);
  void SetBars();
  bool Knows(std::uint16_t row) const;
  double Usual(const Row& row) const;
  bool OthersAnswer(std::uint16_t index, double usual, TimePoint now) const;
  void JudgeStuck(std::uint16_t index, std::uint32_t limit, TimePoint now);
  void JudgeShare(Row* row, std::uint32_t limit, bool pressed, TimePoint now);

  struct Name {
    std::array<char, kNameBytes> text{};
    std::size_t size = 0;
  };
  std::array<std::uint64_t, kRows> keys_{};  // of each row, a route's or a family's hash; 0: none
  std::array<Row, kRows> rows_{};
  std::array<Name, kRows> names_{};  // "GET /order/:id"
  double asks_ = 0;
  double typical_ = 0;  // ln of seconds, over the last few answers
  double mean_ = 0;     // seconds, over the last few answers
  double lift_ = 0;     // to be added to each norm
  double level_ = 0;    // what Compare said lately, in the mean
  // Of a norm that is lifted, ln of seconds: above it a route waits by design; below it, it is comparable. As of the last
  // tenth of a second, since most that are asked of are far from either.
  double by_design_ = 0, comparable_ = 0;
  // The last answer, and the last one of another route than that.
  std::uint16_t last_row_ = 0;
  TimePoint last_{}, last_of_others_{};
  std::uint32_t answered_ = 0;
  std::uint32_t stuck_slots_ = 0;
  std::uint32_t cap_changes_ = 0;
  TimePoint judged_{};
};

}  // namespace spillway
