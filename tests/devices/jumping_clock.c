// Preloaded into a program: the wall clock jumps by an hour, back and forth, at every look. Other clocks go on as they are.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec* time) {
  static int looks;
  int (*real)(clockid_t, struct timespec*) = dlsym(RTLD_NEXT, "clock_gettime");
  const int code = real(clock, time);
  if (clock == CLOCK_REALTIME && code == 0) time->tv_sec += ++looks % 2 ? 3600 : -3600;
  return code;
}
