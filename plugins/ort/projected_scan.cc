// EvProjectedScan(x, projection, steps, A, D, delta_bias) -> y; attributes reverse, silu.
#include "custom_op.h"
#include "plan.h"

namespace edgevision {
namespace {

struct ProjectedScanOp {
  static constexpr const char* kName = "EvProjectedScan";
  static constexpr size_t kInputs = 6, kRequired = 6;

  explicit ProjectedScanOp(const OrtKernelInfo* info)
      : reverse_(ints_attribute(info, "reverse", {0})),
        silu_(int_attribute(info, "silu", 0) != 0) {}

  OrtStatusPtr ComputeV2(OrtKernelContext* context) {
    return guarded([&] { compute(context); });
  }

 private:
  void compute(OrtKernelContext* context) const {
    constexpr const char* kNames[kInputs] = {"x", "projection", "steps", "A", "D", "delta_bias"};
    Input in[kInputs];
    for (size_t i = 0; i < kInputs; ++i) in[i] = read_input(context, i, kName, kNames[i]);
    ProjectedScan scan =
        plan_projected_scan({in[0].shape, in[1].shape, in[2].shape, in[3].shape, in[4].shape, in[5].shape},
                            reverse_.data(), reverse_.size(), silu_);
    scan.x = in[0].data;
    scan.projection = in[1].data;
    scan.steps = in[2].data;
    scan.A = in[3].data;
    scan.D = in[4].data;
    scan.delta_bias = in[5].data;
    scan.y = make_output(context, in[0].shape);
    const int64_t coefficients = scan.batch * scan.rows() * scan.length;
    if (kernels()->projected_scan_items(scan) == 0 || scan.length == 0) return;
    const Scratch scratch(context, memory_.get(), coefficients + kernels()->projected_scan_sum(scan));
    scan.coefficients = scratch.data();
    scan.sum = scratch.data() + coefficients;
    const double elements = static_cast<double>(scan.batch * scan.channels) * static_cast<double>(scan.length);
    const double rows = static_cast<double>(scan.rows()), groups = static_cast<double>(scan.groups);
    each(context, kernels()->projected_scan_columns(scan), elements * (0.8 + 0.03 * rows), scan, kernels()->project);
    const double rank = static_cast<double>(scan.rank);
    each(context, kernels()->projected_scan_items(scan), elements * groups * (1.0 + 0.03 * rank), scan,
         kernels()->projected_scan);
  }

  std::vector<int64_t> reverse_;
  bool silu_;
  ArenaInfo memory_;
};

}  // namespace

const OrtCustomOp* projected_scan_op() {
  static const CustomOp<ProjectedScanOp> op;
  return &op;
}

}  // namespace edgevision
