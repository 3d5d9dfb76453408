// SPDX-License-Identifier: MIT
// Where a server's knee may be, and what its answers take without a wait: a belief, weighed anew with
// what every cohort of requests says.
//
// A server with N workers answers as fast with one request in flight as with N; beyond, each answer
// waits for (n - N) / N of a service time. One measurement of n in flight and of how much longer than
// usual the answers took fits many pairs of (N, what is usual); the next one, of another n, fits fewer
// of them. So all N are kept, each with its weight and with what would be usual if it were true:
//
//   weight |    .+.              for each N: usual times longer by norm +- doubt (a logarithm)
//          |  .+   +.
//          +--------------- N    cells of 4 %, around the likeliest
//
// A Rao-Blackwellised grid filter: Bayes on the grid for N, Kalman's filter inside a cell for the norm
// (Doucet and others, UAI 2000). What may have changed between two measurements: both drift a little; N
// jumps (workers come and go), or the norm does (servers became slower or faster, as a whole). N may jump while a
// cohort is in flight, too: some of its times are of before then, and what they say together is true of neither.
//
// Thread rule: none of its own. Allocates nothing. A cohort costs some 800 exponentials.
#pragma once

#include <array>
#include <cstddef>

#include "spillway/units.h"

namespace spillway {

class KneeBelief {
 public:
  // Nothing is known but that the knee may be about `in_flight`; `doubt`: the variance of what is
  // taken for usual.
  void Begin(double in_flight, double doubt, TimePoint now);

  struct Seen {
    double in_flight = 1;  // the mean, as the requests of the cohort were admitted
    double excess = 0;     // the mean logarithm of their times, over that of the usual ones
    double error = 0;      // standard error of it
    double spread = 0;     // standard deviation of one of them
    // Many were errors, which are no times: it was above the knee, and `excess` is the least that says so.
    bool errors = false;
  };
  void Learn(const Seen& seen, TimePoint now);

  // What Seen::excess is likely to be.
  double Expected(double in_flight, double spread) const;
  // The knee is below this number of requests in flight with a probability of `part`.
  double Quantile(double part) const;
  // The probability that it is above.
  double Above(double in_flight) const;

  // By how much longer than what was taken for usual the times are without a wait, a logarithm; its
  // variance; and that it was allowed for.
  double norm() const { return norm_; }
  double norm_doubt() const { return norm_doubt_; }
  void ShiftNorm(double by);

 private:
  static constexpr std::size_t kCells = 97;
  struct Cell {
    double weight = 0;
    double norm = 0, doubt = 0;
  };
  using Cells = std::array<Cell, kCells>;
  using Shares = std::array<double, kCells>;

  double LogOf(std::size_t cell) const;
  void Drift(double seconds);
  Shares Elsewhere() const;
  void Jump(std::size_t cell, double weight);
  void Weigh(const Seen& seen, double seconds);
  void Settle();
  void Recenter();

  Cells cells_{};
  double center_ = 0;  // logarithm of the N of the middle cell
  double norm_ = 0, norm_doubt_ = 0;
  TimePoint learnt_{};
};

}  // namespace spillway
