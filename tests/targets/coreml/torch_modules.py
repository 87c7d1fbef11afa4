"""Small PyTorch functions whose conversion by coremltools' own front end exercises the evaluator, a few ops each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class TorchCase:
    """A function of tensors, its input shapes, and the MIL operations its conversion is here for."""

    function: Callable[..., Tensor | tuple[Tensor, ...]]
    shapes: tuple[tuple[int, ...], ...]
    meant: tuple[str, ...]
    positive: bool = False


class Called(nn.Module):
    """A function as a module, with any modules it uses kept as parameters."""

    def __init__(self, function: Callable[..., Tensor | tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.function = function
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        self.parts = nn.ModuleList([part for part in cells if isinstance(part, nn.Module)])

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.function(*inputs)


def _with(module: nn.Module) -> Callable[[Tensor], Tensor]:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    for name, buffer in module.named_buffers():
        if buffer.is_floating_point():
            nn.init.uniform_(buffer, 0.5, 1.5) if "var" in name else nn.init.normal_(buffer)
    module.eval()
    return lambda x: module(x)


IMAGE = ((2, 8, 11, 9),)

CASES: dict[str, TorchCase] = {
    "arithmetic": TorchCase(
        lambda x, y: (x + y) * (x - y) / (y.abs() + 1) - torch.maximum(x, y) * torch.minimum(x, y),
        ((3, 4), (3, 4)),
        ("add", "sub", "mul", "abs", "maximum", "minimum"),
    ),
    "division": TorchCase(lambda x, y: x / y, ((3, 4), (3, 4)), ("real_div",), positive=True),
    "exponents": TorchCase(
        lambda x: torch.exp(-x) + torch.log(x) + torch.sqrt(x) + torch.rsqrt(x) + torch.pow(x, 1.7) + torch.square(x),
        ((3, 4),),
        ("exp", "log", "sqrt", "rsqrt", "pow"),
        positive=True,
    ),
    "trigonometry": TorchCase(
        lambda x: torch.sin(x) + torch.cos(x) + torch.tan(x) + torch.sinh(x) + torch.cosh(x) + torch.atan(x),
        ((3, 4),),
        ("sin", "cos", "tan", "sinh", "cosh", "atan"),
    ),
    "inverse trigonometry": TorchCase(
        lambda x: torch.asin(torch.tanh(x)) + torch.acos(torch.tanh(x)) + torch.atanh(0.5 * torch.tanh(x)),
        ((3, 4),),
        ("asin", "acos", "atanh", "tanh"),
    ),
    "rounding": TorchCase(
        lambda x: torch.floor(3 * x) + torch.ceil(2 * x) + torch.round(5 * x) + torch.sign(x) + torch.erf(x),
        ((3, 4),),
        ("floor", "ceil", "round", "sign", "erf"),
    ),
    "remainders": TorchCase(
        lambda x, y: torch.remainder(x, y) + torch.floor_divide(x, y), ((3, 4), (3, 4)), ("floor_div",), True
    ),
    "comparisons": TorchCase(
        lambda x, y: (
            torch.where(torch.logical_or(x > y, torch.logical_and(x <= 0, torch.logical_not(y == x))), x, y)
            + torch.where(x >= y, y, -x)
        ),
        ((3, 4), (3, 4)),
        ("greater", "less_equal", "logical_or", "logical_and", "logical_not", "equal", "select", "greater_equal"),
    ),
    "activations": TorchCase(
        lambda x: (
            F.relu(x)
            + F.leaky_relu(x, 0.2)
            + F.elu(x, 0.7)
            + F.silu(x)
            + F.softplus(x)
            + F.relu6(4 * x)
            + F.sigmoid(x)
            + F.softsign(x)
        ),
        ((3, 4),),
        ("relu", "leaky_relu", "elu", "silu", "softplus", "relu6", "sigmoid"),
    ),
    "more activations": TorchCase(
        lambda x: F.gelu(x) + F.gelu(x, approximate="tanh") + F.hardsigmoid(x) + F.hardswish(x) + x.clamp(-0.5, 0.8),
        ((3, 4),),
        ("gelu", "sigmoid_hard", "clip"),
    ),
    "prelu": TorchCase(_with(nn.PReLU(8)), IMAGE, ("prelu",)),
    "softmaxes": TorchCase(
        lambda x: F.softmax(x, 1) + F.log_softmax(x, -1) + torch.logsumexp(x, 2, keepdim=True),
        ((2, 5, 6),),
        ("softmax", "reduce_log_sum_exp"),
    ),
    "strided conv": TorchCase(_with(nn.Conv2d(8, 12, 3, 2, (1, 2), (2, 1), 4)), IMAGE, ("conv",)),
    "conv 1d and 3d": TorchCase(_with(nn.Conv3d(2, 3, (1, 3, 2), padding=(0, 1, 1))), ((1, 2, 4, 6, 5),), ("conv",)),
    "transposed conv": TorchCase(
        _with(nn.ConvTranspose2d(8, 6, 4, 2, 1, output_padding=1, groups=2)), IMAGE, ("conv_transpose",)
    ),
    "pools": TorchCase(
        lambda x: (F.max_pool2d(x, 3, 2, 1), F.avg_pool2d(x, 3, 2, 1), F.avg_pool2d(x, 2, 2, count_include_pad=False)),
        IMAGE,
        ("max_pool", "avg_pool"),
    ),
    "pools with a ceiling": TorchCase(
        lambda x: (F.max_pool2d(x, 3, 2, 1, ceil_mode=True), F.avg_pool2d(x, 3, 2, 1, True, False)),
        ((1, 3, 12, 14),),
        ("max_pool", "avg_pool"),
    ),
    "batch norm": TorchCase(_with(nn.BatchNorm2d(8)), IMAGE, ("batch_norm",)),
    "instance norm": TorchCase(_with(nn.InstanceNorm2d(8, affine=True)), IMAGE, ("instance_norm",)),
    "layer norm": TorchCase(_with(nn.LayerNorm((11, 9))), IMAGE, ("layer_norm",)),
    "group norm": TorchCase(_with(nn.GroupNorm(4, 8)), IMAGE, ()),
    "local response norm": TorchCase(_with(nn.LocalResponseNorm(3, 0.1, 0.6, 1.5)), IMAGE, ("avg_pool", "pow")),
    "linear": TorchCase(_with(nn.Linear(9, 7)), ((3, 4, 9),), ("linear",)),
    "matrix products": TorchCase(
        lambda x, y: torch.matmul(x, y) + torch.einsum("bij,bjk->bik", x, y) + x @ y.transpose(1, 2).transpose(1, 2),
        ((2, 3, 4), (2, 4, 5)),
        ("matmul",),
    ),
    "einsum": TorchCase(lambda x, y: torch.einsum("nchw,nwhu->nchu", x, y), ((2, 3, 4, 5), (2, 5, 4, 6)), ("einsum",)),
    "attention": TorchCase(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v),
        ((1, 2, 5, 8), (1, 2, 6, 8), (1, 2, 6, 8)),
        ("scaled_dot_product_attention",),
    ),
    "reductions": TorchCase(
        lambda x: (
            x.sum(1),
            x.mean((1, 2)),
            x.amax(2),
            x.amin(0),
            torch.linalg.vector_norm(x, 2, 1),
            torch.linalg.vector_norm(x, 1, 2),
        ),
        ((3, 4, 5),),
        ("reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_l2_norm"),
    ),
    "places": TorchCase(
        lambda x: (x.argmax(1), x.argmin(2), x.cumsum(1), *torch.topk(x, 2, 2), torch.argsort(x, dim=1)),
        ((3, 4, 5),),
        ("reduce_argmax", "reduce_argmin", "cumsum", "topk", "argsort"),
    ),
    "shapes": TorchCase(
        lambda x: (
            x.reshape(4, 15).unsqueeze(1).squeeze(1),
            x.permute(2, 0, 1),
            torch.cat([x, x], 1),
            torch.stack([x, x], 1),
            x.repeat(1, 2, 3),
            x.flip(1),
            *x.split([1, 4], 2),
        ),
        ((3, 4, 5),),
        ("reshape", "expand_dims", "squeeze", "transpose", "concat", "stack", "tile", "reverse", "split"),
    ),
    "slices": TorchCase(
        lambda x: (x[:, 1:3, ::2], x[1], x[..., -1], x.narrow(1, 1, 2)), ((3, 4, 5),), ("slice_by_index",)
    ),
    "gathers": TorchCase(
        lambda x: (
            x.gather(1, torch.tensor([[[3, 0, 1, 2, 0]]]).repeat(3, 1, 1)),
            x.index_select(2, torch.tensor([4, 0])),
            x[torch.tensor([0, 2]), torch.tensor([1, 3])],
        ),
        ((3, 4, 5),),
        ("gather_along_axis", "gather", "gather_nd"),
    ),
    "scatters": TorchCase(
        lambda x: (
            x.scatter_add(1, torch.tensor([[3, 0, 1, 2]]).repeat(3, 1), x * 2),
            x.scatter(1, torch.tensor([[3, 0, 1, 2]]).repeat(3, 1), x * 2),
            x.index_put((torch.tensor([0, 2]), torch.tensor([1, 3])), torch.tensor([5.0, 6.0])),
        ),
        ((3, 4),),
        ("scatter_along_axis", "scatter_nd"),
    ),
    "pads": TorchCase(
        lambda x: (
            F.pad(x, (1, 2, 0, 3), value=0.5),
            F.pad(x, (2, 1, 1, 1), "reflect"),
            F.pad(x, (2, 1, 0, 3), "replicate"),
        ),
        ((2, 3, 4, 5),),
        ("pad",),
    ),
    "pixel shuffles": TorchCase(
        lambda x: (F.pixel_shuffle(x, 2), F.pixel_unshuffle(x, 2)),
        ((1, 8, 4, 6),),
        ("pixel_shuffle", "pixel_unshuffle"),
    ),
    "upsampling": TorchCase(
        lambda x: (
            F.interpolate(x, scale_factor=2),
            F.interpolate(x, scale_factor=2, mode="bilinear"),
            F.interpolate(x, size=(9, 13), mode="bilinear", align_corners=True),
        ),
        ((1, 3, 5, 6),),
        ("upsample_nearest_neighbor", "upsample_bilinear"),
    ),
    "grid sampling": TorchCase(
        lambda x, g: (
            F.grid_sample(x, g, align_corners=False),
            F.grid_sample(x, g, "nearest", "border", True),
            F.grid_sample(x, g, "bilinear", "reflection", True),
            F.grid_sample(x, g, "bilinear", "reflection", False),
        ),
        ((1, 3, 6, 7), (1, 4, 5, 2)),
        ("resample",),
    ),
    "triangles": TorchCase(lambda x: (x.tril(), x.triu()), ((4, 5),), ("band_part",)),
    "one hot": TorchCase(
        lambda x: F.one_hot(x.argmax(1), 5).float() + torch.full((3, 5), 2.0), ((3, 5),), ("one_hot", "cast")
    ),
}
