// The clock of all that is measured.
#pragma once

#include <time.h>

namespace edgevision {

constexpr long long kSecond = 1000000000LL;

// Nanoseconds. MONOTONIC_RAW: not slewed by time synchronisation, and untouched when the wall clock jumps.
inline long long Now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC_RAW, &time);
  return time.tv_sec * kSecond + time.tv_nsec;
}

}  // namespace edgevision
