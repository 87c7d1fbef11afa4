// EvDWT(x, filters) -> y; attribute mode.
#include "custom_op.h"
#include "plan.h"

namespace edgevision {
namespace {

struct Dwt {
  static constexpr const char* kName = "EvDWT";
  static constexpr size_t kInputs = 2, kRequired = 2;

  explicit Dwt(const OrtKernelInfo* info) : mode_(parse_mode(kName, string_attribute(info, "mode", "zero"))) {}

  OrtStatusPtr ComputeV2(OrtKernelContext* context) {
    return guarded([&] { compute(context); });
  }

 private:
  void compute(OrtKernelContext* context) const {
    const Input x = read_input(context, 0, kName, "x"), filters = read_input(context, 1, kName, "filters");
    Shape out;
    Wavelet wavelet = plan_dwt(x.shape, filters.shape, mode_, out);
    wavelet.in = x.data;
    wavelet.filters = filters.data;
    wavelet.out = make_output(context, out);
    const double elements = 4.0 * static_cast<double>(wavelet.planes * wavelet.rows * wavelet.columns);
    parallel_for(context, kernels()->wavelet_items(wavelet),
                 elements * static_cast<double>(wavelet.taps * wavelet.taps) * 0.1, &wavelet,
                 [](void* user, size_t item) {
                   kernels()->wavelet(*static_cast<const Wavelet*>(user), static_cast<int64_t>(item));
                 });
  }

  Mode mode_;
};

}  // namespace

const OrtCustomOp* dwt_op() {
  static const CustomOp<Dwt> op;
  return &op;
}

}  // namespace edgevision
