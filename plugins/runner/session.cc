#include "session.h"

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <sstream>
#include <utility>

namespace edgevision {

namespace {

constexpr int kUsage = 64, kBadModel = 65, kNoRuntime = 69;

}  // namespace

Session::Session(const Options& options, std::vector<Tensor>& feeds) {
  OpenRuntime(options.library);
  OpenModel(options);
  Bind(feeds);
}

void Session::OpenRuntime(const std::string& library) {
  library_ = dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library_ == nullptr) Fail(kNoRuntime, dlerror());
  using GetBase = const OrtApiBase* (*)();
  const auto base = reinterpret_cast<GetBase>(dlsym(library_, "OrtGetApiBase"));
  if (base == nullptr) Fail(kNoRuntime, library + " is no ONNX Runtime");
  version_ = base()->GetVersionString();
  api_ = base()->GetApi(ORT_API_VERSION);
  if (api_ == nullptr) {
    Fail(kNoRuntime, "ONNX Runtime " + version_ + " is older than 1." + std::to_string(ORT_API_VERSION));
  }
}

void Session::OpenModel(const Options& options) {
  OrtEnv* environment = nullptr;
  Check(api_->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "edgevision", &environment), kNoRuntime);
  Check(api_->DisableTelemetryEvents(environment), kNoRuntime);  // a device is not ours to report from
  OrtSessionOptions* settings = nullptr;
  Check(api_->CreateSessionOptions(&settings), kNoRuntime);
  Check(api_->SetIntraOpNumThreads(settings, options.threads), kNoRuntime);
  Check(api_->SetInterOpNumThreads(settings, 1), kNoRuntime);
  Check(api_->SetSessionGraphOptimizationLevel(settings, ORT_ENABLE_ALL), kNoRuntime);
  if (!options.profile.empty()) Check(api_->EnableProfiling(settings, options.profile.c_str()), kNoRuntime);
  if (!options.kernels.empty()) {
    Check(api_->RegisterCustomOpsLibrary_V2(settings, options.kernels.c_str()), kNoRuntime);
  }
  if (!options.provider.empty()) AppendProvider(settings, options.provider);
  Check(api_->CreateSession(environment, options.model.c_str(), settings, &session_), kBadModel);
  Check(api_->GetAllocatorWithDefaultOptions(&allocator_), kNoRuntime);
}

// CUDA and NNAPI have calls of their own; NNAPI's is no part of the API's table, only builds for Android have it.
void Session::AppendProvider(OrtSessionOptions* settings, const std::string& provider) {
  const size_t colon = provider.find(':');
  const std::string name = provider.substr(0, colon);
  std::vector<std::pair<std::string, std::string>> pairs;
  std::stringstream told(colon == std::string::npos ? "" : provider.substr(colon + 1));
  for (std::string pair; std::getline(told, pair, ',');) {
    const size_t sign = pair.find('=');
    if (sign == std::string::npos) Fail(kUsage, "--provider takes NAME or NAME:KEY=VALUE,KEY=VALUE: " + provider);
    pairs.emplace_back(pair.substr(0, sign), pair.substr(sign + 1));
  }
  std::vector<const char*> keys, values;
  for (const auto& [key, value] : pairs) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  if (name == "CUDA") {
    OrtCUDAProviderOptionsV2* cuda = nullptr;
    Check(api_->CreateCUDAProviderOptions(&cuda), kNoRuntime);
    if (!keys.empty()) Check(api_->UpdateCUDAProviderOptions(cuda, keys.data(), values.data(), keys.size()), kNoRuntime);
    Check(api_->SessionOptionsAppendExecutionProvider_CUDA_V2(settings, cuda), kNoRuntime);
    api_->ReleaseCUDAProviderOptions(cuda);
  } else if (name == "NNAPI") {
    using Append = OrtStatus* (*)(OrtSessionOptions*, uint32_t);
    const auto append = reinterpret_cast<Append>(dlsym(library_, "OrtSessionOptionsAppendExecutionProvider_Nnapi"));
    if (append == nullptr) Fail(kNoRuntime, "this build of ONNX Runtime " + version_ + " has no NNAPI");
    const bool flagged = pairs.size() == 1 && pairs[0].first == "flags";
    Check(append(settings, flagged ? static_cast<uint32_t>(std::strtoul(values[0], nullptr, 0)) : 0), kNoRuntime);
  } else {
    Check(api_->SessionOptionsAppendExecutionProvider(settings, name.c_str(), keys.data(), values.data(), keys.size()),
          kNoRuntime);
  }
}

void Session::Bind(std::vector<Tensor>& feeds) {
  OrtMemoryInfo* memory = nullptr;
  Check(api_->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory), kNoRuntime);
  for (Tensor& feed : feeds) {
    OrtValue* value = nullptr;
    Check(api_->CreateTensorWithDataAsOrtValue(memory, feed.bytes.data(), feed.bytes.size(), feed.dims.data(),
                                               feed.dims.size(), static_cast<ONNXTensorElementDataType>(feed.type), &value),
          kBadModel);
    inputs_.push_back(value);
    input_names_.push_back(feed.name.c_str());
  }
  size_t count = 0;
  Check(api_->SessionGetOutputCount(session_, &count), kBadModel);
  for (size_t i = 0; i < count; ++i) {
    char* name = nullptr;
    Check(api_->SessionGetOutputName(session_, i, allocator_, &name), kBadModel);
    output_names_.push_back(name);
  }
  outputs_.assign(count, nullptr);
}

void Session::Release() {
  for (OrtValue*& output : outputs_) {
    if (output != nullptr) api_->ReleaseValue(output);
    output = nullptr;
  }
}

void Session::Run() {
  Check(api_->Run(session_, nullptr, input_names_.data(), inputs_.data(), inputs_.size(), output_names_.data(),
                  outputs_.size(), outputs_.data()),
        kBadModel);
}

std::vector<Tensor> Session::Outputs() {
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    Tensor tensor;
    tensor.name = output_names_[i];
    OrtTensorTypeAndShapeInfo* info = nullptr;
    Check(api_->GetTensorTypeAndShape(outputs_[i], &info), kBadModel);
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    Check(api_->GetTensorElementType(info, &type), kBadModel);
    tensor.type = type;
    size_t rank = 0, elements = 0;
    Check(api_->GetDimensionsCount(info, &rank), kBadModel);
    tensor.dims.resize(rank);
    Check(api_->GetDimensions(info, tensor.dims.data(), rank), kBadModel);
    Check(api_->GetTensorShapeElementCount(info, &elements), kBadModel);
    api_->ReleaseTensorTypeAndShapeInfo(info);
    tensor.bytes.resize(elements * ElementSize(type));
    void* data = nullptr;
    Check(api_->GetTensorMutableData(outputs_[i], &data), kBadModel);
    std::memcpy(tensor.bytes.data(), data, tensor.bytes.size());
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

std::string Session::EndProfiling() {
  char* path = nullptr;
  Check(api_->SessionEndProfiling(session_, allocator_, &path), kNoRuntime);
  return path;
}

void Session::Check(OrtStatus* status, int code) const {
  if (status != nullptr) Fail(code, api_->GetErrorMessage(status));
}

}  // namespace edgevision
