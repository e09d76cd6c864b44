"""The CRC-32C checksum (Castagnoli) of megabytes in NumPy; nothing that this package depends on brings one."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

POLYNOMIAL = 0x82F63B78
"""With its bits in reverse, as the register shifts to the right."""
START = bytes.fromhex("54641f64")
"""These bytes turn a register of zeros into one of ones, with which a checksum begins."""


def crc32c(data: bytes) -> int:
    """Checksum of the data.

    The register is linear in the data over GF(2). So the data are cut into 2^k lanes of equal length, which are
    processed side by side, each from a register of zeros; then neighbours are joined in k rounds. Zeros in front change
    nothing, and fill the first lane up.
    """
    data = START + data
    words = -(-len(data) // 4)
    lanes = 1 << words.bit_length() * 2 // 3
    steps = -(-words // lanes)
    padded = np.zeros(4 * lanes * steps, np.uint8)
    padded[-len(data) :] = np.frombuffer(data, np.uint8)
    register = np.zeros(lanes, np.uint32)
    for word in np.ascontiguousarray(padded.view("<u4").reshape(lanes, steps).T):
        register = _advanced(register ^ word)

    matrix = _identity()  # of a step over one lane
    for _ in range(steps):
        matrix = _advanced(matrix)
    while len(register) > 1:
        register = _product(matrix, register[::2]) ^ register[1::2]
        matrix = _product(matrix, matrix)
    return int(~register[0])


def unmasked(stored: int) -> int:
    """Undo the mask under which LevelDB and TensorFlow store a checksum."""
    rotated = (stored - 0xA282EAD8) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


def _identity() -> np.ndarray:
    return np.uint32(1) << np.arange(32, dtype=np.uint32)


def _product(matrix: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A matrix over GF(2), 32 columns of 32 bits, times each of the values."""
    result = np.zeros_like(values)
    for bit, column in enumerate(matrix):
        result ^= (values >> np.uint32(bit) & np.uint32(1)) * column
    return result


def _advanced(register: np.ndarray) -> np.ndarray:
    """Registers after 32 bits of zeros."""
    low, high = _tables()
    return low[register & np.uint32(0xFFFF)] ^ high[register >> np.uint32(16)]


@lru_cache(maxsize=1)
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """What 32 bits of zeros make of a register's lower half, and of its upper half."""
    matrix = _identity()
    for _ in range(32):
        matrix = matrix >> np.uint32(1) ^ (matrix & np.uint32(1)) * np.uint32(POLYNOMIAL)
    half = np.arange(1 << 16, dtype=np.uint32)
    return _product(matrix, half), _product(matrix, half << np.uint32(16))
