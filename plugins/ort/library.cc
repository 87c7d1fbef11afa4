// The entry point ONNX Runtime calls when the library is registered with a session.
#include <string>

#include "custom_op.h"

#ifndef EDGEVISION_VERSION
#error "EDGEVISION_VERSION comes from the build"
#endif

extern "C" {

__attribute__((visibility("default"))) const char* EdgevisionOpsVersion() { return EDGEVISION_VERSION; }

// Oldest ONNX Runtime API (the minor version of its release) this library can work with.
__attribute__((visibility("default"))) int EdgevisionOpsApiVersion() { return ORT_API_VERSION; }

// Name of the instruction set in use, or null when EDGEVISION_SIMD asks for one that this machine lacks.
__attribute__((visibility("default"))) const char* EdgevisionOpsSimd() {
  const edgevision::Kernels* chosen = edgevision::kernels();
  return chosen ? chosen->name : nullptr;
}

__attribute__((visibility("default"))) OrtStatus* RegisterCustomOps(OrtSessionOptions* options,
                                                                    const OrtApiBase* base) {
  const OrtApi* api = base->GetApi(ORT_API_VERSION);
  if (!api) {
    // Version 1 is the start of every later API, so it can at least carry the message.
    const OrtApi* first = base->GetApi(1);
    const std::string message = std::string("edgevision: ONNX Runtime ") + base->GetVersionString() +
                                " is too old for this kernel library, which needs 1." +
                                std::to_string(ORT_API_VERSION) + " or newer";
    return first ? first->CreateStatus(ORT_NOT_IMPLEMENTED, message.c_str()) : nullptr;
  }
  Ort::InitApi(api);
  return edgevision::guarded([&] {
    // Sessions keep pointers into the domain, so it lives as long as the library.
    static const Ort::CustomOpDomain domain = [] {
      Ort::CustomOpDomain made("edgevision");
      made.Add(edgevision::selective_scan_op());
      made.Add(edgevision::dwt_op());
      made.Add(edgevision::idwt_op());
      made.Add(edgevision::channel_norm_op());
      made.Add(edgevision::depthwise_conv_op());
      made.Add(edgevision::projected_scan_op());
      made.Add(edgevision::wavelet_conv_op());
      made.Add(edgevision::response_norm_op());
      made.Add(edgevision::shift_conv_op());
      made.Add(edgevision::shift_linear_op());
      made.Add(edgevision::integer_norm_op());
      made.Add(edgevision::signed_integer_norm_op());
      made.Add(edgevision::integer_response_norm_op());
      made.Add(edgevision::signed_integer_response_norm_op());
      made.Add(edgevision::lookup_op());
      made.Add(edgevision::signed_lookup_op());
      return made;
    }();
    Ort::ThrowOnError(Ort::GetApi().AddCustomOpDomain(options, domain));
  });
}
}
