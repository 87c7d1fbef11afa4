// Shapes that no kernel may be given: the planner must refuse each, with a message that says why.
#include <cstdio>

#include "check.h"

namespace edgevision::driver {

void expect_refused(const char* part, const std::function<void()>& plan) {
  try {
    plan();
  } catch (const ShapeError& error) {
    if (std::string(error.what()).find(part) != std::string::npos) return;
    fail(std::string("wrong message: ") + error.what());
  }
  fail(std::string("not refused: ") + part);
}

namespace {

void refuse_fused() {
  const int64_t zero = 0, huge = int64_t{1} << 31, beyond = int64_t{1} << 62;
  Shape out;
  const auto norm = [&](const Shape& x) { plan_channel_norm(x, {4}, {4}, {}, out); };
  norm({0, 8, 3, 3});
  norm({1, 8, 0});
  expect_refused("EvChannelNorm: 'x' has shape", [&] { norm({1, 4, huge / 4}); });
  expect_refused("EvChannelNorm: 'x' has shape", [&] { norm({0, 4, beyond, beyond}); });
  expect_refused("EvChannelNorm: 'weight' has shape", [&] { plan_channel_norm({1, 4, 1}, {huge}, {4}, {}, out); });
  expect_refused("EvChannelNorm: 'z' has shape",
                 [&] { plan_channel_norm({1, 4, 6}, {4}, {4}, {1, 4, beyond, beyond}, out); });

  plan_response_norm({2, 0, 3, 3}, {0});
  expect_refused("EvResponseNorm: 'x' has rank 3", [&] { plan_response_norm({1, 4, 6}, {4}); });
  expect_refused("EvResponseNorm: 'x' has shape", [&] { plan_response_norm({0, 4, beyond, 2}, {4}); });
  expect_refused("EvResponseNorm: 'x' has shape", [&] { plan_response_norm({1, 4, huge / 4, 1}, {4}); });
  expect_refused("EvResponseNorm: 'gamma' has shape [5]", [&] { plan_response_norm({1, 4, 2, 2}, {5}); });

  const auto depthwise = [&](const Shape& x, const Shape& weight, int64_t dilation) {
    return plan_depthwise_conv(x, weight, {}, {{}, {1, 1}, {16, 16, 16, 16}, {dilation, dilation}, 1}, out);
  };
  depthwise({0, 3, 0, 8}, {3, 1, 13, 13}, 1);
  depthwise({1, 0, 8, 8}, {0, 1, 32, 32}, 1);
  expect_refused("EvDepthwiseConv: 'x' has shape", [&] { depthwise({1, 1, huge / 2, 2}, {1, 1, 3, 3}, 1); });
  expect_refused("EvDepthwiseConv: 'x' has shape", [&] { depthwise({0, 1, beyond, beyond}, {1, 1, 3, 3}, 1); });
  expect_refused("EvDepthwiseConv: 'y' has shape", [&] { depthwise({1, 1, huge / 8, 7}, {1, 1, 1, 1}, 1); });
  expect_refused("'weight' has shape [4, 1, 3, 3]", [&] { depthwise({1, 3, 8, 8}, {4, 1, 3, 3}, 1); });
  expect_refused("'kernel_shape' has 0 in it", [&] { depthwise({1, 3, 8, 8}, {3, 1, 0, 3}, 1); });
  expect_refused("smaller than the kernel", [&] { depthwise({1, 3, 8, 8}, {3, 1, 13, 13}, 4); });
  expect_refused("too large for this kernel", [&] { depthwise({1, 3, 8, 8}, {3, 1, 33, 32}, 1); });
  expect_refused("too large for this kernel", [&] { depthwise({1, 1, 3000, 3000}, {1, 1, 3, 3}, 1200); });

  plan_lookup({}, {256});
  plan_lookup({0, 3}, {256});
  expect_refused("EvLookup: 'x' has shape", [&] { plan_lookup({huge / 4, 4}, {256}); });
  expect_refused("EvLookup: 'x' has shape", [&] { plan_lookup({0, beyond, beyond}, {256}); });
  expect_refused("EvLookup: 'table' has shape [255]", [&] { plan_lookup({4}, {255}); });
  expect_refused("EvLookup: 'table' has rank 2", [&] { plan_lookup({4}, {1, 256}); });

  plan_integer_norm({3, 0}, {0}, {0}, false);
  expect_refused("EvIntegerNorm: 'x' has rank 0", [] { plan_integer_norm(Shape({}), {1}, {1}, false); });
  expect_refused("EvIntegerNorm: 'x' has shape", [&] { plan_integer_norm({huge / 4, 4}, {4}, {4}, false); });
  expect_refused("EvIntegerNorm: 'weight' has shape [5]", [&] { plan_integer_norm({3, 4}, {5}, {4}, false); });
  expect_refused("EvIntegerNorm: 'bias' has rank 2", [&] { plan_integer_norm({3, 4}, {4}, {1, 4}, true); });

  plan_integer_response_norm({2, 3, 3, 0}, {256}, {0}, false);
  expect_refused("EvIntegerResponseNorm: 'x' has rank 3", [] { plan_integer_response_norm({1, 6, 4}, {256}, {4}, false); });
  expect_refused("EvIntegerResponseNorm: 'x' has shape",
                 [&] { plan_integer_response_norm({0, beyond, beyond, 1}, {256}, {1}, false); });
  expect_refused("EvIntegerResponseNorm: 'table' has shape [255]",
                 [] { plan_integer_response_norm({1, 2, 2, 4}, {255}, {4}, false); });
  expect_refused("EvIntegerResponseNorm: 'gamma' has shape [5]",
                 [] { plan_integer_response_norm({1, 2, 2, 4}, {256}, {5}, true); });

  const auto shift = [&](const Shape& x, const Shape& packed) { plan_shift_linear({x, packed, {}, {}}, 5, out); };
  shift({0, 11}, {3, 10});
  shift({4, 0}, {3, 0});
  expect_refused("EvShiftLinear: 'x' has shape", [&] { shift({huge / 8, 8}, {1, 5}); });
  expect_refused("EvShiftLinear: 'x' has shape", [&] { shift({0, beyond, beyond}, {1, 5}); });
  expect_refused("EvShiftLinear: 'y' has shape", [&] { shift({huge / 8, 1}, {8, 5}); });
  expect_refused("EvShiftLinear: 'operands' has shape", [&] { shift({huge / 8, 1}, {1, 5}); });
  expect_refused("EvShiftLinear: 'packed' has shape [3, 5]", [&] { shift({4, 11}, {3, 5}); });
  expect_refused("'form' is 'sp2'", [] { plan_shift_codes("EvShiftLinear", "sp2", 5); });
  expect_refused("'bits' is 9", [] { plan_shift_codes("EvShiftLinear", "ps", 9); });

  const auto conv = [&](const Shape& x, const Shape& packed, int64_t kernel, int64_t stride, int64_t group) {
    const ConvGeometry g{{kernel, 3}, {stride, 1}, {0, 0, 0, 0}, {1, 1}, group};
    return plan_shift_conv({x, packed, {}, {}}, g, 5, out);
  };
  conv({0, 2, 5, 5}, {3, 15}, 3, 1, 1);
  conv({1, 2, 5, 5}, {0, 15}, 3, 1, 1);
  conv({1, 1, 40000, 5000}, {4, 10}, 3, 1, 1);
  expect_refused("EvShiftConv: 'x' has shape", [&] { conv({1, 1, huge / 4, 4}, {3, 10}, 3, 1, 1); });
  expect_refused("EvShiftConv: 'x' has rank 3", [&] { conv({1, 5, 5}, {3, 10}, 3, 1, 1); });
  expect_refused("EvShiftConv: 'y' has shape", [&] { conv({1, 1, huge / 8, 4}, {8, 10}, 3, 1, 1); });
  expect_refused("EvShiftConv: 'kernel' has shape", [&] {
    plan_shift_conv({{1, 8, 5, 5}, {3, 5}, {}, {}}, {{huge / 4, 3}, {1, 1}, {huge / 4 - 5, 0, 0, 0}, {1, 1}, 1}, 5, out);
  });
  expect_refused("smaller than the kernel", [&] { conv({1, 2, 5, 5}, {3, 15}, 7, 1, 1); });
  expect_refused("'packed' has shape [3, 10]", [&] { conv({1, 2, 5, 5}, {3, 10}, 3, 1, 1); });
  expect_refused("'group' is 2, which does not divide", [&] { conv({1, 2, 5, 5}, {3, 10}, 3, 1, 2); });
  expect_refused("'group' is 0", [&] { conv({1, 2, 5, 5}, {3, 10}, 3, 1, 0); });
  expect_refused("'strides' has 0 in it", [&] { conv({1, 2, 5, 5}, {3, 15}, 3, 0, 1); });
  expect_refused("'kernel_shape' has 4294967296 in it", [&] { conv({1, 2, 5, 5}, {3, 15}, 2 * huge, 1, 1); });
  expect_refused("'pads' has 2 values", [&] {
    plan_shift_conv({{1, 2, 5, 5}, {3, 5}, {}, {}}, {{1, 1}, {1, 1}, {0, 0}, {1, 1}, 1}, 5, out);
  });

  const auto projected = [&](const Shape& x, int64_t channels, int64_t rank) {
    return plan_projected_scan({x, {rank + 2, channels}, {channels, rank}, {channels, 1}, {channels}, {channels}},
                               &zero, 1, false);
  };
  projected({0, 3, 5}, 3, 2);
  projected({1, 3, 0, 7}, 3, 0);
  expect_refused("EvProjectedScan: 'x' has shape", [&] { projected({1, 2, huge / 2}, 2, 1); });
  expect_refused("EvProjectedScan: 'x' has shape", [&] { projected({0, 2, beyond, beyond}, 2, 1); });
  expect_refused("EvProjectedScan: 'coefficients' has shape", [&] { projected({1, 1, huge / 2}, 1, 2); });
  expect_refused("at most 128", [&] { projected({1, 3, 5}, 3, 129); });

  const auto wavelet = [&](const Shape& x, int64_t channels, int64_t taps) {
    const Shape filters{4 * channels, 1, 2, 2};
    return plan_wavelet_conv({x, filters, filters, {4 * channels, 1, taps, taps}, {}, {}}, false);
  };
  wavelet({0, 3, 8, 8}, 3, 7);
  wavelet({1, 0, 8, 8}, 0, 7);
  expect_refused("EvWaveletConv: 'x' has shape", [&] { wavelet({1, 2, huge / 2, 1}, 2, 3); });
  expect_refused("EvWaveletConv: 'x' has shape", [&] { wavelet({0, 2, beyond, 2}, 2, 3); });
  expect_refused("too large for this kernel", [&] { wavelet({1, 1, huge / 4, 1}, 1, 3); });
  expect_refused("must be odd and at most 7", [&] { wavelet({1, 1, 8, 8}, 1, 9); });
  expect_refused("must be odd and at most 7", [&] { wavelet({1, 1, 8, 8}, 1, 0); });
}

}  // namespace

void refuse() {
  const int64_t zero = 0, huge = int64_t{1} << 31, beyond = int64_t{1} << 62;
  const auto scan = [&](int64_t batch, int64_t rows, int64_t length) {
    ScanShapes s;
    s.u = s.delta = {batch, rows, length};
    s.A = {rows, 1};
    s.B = s.C = {batch, 1, 1, length};
    return plan_scan(s, &zero, 1, false);
  };
  Shape out;
  scan(1, 1, huge - 1);
  scan(0, 4, 1000);
  expect_refused("EvSelectiveScan: 'delta' has shape [1, 2, 1073741824], which is 2^31 elements or more",
                 [&] { scan(1, 2, huge / 2); });
  expect_refused("2^31 elements", [&] { scan(beyond, beyond, beyond); });
  expect_refused("negative dimension", [&] { scan(1, 1, -1); });
  expect_refused("EvDWT: 'x' has shape", [&] { plan_dwt({1, 1, huge, 1}, {4, 1, 2, 2}, Mode::kZero, out); });
  expect_refused("EvDWT: 'y' has shape", [&] { plan_dwt({1, 1, 1, huge / 2 + 1}, {4, 1, 2, 2}, Mode::kZero, out); });
  expect_refused("EvDWT: 'filters' has shape", [&] { plan_dwt({1, 1, 4, 4}, {4, 1, huge, huge}, Mode::kZero, out); });
  expect_refused("EvIDWT: 'x' has shape", [&] { plan_idwt({1, 1, 4, huge, 1}, {4, 1, 2, 2}, Mode::kZero, 0, 0, out); });
  expect_refused("nothing would be left", [&] { plan_idwt({1, 1, 4, 2, 2}, {4, 1, 6, 6}, Mode::kZero, 0, 0, out); });
  refuse_fused();
  std::printf("refused what must be refused\n");
}

}  // namespace edgevision::driver
