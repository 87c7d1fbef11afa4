#include "copy.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include "clock.h"

namespace edgevision {

namespace {

constexpr int kRounds = 12;

void CopyAll(std::vector<char>& target, const std::vector<char>& source, int threads) {
  std::vector<std::thread> workers;
  for (int i = 0; i < threads; ++i) {
    const size_t begin = source.size() * i / threads, end = source.size() * (i + 1) / threads;
    workers.emplace_back([&, begin, end] { std::memcpy(target.data() + begin, source.data() + begin, end - begin); });
  }
  for (std::thread& worker : workers) worker.join();
}

}  // namespace

void MeasureCopy(int mebibytes, int threads) {
  const int workers = std::max(1, threads > 0 ? threads : static_cast<int>(std::thread::hardware_concurrency()));
  const std::vector<char> source(static_cast<size_t>(mebibytes) << 20, 1);
  std::vector<char> target(source.size());
  for (int round = 0; round < kRounds; ++round) {
    const long long start = Now();
    CopyAll(target, source, workers);
    const long long end = Now();
    std::printf("{\"event\":\"copy\",\"bytes\":%zu,\"ns\":%lld}\n", 2 * source.size(), end - start);
  }
}

}  // namespace edgevision
