"""The authors' networks in NumPy, from the definition of TensorFlow's layers: float64, in its layout (B, time, C).

SAME: an input of L steps gives ceil(L / stride) outputs. Of the padding that this takes, the smaller half is in front.
Output t sees the inputs t * stride - front + tap. A transposed convolution is the transpose of that map.
"""

import numpy as np
from scipy import sparse

Variables = dict[str, np.ndarray]


def taps(length: int, kernel: int, stride: int) -> list[sparse.csr_matrix]:
    """For each tap the (outputs, inputs) matrix of zeros and ones that picks what it sees."""
    outputs = -(-length // stride)
    front = max((outputs - 1) * stride + kernel - length, 0) // 2
    matrices = []
    for tap in range(kernel):
        seen = np.arange(outputs) * stride - front + tap
        inside = (seen >= 0) & (seen < length)
        where = (np.flatnonzero(inside), seen[inside])
        matrices.append(sparse.csr_matrix((np.ones(inside.sum()), where), (outputs, length)))
    return matrices


def conv1d(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """(B, L, C) with (k, in, out)."""
    matrices = taps(x.shape[1], len(kernel), stride)
    return np.stack([sum(pick @ example @ k for pick, k in zip(matrices, kernel, strict=True)) for example in x])


def conv1d_transpose(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """(B, L, C) with (1, k, out, in) to (B, L * stride, C')."""
    matrices = taps(x.shape[1] * stride, kernel.shape[1], stride)
    return np.stack([sum(pick.T @ example @ k.T for pick, k in zip(matrices, kernel[0], strict=True)) for example in x])


def conv2d(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """(B, H, W, C) with (kh, kw, in, out)."""
    rows, columns = (taps(size, k, stride) for size, k in zip(x.shape[1:3], kernel.shape[:2], strict=True))
    return sum(
        np.einsum("th,bhwi,uw,io->btuo", row.toarray(), x, column.toarray(), kernel[a, b], optimize=True)
        for a, row in enumerate(rows)
        for b, column in enumerate(columns)
    )


def conv2d_transpose(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """(B, H, W, C) with (kh, kw, out, in) to (B, H * stride, W * stride, C')."""
    rows, columns = (taps(size * stride, k, stride) for size, k in zip(x.shape[1:3], kernel.shape[:2], strict=True))
    return sum(
        np.einsum("th,btui,uw,oi->bhwo", row.toarray(), x, column.toarray(), kernel[a, b], optimize=True)
        for a, row in enumerate(rows)
        for b, column in enumerate(columns)
    )


def layer(v: Variables, scope: str, x: np.ndarray, stride: int) -> np.ndarray:
    """Whatever layer the scope holds, with its bias; one that follows nearest-neighbour upsampling in G."""
    (name,) = {key.split("/")[2] for key in v if key.startswith(f"{scope}/conv")}
    kernel, bias = v[f"{scope}/{name}/kernel"], v[f"{scope}/{name}/bias"]
    if name == "conv2d_transpose":
        return (conv1d_transpose if x.ndim == 3 else conv2d_transpose)(x, kernel, stride) + bias
    if scope.startswith("G/"):
        for axis in range(1, x.ndim - 1):
            x = x.repeat(stride, axis)
        stride = 1
    return (conv1d if x.ndim == 3 else conv2d)(x, kernel, stride) + bias


def norm(v: Variables, scope: str, x: np.ndarray, averages: bool) -> np.ndarray:
    """Batch norm, where the scope has one."""
    scope = f"{scope}/batch_normalization"
    if f"{scope}/gamma" not in v:
        return x
    axes = tuple(range(x.ndim - 1))
    mean = v[f"{scope}/moving_mean"] if averages else x.mean(axes)
    variance = v[f"{scope}/moving_variance"] if averages else x.var(axes)
    return v[f"{scope}/gamma"] * (x - mean) / np.sqrt(variance + 1e-3) + v[f"{scope}/beta"]


def generator(v: Variables, z: np.ndarray, strides: tuple[int, ...], start: tuple[int, ...] = (16,)) -> np.ndarray:
    """(B, Z) to (B, time, C), or to (B, time, frequency, 1) from a start of (4, 4)."""
    v = {name: values.astype(np.float64) for name, values in v.items()}
    x = z @ v["G/z_project/dense/kernel"] + v["G/z_project/dense/bias"]
    x = np.maximum(norm(v, "G/z_project", x.reshape(len(z), *start, -1), True), 0)
    for i, stride in enumerate(strides):
        x = layer(v, f"G/upconv_{i}", x, stride)
        if i < len(strides) - 1:
            x = np.maximum(norm(v, f"G/upconv_{i}", x, True), 0)
    x = np.tanh(x)
    return conv1d(x, v["G/pp_filt/conv1d/kernel"], 1) if "G/pp_filt/conv1d/kernel" in v else x


def discriminator(v: Variables, x: np.ndarray, strides: tuple[int, ...]) -> np.ndarray:
    """(B, time, C) or (B, time, frequency, C) to (B, 1), without phase shuffle."""
    v = {name: values.astype(np.float64) for name, values in v.items()}
    for i, stride in enumerate(strides):
        x = layer(v, f"D/downconv_{i}", x, stride)
        x = norm(v, f"D/downconv_{i}", x, False)
        x = np.maximum(0.2 * x, x)
    return x.reshape(len(x), -1) @ v["D/output/dense/kernel"] + v["D/output/dense/bias"]
