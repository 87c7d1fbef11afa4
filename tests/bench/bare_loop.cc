// The least there is around a model: open it, run it, read the clock. What plugins/runner takes more is its overhead.
//   bare_loop LIBRARY MODEL FEEDS RUNS      prints the nanoseconds of RUNS runs, one thread, after a tenth as many to warm up
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "clock.h"
#include "onnxruntime_c_api.h"
#include "options.h"
#include "tensors.h"

int main(int, char** words) {
  void* handle = dlopen(words[1], RTLD_NOW | RTLD_GLOBAL);
  const auto base = reinterpret_cast<const OrtApiBase* (*)()>(dlsym(handle, "OrtGetApiBase"));
  const OrtApi* api = base()->GetApi(ORT_API_VERSION);
  OrtEnv* environment;
  OrtSessionOptions* settings;
  OrtSession* session;
  OrtMemoryInfo* memory;
  OrtAllocator* allocator;
  api->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "bare", &environment);
  api->CreateSessionOptions(&settings);
  api->SetIntraOpNumThreads(settings, 1);
  if (api->CreateSession(environment, words[2], settings, &session) != nullptr) return 1;
  api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory);
  api->GetAllocatorWithDefaultOptions(&allocator);
  std::vector<edgevision::Tensor> feeds = edgevision::ReadTensors(words[3]);
  OrtValue* input;
  api->CreateTensorWithDataAsOrtValue(memory, feeds[0].bytes.data(), feeds[0].bytes.size(), feeds[0].dims.data(),
                                      feeds[0].dims.size(), ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &input);
  const char* input_name = feeds[0].name.c_str();
  char* output_name;
  api->SessionGetOutputName(session, 0, allocator, &output_name);
  const int runs = std::atoi(words[4]);
  std::vector<long long> times;
  for (int run = 0; run < runs + runs / 10; ++run) {
    OrtValue* output = nullptr;
    const long long start = edgevision::Now();
    api->Run(session, nullptr, &input_name, &input, 1, &output_name, 1, &output);
    times.push_back(edgevision::Now() - start);
    api->ReleaseValue(output);
  }
  for (int run = runs / 10; run < runs + runs / 10; ++run) std::printf("%lld\n", times[run]);
}
