// A session of ONNX Runtime, by its C API alone: no C++ library of another age meets ours.
#pragma once

#include <string>
#include <vector>

#include "onnxruntime_c_api.h"
#include "options.h"
#include "tensors.h"

namespace edgevision {

class Session {
 public:
  // Opens the runtime and the model; fails with a message and exit code 65 (model) or 69 (runtime).
  Session(const Options& options, std::vector<Tensor>& feeds);

  // Runs once and keeps the outputs until they are released, which must be before the next run.
  void Run();
  void Release();

  // The last run's outputs, copied.
  std::vector<Tensor> Outputs();

  // Path of ONNX Runtime's own trace, when one was asked for.
  std::string EndProfiling();

  const std::string& version() const { return version_; }

 private:
  void OpenRuntime(const std::string& library);
  void OpenModel(const Options& options);
  void AppendProvider(OrtSessionOptions* settings, const std::string& provider);
  void Bind(std::vector<Tensor>& feeds);
  void Check(OrtStatus* status, int code) const;

  void* library_ = nullptr;
  const OrtApi* api_ = nullptr;
  OrtSession* session_ = nullptr;
  OrtAllocator* allocator_ = nullptr;
  std::string version_;
  std::vector<const char*> input_names_, output_names_;
  std::vector<OrtValue*> inputs_, outputs_;
};

}  // namespace edgevision
