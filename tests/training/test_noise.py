"""Noise is a function of the seed, the rank, the stream and the batch, and of all 64 bits of them."""

import numpy as np
import torch

from lightning_gans.training.noise import EVALUATION, TRAINING, WORDS, NoiseStream

CPU = torch.device("cpu")


def drawn(seed: int, *place: int) -> float:
    stream = NoiseStream()
    stream.seed = seed
    stream.reseed(*place, CPU)
    return torch.rand((), dtype=torch.double).item()


def test_seeds_streams_batches_and_ranks_have_noise_of_their_own():
    places = [
        (seed, stream, index, rank)
        for seed in (0, 1, 2**32, 2**63)
        for stream in (TRAINING, EVALUATION)
        for index in (0, 1, 2**32)
        for rank in (0, 1)
    ]
    draws = [drawn(*place) for place in places]
    assert len(set(draws)) == len(places) == 48
    assert draws == [drawn(*place) for place in places]


def test_all_words_of_the_cpus_generator_are_set():
    """Its first numbers are those of numpy's Mersenne twister with these words."""
    stream = NoiseStream()
    stream.reseed(TRAINING, 3, 0, CPU)
    twister = np.random.MT19937()
    words = torch.get_rng_state().numpy()[WORDS].view(np.uint64)
    twister.state = {"bit_generator": "MT19937", "state": {"key": words.astype(np.uint32), "pos": 624}}
    assert len({*words.tolist()}) == 624 and words.max() < 2**32
    assert torch.rand(8).tolist() == ((twister.random_raw(8) & (2**24 - 1)) / 2**24).tolist()


def test_a_normal_draw_leaves_nothing_behind():
    """torch keeps the second of two normal numbers for the next call."""
    stream = NoiseStream()
    torch.randn(())
    stream.reseed(TRAINING, 0, 0, CPU)
    first = torch.randn(3)
    torch.randn(())
    stream.reseed(TRAINING, 0, 0, CPU)
    assert torch.equal(torch.randn(3), first)
