// What the runner is told on its command line.
#pragma once

#include <string>

namespace edgevision {

struct Options {
  std::string library;   // libonnxruntime.so
  std::string model;     // ONNX file
  std::string feeds;     // tensors to run on (see tensors.h)
  std::string outputs;   // where the last run's outputs go
  std::string kernels;   // our kernel library, empty for none
  std::string provider;  // execution provider, NAME or NAME:KEY=VALUE,KEY=VALUE as ONNX Runtime calls them; empty for the CPU
  std::string profile;   // prefix of ONNX Runtime's own trace, empty for none
  int threads = 1;       // intra-op; 0 leaves it to ONNX Runtime
  int cpu = -1;          // first core to pin to, -1 for none; as many cores follow as there are threads
  int copy = 0;          // mebibytes to copy in memory, 0 for no such measurement
  int runs = 100;        // at least so many timed runs
  double seconds = 0;    // and for at least so long
};

// Fails with a message and exit code 64.
Options ParseOptions(int count, char** words);

// Prints "edgevision_runner: MESSAGE" on stderr and ends the program.
[[noreturn]] void Fail(int code, const std::string& message);

}  // namespace edgevision
