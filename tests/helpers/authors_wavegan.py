"""Small checkpoints of WaveGAN and SpecGAN as the authors' TensorFlow code saves them."""

from itertools import pairwise

import numpy as np

LATENT = 3


def strides(length=16384, rank=1, **_) -> tuple[int, ...]:
    return (2,) * 5 if rank == 2 else (4,) * 5 + {16384: (), 32768: (2,), 65536: (4,)}[length]


def variables(
    up="conv2d_transpose", post_filter=False, batch_norm=False, channels=1, length=16384, rank=1, width=1
) -> dict[str, np.ndarray]:
    """Random variables under the names and in the shapes of the authors' code, with what its optimizers keep."""
    numbers = np.random.default_rng(0)
    layers = len(strides(length, rank))
    widths = [width * 2**i for i in reversed(range(layers))]
    found: dict[str, np.ndarray] = {}

    def add(name: str, *shape: int, scale: float = 1.0, offset: float = 0.0) -> None:
        found[name] = (offset + scale * numbers.uniform(-1, 1, shape)).astype(np.float32)

    def norm(scope: str, size: int) -> None:
        if batch_norm:
            for leaf in ("gamma", "moving_variance"):
                add(f"{scope}/batch_normalization/{leaf}", size, scale=0.5, offset=1)
            for leaf in ("beta", "moving_mean"):
                add(f"{scope}/batch_normalization/{leaf}", size, scale=0.3)

    add("G/z_project/dense/kernel", LATENT, 16 * widths[0])
    add("G/z_project/dense/bias", 16 * widths[0], scale=0.1)
    norm("G/z_project", widths[0])
    for i, (c_in, c_out) in enumerate(zip(widths, [*widths[1:], channels], strict=True)):
        kernel = {"conv2d_transpose": (1, 25) if rank == 1 else (5, 5), "conv1d": (25,), "conv2d": (5, 5)}[up]
        sizes = (c_out, c_in) if up == "conv2d_transpose" else (c_in, c_out)
        add(f"G/upconv_{i}/{up}/kernel", *kernel, *sizes, scale=0.7 / c_in**0.5)
        add(f"G/upconv_{i}/{up}/bias", c_out, scale=0.1)
        if i < layers - 1:
            norm(f"G/upconv_{i}", c_out)
    if post_filter:
        add("G/pp_filt/conv1d/kernel", 512, 1, 1, scale=0.1)

    widths = [channels, *reversed(widths)]
    for i, sizes in enumerate(pairwise(widths)):
        down = "conv1d" if rank == 1 else "conv2d"
        add(f"D/downconv_{i}/{down}/kernel", *((25,) if rank == 1 else (5, 5)), *sizes, scale=0.3)
        add(f"D/downconv_{i}/{down}/bias", sizes[1], scale=0.1)
        if i:
            norm(f"D/downconv_{i}", sizes[1])
    add("D/output/dense/kernel", 16 * widths[-1], 1)
    add("D/output/dense/bias", 1)

    for name, values in list(found.items()):
        if "/moving_" not in name:
            found |= {f"{name}/Adam": values + 5, f"{name}/Adam_1": values + 6, f"{name}/RMSProp": values + 7}
    scalars = {"beta1_power": 0.5, "beta2_power": 0.9, "beta1_power_1": 0.5, "beta2_power_1": 0.9}
    return found | {name: np.array(value, np.float32) for name, value in scalars.items()} | {"global_step": np.array(9)}
