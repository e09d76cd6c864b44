"""Accumulating and clipping gradients, for each network of every paper."""

from functools import partial

import pytest
import torch
from helpers.clipped import Clipped
from helpers.tiny_runs import PAPERS, VOCODERS, LatentsOfData, Log, build, data_for, fit, state
from helpers.two_processes import build_without_chance, no_chance, without_chance
from lightning import Callback
from lightning.pytorch.plugins.precision import MixedPrecision

from lightning_gans.errors import InputError
from lightning_gans.training.accumulation import AccumulateGradients, ClipGradients
from lightning_gans.training.ema import AverageGenerator

JOINED, BATCHES = 8, 4


class FirstUpdates(Callback):
    """Each network's gradient at its first update, at weights that stay where they are."""

    def __init__(self) -> None:
        self.gradients = {}

    def on_train_start(self, trainer, module):
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = 0.0

    def on_before_optimizer_step(self, trainer, module, optimizer):
        key = list(module.networks)[trainer.optimizers.index(optimizer)]
        network = getattr(module, module.networks[key])
        parts = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
        self.gradients.setdefault(key, parts)


def first_updates(name, batches):
    """With all networks in each batch, from the first one on."""
    module, seen = build_without_chance(name), FirstUpdates()
    module.hparams.update({key: 1 for key in ("n_critic", "penalty_every") if key in module.hparams})
    module.hparams.update({key: 0 for key in ("discriminator_start",) if key in module.hparams})
    if name == "dcgan_paper":
        module.preset = module.preset._replace(in_turns=False)
    if name == "wavegan_wgan":
        module.recipe = module.recipe._replace(clip=None)  # which would move D's weights all the same
    if name == "melgan_stft":
        module.stft_loss.reduction = "example"  # a norm over the batch is no mean of its parts'
    data = data_for(module, batch_size=JOINED // batches, count=16)
    with no_chance(name):
        fit(module, data, [seen, LatentsOfData(), AccumulateGradients(batches)], max_steps=1)
    return seen.gradients, module


@pytest.mark.parametrize(
    "name", [name for name in PAPERS if name != "r3gan"]
)  # whose networks learn from other batches
def test_accumulated_gradients_are_those_of_the_joined_batch(name):
    joined, module = first_updates(name, 1)
    accumulated, _ = first_updates(name, BATCHES)
    assert set(accumulated) == set(joined) == set(module.networks)
    for key, gradients in joined.items():
        largest = max(value.abs().max().item() for value in gradients.values())
        rounding = (
            1e-4 if name in (*VOCODERS, "wavegan_controlled") else 1e-5
        )  # logarithms of small magnitudes enlarge it
        torch.testing.assert_close(accumulated[key], gradients, rtol=1e-4, atol=rounding * largest)
        assert largest > 0


def test_networks_that_move_together_move_as_with_the_joined_batch():
    torch.testing.assert_close(
        state(without_chance("gan", 1, BATCHES)[0]), state(without_chance("gan", 1)[0]), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("name", ["gan", "dcgan_torch"])
def test_a_validation_leaves_accumulated_gradients_alone(name):
    states = []
    for options in ({}, dict(limit_val_batches=1, val_check_interval=1)):
        module = build(name)
        fit(module, None, [AccumulateGradients(3)], max_steps=3, **options)
        states.append(state(module))
    torch.testing.assert_close(*states, rtol=0, atol=0)


class Moments(Callback):
    """The batch of each update, counted from 1."""

    def __init__(self) -> None:
        self.moments = {}

    def on_before_optimizer_step(self, trainer, module, optimizer):
        key = list(module.networks)[trainer.optimizers.index(optimizer)]
        self.moments.setdefault(key, []).append(module.batches_seen + 1)


@pytest.mark.parametrize(
    "name, batches, moments",
    [
        ("dcgan_torch", 3, {"g": [3, 6, 9, 12], "d": [3, 6, 9, 12]}),
        ("dcgan_torch", {"g": 4}, {"g": [4, 8, 12], "d": list(range(1, 13))}),
        ("gan", {"d": 4, "g": 6}, {"g": [6, 12], "d": [4, 8, 12]}),
        ("dcgan_paper", 2, {"g": [3, 7, 11], "d": [4, 8, 12]}),  # in turns
        ("r3gan", 2, {"g": [4, 8, 12], "d": [3, 7, 11]}),
        ("wavegan", 3, {"g": [6, 12], "d": [3, 6, 9, 12]}),  # two critic updates for one of G
        ("controlgan", {"c": 2, "d": 3}, {"g": list(range(1, 13)), "d": [3, 6, 9, 12], "c": list(range(2, 13, 2))}),
    ],
)
def test_each_network_counts_its_own_batches(name, batches, moments):
    """Beyond the end of an epoch, which has four."""
    seen, log, module = Moments(), Log(), build(name)
    trainer = fit(module, None, [seen, AccumulateGradients(batches)], logger=log, max_steps=-1, max_epochs=3)
    assert seen.moments == moments
    assert trainer.global_step == len(moments["g"]) == log.lines[-1]["generator_updates"]
    assert log.lines[-1]["samples_seen"] == 12 * 4


def test_schedules_count_updates():
    trainer = fit(build("gan"), None, [AccumulateGradients({"g": 2, "d": 4})], max_steps=6)
    assert [config.scheduler.last_epoch for config in trainer.lr_scheduler_configs] == [6, 3]


@pytest.mark.parametrize("name", PAPERS)
def test_clipping(name):
    """Gradients of each network, of many a size, come to its optimizer with the norm that was asked for."""
    norms, log = {}, Log()

    class Watch(Callback):
        def on_train_start(self, trainer, module):
            for key, optimizer in zip(module.networks, trainer.optimizers, strict=True):
                optimizer.register_step_post_hook(partial(self.note, key))

        def note(self, key, optimizer, *_):
            gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            norms.setdefault(key, torch.nn.utils.get_total_norm(gradients).item())

    module = build(name)
    limits = {key: 1e-4 * i for i, key in enumerate(module.networks, 1)}
    fit(module, data_for(module), [Watch(), ClipGradients(limits)], logger=log)
    logged = {key: next(x for line in log.lines if (x := line.get(f"train/grad_norm_{key}"))) for key in norms}
    assert norms == pytest.approx({key: min(limits[key], logged[key]) for key in module.networks}, rel=5e-3)
    assert any(logged[key] > limits[key] for key in module.networks)


def doubling_fp16():
    """A scale that is twice as large after each update of either network."""
    return MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=0.25, growth_interval=1))


@pytest.mark.parametrize("batches", [{"g": 1, "d": 3}, {"g": 3, "d": 2}])
def test_gradients_of_fp16_are_brought_to_one_scale(batches):
    moved = []
    for plugins in ([], [doubling_fp16()]):
        module = Clipped(clip=None)
        torch.manual_seed(0)
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter)
        fit(module, None, [AccumulateGradients(batches)], max_steps=6 // batches["g"], plugins=plugins)
        moved.append({key: [x for x in lengths if x] for key, lengths in module.moved.items()})
    assert {key: len(lengths) for key, lengths in moved[0].items()} == {p: 6 // n for p, n in batches.items()}
    for key in "gd":
        assert moved[1][key] == pytest.approx(moved[0][key], rel=0.02)


@pytest.mark.parametrize("fused", [False, True], ids=["loop", "fused"])
@pytest.mark.parametrize("key, steps", [("g", [1, 1, 2, 3]), ("d", [1, 2, 3, 4])])
def test_an_update_that_overflows_in_fp16_does_not_count(key, steps, fused):
    """Of four, the second: the network stays, the scale is halved, and nothing counts it."""

    class Overflow(Callback):
        def on_train_start(self, trainer, module):
            weight = getattr(module, module.networks[key]).weight
            weight.register_hook(lambda gradient: gradient * (float("inf") if module.batches_seen == 1 else 1))

    log, average, scaler = Log(), AverageGenerator(0.5), torch.amp.GradScaler("cpu", init_scale=1024.0)
    module = Clipped(fused=fused)
    plugins = [MixedPrecision("16-mixed", "cpu", scaler)]
    fit(module, None, [Overflow(), average], logger=log, max_steps=-1, max_epochs=1, plugins=plugins)
    assert [line["generator_updates"] for line in log.lines] == steps
    assert [moved > 0 for moved in module.moved[key]] == [True, False, True, True] == module.returned[key]
    assert all(module.returned["d" if key == "g" else "g"])
    assert average.count == steps[-1] and scaler.get_scale() == 512.0


def test_networks_that_move_together_do_so_at_one_scale_of_fp16():
    """G's update comes between D's gradients and their use."""
    states = []
    for plugins in ([], [doubling_fp16()]):
        module = build_without_chance("gan")
        data = data_for(module)
        with no_chance("gan"):
            fit(module, data, [LatentsOfData()], max_steps=3, plugins=plugins)
        states.append(state(module))
    before = state(build_without_chance("gan"))
    for key, tensor in states[0].items():
        largest = (tensor - before[key]).abs().max().item()
        torch.testing.assert_close(states[1][key], tensor, rtol=0, atol=0.05 * largest)


def test_a_second_fit_begins_an_update_anew():
    """What the first has left of one is lost, and is not counted."""
    module, seen = build("gan"), Moments()
    fit(module, None, [AccumulateGradients(3)], max_steps=-1, max_epochs=1)  # of four batches
    fit(module, None, [AccumulateGradients(3), seen], max_steps=-1, max_epochs=1)
    assert seen.moments == {"g": [3], "d": [3]}


def test_a_later_fit_without_them_is_without_them():
    module, seen = build("gan"), Moments()
    fit(module, None, [AccumulateGradients(2), ClipGradients(0.5)], max_steps=-1, max_epochs=1)
    fit(module, None, [seen], max_steps=-1, max_epochs=1)
    assert seen.moments == {key: [1, 2, 3, 4] for key in "gd"}
    assert {one.clip_norm for one in module.accumulation.values()} == {None}


@pytest.mark.parametrize(
    "callback, message",
    [
        (AccumulateGradients({"c": 2}), r"accumulate names c; GAN has g \(generator\), d \(discriminator\)"),
        (ClipGradients({"x": 1.0, "y": 1.0}), "clip_norm names x, y; GAN has"),
    ],
)
def test_refusals(callback, message):
    with pytest.raises(InputError, match=message):
        fit(build("gan"), callbacks=[callback])
