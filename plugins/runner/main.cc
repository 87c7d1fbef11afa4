// Times a model on the device it runs on. One JSON object a line on stdout, flushed while it measures, so that what was
// measured before a device is lost has already arrived:
//   {"event":"loaded","onnxruntime":"1.32.0","load_ns":N,"first_ns":N}    the model is open and has run once
//   {"event":"warm","ns":N}                                              a run before the trace had settled
//   {"event":"run","ns":N}                                               a timed run
//   {"event":"copy","bytes":N,"ns":N}                                    a copy in memory, when asked for
//   {"event":"end","warm":bool,"peak_kb":N,"migrations":N,"preempted":N,"cpu_ns":N,"wall_ns":N,"profile":"PATH"}
// (processor time of all its threads and time passed, from the first timed run to the last)
// Exit codes: 64 usage, 65 model, 66 feeds, 69 runtime, 71 pinning, 74 outputs.
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "clock.h"
#include "copy.h"
#include "options.h"
#include "session.h"
#include "tensors.h"

namespace {

using edgevision::kSecond;
using edgevision::Now;
using edgevision::Options;
using edgevision::Session;

constexpr int kCannotPin = 71;
constexpr long long kLongestWarmUp = 10 * kSecond;
constexpr long long kTellEvery = kSecond / 10;

void Pin(int first, int count) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  for (int i = 0; i < std::max(count, 1); ++i) CPU_SET(first + i, &cores);
  if (sched_setaffinity(0, sizeof cores, &cores) != 0) {
    edgevision::Fail(kCannotPin, "cannot pin to " + std::to_string(std::max(count, 1)) + " cores from core " + std::to_string(first));
  }
}

long long Median(std::vector<long long> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// The last five runs are within 5 % of the five before them.
bool Settled(const std::vector<long long>& runs) {
  if (runs.size() < 10) return false;
  const double before = Median({runs.end() - 10, runs.end() - 5}), after = Median({runs.end() - 5, runs.end()});
  return after < 1.05 * before && after > 0.95 * before;
}

class Clock {
 public:
  explicit Clock(Session& session) : session_(session), told_(Now()) {}

  // Times one run. What it took is told later, in handfuls: formatting and freeing the outputs are outside the time, and
  // telling each run at once would leave other data in the caches for the next one.
  long long Run(const char* event) {
    session_.Release();
    const long long start = Now();
    session_.Run();
    const long long end = Now();
    untold_.emplace_back(event, end - start);
    if (end - told_ > kTellEvery) Tell();
    return end - start;
  }

  void Tell() {
    for (const auto& [event, ns] : untold_) std::printf("{\"event\":\"%s\",\"ns\":%lld}\n", event, ns);
    std::fflush(stdout);
    untold_.clear();
    told_ = Now();
  }

 private:
  Session& session_;
  std::vector<std::pair<const char*, long long>> untold_;
  long long told_;
};

// Processor time of all threads so far.
long long Worked(const rusage& usage) {
  const auto nanoseconds = [](const timeval& time) { return time.tv_sec * kSecond + time.tv_usec * 1000LL; };
  return nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime);
}

bool WarmUp(Clock& clock) {
  std::vector<long long> runs;
  for (const long long end = Now() + kLongestWarmUp; Now() < end && !Settled(runs);) runs.push_back(clock.Run("warm"));
  return Settled(runs);
}

}  // namespace

int main(int count, char** words) {
  const Options options = edgevision::ParseOptions(count, words);
  if (options.cpu >= 0) Pin(options.cpu, options.threads);
  std::vector<edgevision::Tensor> feeds = edgevision::ReadTensors(options.feeds);
  const long long start = Now();
  Session session(options, feeds);
  const long long loaded = Now();
  session.Run();
  std::printf("{\"event\":\"loaded\",\"onnxruntime\":\"%s\",\"load_ns\":%lld,\"first_ns\":%lld}\n", session.version().c_str(),
              loaded - start, Now() - start);
  Clock clock(session);
  const bool warm = options.profile.empty() ? WarmUp(clock) : true;  // a trace is of the first run and `runs` more

  rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  int migrations = 0, core = sched_getcpu();
  const long long begun = Now(), end = begun + static_cast<long long>(options.seconds * kSecond);
  for (int run = 0; run < options.runs || Now() < end; ++run) {
    clock.Run("run");
    const int now = sched_getcpu();
    migrations += now != core;
    core = now;
  }
  getrusage(RUSAGE_SELF, &after);
  const long long passed = Now() - begun;
  clock.Tell();
  if (options.copy > 0) edgevision::MeasureCopy(options.copy, options.threads);
  edgevision::WriteTensors(options.outputs, session.Outputs());
  const std::string trace = options.profile.empty() ? "" : session.EndProfiling();
  std::printf("{\"event\":\"end\",\"warm\":%s,\"peak_kb\":%ld,\"migrations\":%d,\"preempted\":%ld,"
              "\"cpu_ns\":%lld,\"wall_ns\":%lld,\"profile\":\"%s\"}\n",
              warm ? "true" : "false", after.ru_maxrss, migrations, after.ru_nivcsw - before.ru_nivcsw,
              Worked(after) - Worked(before), passed, trace.c_str());
  std::fflush(stdout);
  // The runtime's own tear-down is not measured and has crashed in some builds; the system frees all there is.
  std::quick_exit(0);
}
