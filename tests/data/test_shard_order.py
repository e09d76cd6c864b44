"""Each rank reads shards of its own, in an order that a resumed run works out anew."""

from itertools import chain

import numpy as np
import pytest

from lightning_gans.data.shard_order import ShardSampler

ENDS = np.cumsum([7, 5, 0, 9, 3, 8, 8])


def order(epoch=0, skip=0, ranks=1, rank=0, seed=3, mixed=2, examples=40):
    place = dict(num_replicas=ranks, rank=rank, shuffle=True, drop_last=True)
    return list(ShardSampler(range(examples), epoch, skip, **place, seed=seed, ends=ENDS, mixed=mixed))


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_all_examples_come_once_an_epoch(ranks):
    for epoch in (0, 1):
        shares = [order(epoch, ranks=ranks, rank=rank) for rank in range(ranks)]
        assert {len(share) for share in shares} == {40 // ranks}
        assert sorted(chain(*shares)) == list(range(40))
    assert order(0) != order(1) and order(0) != order(0, seed=4)


def test_ranks_share_no_more_shards_than_those_at_their_ends():
    shards = [set(np.searchsorted(ENDS, order(ranks=2, rank=rank, mixed=1), side="right")) for rank in (0, 1)]
    assert len(shards[0] & shards[1]) <= 1


def test_few_shards_are_in_use_at_any_time():
    of = np.searchsorted(ENDS, order(mixed=2), side="right")
    changes = [set(of[: i + 1]) & set(of[i + 1 :]) for i in range(len(of) - 1)]
    assert max(map(len, changes)) == 2


def test_it_goes_on_where_it_was():
    for rank in (0, 1):
        assert order(2, 6, ranks=2, rank=rank) == order(2, ranks=2, rank=rank)[6:]


def test_what_does_not_divide_is_left_out():
    shares = [order(ranks=3, rank=rank) for rank in range(3)]
    assert {len(share) for share in shares} == {13} and len(set(chain(*shares))) == 39


def test_several_examples_of_each_lie_together():
    found = order(examples=120)
    assert sorted(found) == list(range(120)) and len(set(found[:60])) == 60
    of = np.searchsorted(ENDS, np.array(found) % 40, side="right")
    assert max(len(set(of[: i + 1]) & set(of[i + 1 :])) for i in range(len(of) - 1)) == 2
