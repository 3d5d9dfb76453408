// SPDX-License-Identifier: MIT
#include "proxy/http_date.h"

#include <chrono>
#include <cstring>

namespace spillway {
namespace {

void PutTwo(unsigned value, char* out) {
  out[0] = static_cast<char>('0' + value / 10 % 10);
  out[1] = static_cast<char>('0' + value % 10);
}

}  // namespace

std::string_view HttpDate::At(WallTime now) {
  using namespace std::chrono;
  const auto whole = floor<seconds>(now);
  if (whole.time_since_epoch().count() == second_) return {text_, sizeof text_};
  second_ = whole.time_since_epoch().count();

  constexpr char kDays[] = "SunMonTueWedThuFriSat";
  constexpr char kMonths[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const auto day = floor<days>(whole);
  const year_month_day date(day);
  const hh_mm_ss clock(whole - day);
  const auto year = static_cast<unsigned>(static_cast<int>(date.year()));
  std::memcpy(text_, "Sun, 06 Nov 1994 08:49:37 GMT", sizeof text_);
  std::memcpy(text_, kDays + 3 * weekday(day).c_encoding(), 3);
  PutTwo(static_cast<unsigned>(date.day()), text_ + 5);
  std::memcpy(text_ + 8, kMonths + 3 * (static_cast<unsigned>(date.month()) - 1), 3);
  PutTwo(year / 100, text_ + 12);
  PutTwo(year % 100, text_ + 14);
  PutTwo(static_cast<unsigned>(clock.hours().count()), text_ + 17);
  PutTwo(static_cast<unsigned>(clock.minutes().count()), text_ + 20);
  PutTwo(static_cast<unsigned>(clock.seconds().count()), text_ + 23);
  return {text_, sizeof text_};
}

}  // namespace spillway
