"""What all papers share, on each of them: the count of steps, the update, the noise, sampling, checkpoints."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.clipped import Clipped
from helpers.tiny_mels import small_discriminators
from helpers.tiny_runs import (
    CLASSES,
    G_UPDATES,
    PAPERS,
    VOCODERS,
    Gradients,
    Latents,
    Log,
    TinyClips,
    TinyImages,
    TinySpeech,
    build,
    data_for,
    fit,
    state,
    weights,
)
from lightning import Callback, Trainer
from lightning.pytorch.plugins.precision import MixedPrecision
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy
from torch import nn

from lightning_gans.callbacks.nonfinite import StopAtNonFiniteLoss
from lightning_gans.callbacks.throughput import Throughput
from lightning_gans.errors import InputError
from lightning_gans.training.adversarial_module import AdversarialModule
from lightning_gans.training.cpu_forms import use_cpu_forms
from lightning_gans.training.memory_format import channels_last
from lightning_gans.training.sampling import SAMPLE_CHUNK

every_paper = pytest.mark.parametrize("name", PAPERS)
FROM_NOISE = [name for name in PAPERS if name not in VOCODERS]
"""The papers that sample; the others, vocoders, are given features."""


def unused_and_rounded(name: str, parameters: Iterable[str]) -> tuple[set[str], set[str]]:
    """Parameters that no gradient reaches, and those whose gradient is nothing but rounding."""
    unused = {key for key in parameters if name.startswith("parallel") and "conv_layers.3.conv1x1_out" in key}
    # the last bias cancels in the hinge loss within the margin; weight norm leaves only the sign of a single number
    rounded = {key for key in parameters if name == "melgan" and "layers.6.bias" in key}
    if name == "parallel_wavegan_features":  # few channels, drawn from N(0, 0.02), let next to nothing through
        rounded |= {key for key in parameters if "discriminators.2.layers.0.1" in key and key.endswith("original0")}
    return unused, rounded | {key for key in parameters if "first_conv" in key and key.endswith("original1")}


@every_paper
def test_two_steps(name):
    module, gradients, log = build(name), Gradients(), Log()
    before = weights(module)
    trainer = fit(module, data_for(module, count=24), callbacks=[gradients], logger=log, max_steps=3)

    unused, rounded = unused_and_rounded(name, before)
    assert set(gradients.largest) == set(before) - unused
    # Wasserstein's loss is a difference, in which the last bias cancels
    last = "discriminator.7.bias" if name == "wgan_gp" else "discriminator.output.bias"
    still = {last} if name in ("wgan_gp", "wavegan", "wavegan_wgan", "specgan") else set()
    assert {key for key, largest in gradients.largest.items() if largest == 0} - rounded == still
    after = weights(module)
    assert all(tensor.isfinite().all() for tensor in after.values())
    assert {key for key in before if torch.equal(before[key], after[key])} - rounded == still | unused

    networks = module.networks
    assert {f"train/{what}_{key}" for what in ("loss", "grad_norm") for key in networks} <= set(log.lines[-1])
    updates = list(G_UPDATES.get(name, (1, 2, 3)))
    batches = len(updates)
    assert trainer.global_step == 3, (
        "Lightning counts other optimizers' updates too: look at LightningOptimizer._on_before_step and _on_after_step"
        " and at loops/optimization/manual.py, which AdversarialModule.apply_gradients relies on"
    )
    assert len(log.lines) == batches
    steps = [logged["generator_updates"] for logged in log.lines]
    assert steps == updates
    assert trainer.fit_loop.total_batch_idx == batches - 1
    assert [*module.nonfinite.first] and all(first == -1 for first in module.nonfinite.first.values())


class NotedSteps(Callback):
    def __init__(self) -> None:
        self.order: list[str] = []

    def on_before_optimizer_step(self, trainer: Any, module: AdversarialModule, optimizer: Any) -> None:
        self.order.append(module.key_of(optimizer))


@pytest.mark.parametrize(
    "name, order",
    [
        ("gan", 4 * "gd"),
        ("cgan", 4 * "gd"),
        ("controlgan", 4 * "dgc"),
        ("dcgan_torch", 4 * "dg"),
        ("dcgan_paper", "gdgd"),
        ("wavegan", "ddgddg"),
        ("specgan", "ddgddg"),
        ("specgan_controlled", "cdgdgdg"),
    ],
)
def test_order_of_updates(name, order):
    steps = NotedSteps()
    fit(build(name), callbacks=[steps], max_steps=-1, max_epochs=1, limit_train_batches=4)
    assert "".join(steps.order) == order


# ---- clipping


def fp16() -> dict[str, Any]:
    """The scaled gradients of GPUs; Lightning turns a plain 16-mixed into bf16 on CPUs."""
    return {"plugins": [MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=1024.0))]}


PRECISIONS = pytest.mark.parametrize(
    "options", [dict, lambda: {"precision": "bf16-mixed"}, fp16], ids=["fp32", "bf16", "fp16"]
)


@PRECISIONS
@pytest.mark.parametrize("fused", [False, True], ids=["loop", "fused"])
def test_clipping(options, fused):
    module, log = Clipped(fused=fused), Log()
    fit(module, logger=log, max_steps=2, **options())
    assert module.moved["g"] == pytest.approx([0.25, 0.25], rel=1e-3)
    assert module.moved["d"] == pytest.approx([0.25, 0.25], rel=1e-3)
    # the norm in the log is that before clipping
    assert log.lines[0]["train/grad_norm_g"] > 0.5
    assert log.lines[0]["train/grad_norm_d"] > 0.5


@PRECISIONS
@pytest.mark.parametrize("fused", [False, True], ids=["loop", "fused"])
def test_the_logged_norm_is_that_of_the_update(options, fused):
    module, log = Clipped(clip=None, fused=fused), Log()
    fit(module, logger=log, max_steps=1, **options())
    for key in "gd":
        assert log.lines[0][f"train/grad_norm_{key}"] == pytest.approx(module.moved[key][0], rel=1e-3)


def test_a_norm_below_the_limit_stays():
    free, clipped = Clipped(clip=None), Clipped(clip=1e4)
    clipped.load_state_dict(free.state_dict())
    for module in (free, clipped):
        fit(module, max_steps=1)
    for key in "gd":
        assert clipped.moved[key] == pytest.approx(free.moved[key])


@every_paper
def test_norms_of_all_networks_are_in_each_line(name):
    module, log = build(name), Log()
    fit(module, logger=log, log_every_n_steps=4, max_steps=-1, max_epochs=2)
    assert len(log.lines) == 2  # of 8 batches
    axes = {"generator_updates", "samples_seen"}
    for line in log.lines:
        trained = module.networks.keys() - ({"c"} if name.endswith("_controlled") else ())  # whose C has learnt by then
        assert {f"train/grad_norm_{key}" for key in trained} | axes <= set(line)


def test_norms_are_taken_shortly_before_a_line_only(monkeypatch):
    monkeypatch.setattr("lightning_gans.training.accumulation.NORM_WINDOW", 2)
    taken = []
    norm = torch.nn.utils.get_total_norm
    monkeypatch.setattr(torch.nn.utils, "get_total_norm", lambda g: taken.append(module.batches_seen) or norm(g))
    module = build("gan")
    fit(module, log_every_n_steps=5, max_steps=12)
    assert sorted(set(taken)) == [3, 4, 8, 9]


def test_no_line_is_due_where_log_every_n_steps_is_0():
    log = Log()
    fit(build("gan"), callbacks=[Throughput(), StopAtNonFiniteLoss()], logger=log, log_every_n_steps=0, max_steps=3)
    assert log.lines == []


@every_paper
@pytest.mark.parametrize("options", [lambda: {"precision": "bf16-mixed"}, fp16], ids=["bf16", "fp16"])
def test_mixed_precision_trains(name, options):
    module, gradients = build(name), Gradients()
    before = weights(module)
    fit(module, callbacks=[gradients], **options())
    after = weights(module)
    assert all(tensor.isfinite().all() for tensor in after.values())
    unchanged = {key for key in before if torch.equal(before[key], after[key])}
    unused, rounded = unused_and_rounded(name, before)
    # a half less a half, at D's first, indifferent judgement
    assert unused <= unchanged <= unused | rounded | {"discriminator.output.bias", "discriminator.7.bias"}


# ---- noise


def test_latents_are_a_function_of_seed_and_batch(monkeypatch):
    def latents(seed: int) -> Latents:
        monkeypatch.setenv("PL_GLOBAL_SEED", str(seed))
        notes = Latents()
        fit(build("gan"), callbacks=[notes], max_steps=6, limit_val_batches=2, val_check_interval=2)
        return notes

    one, again, other = latents(1), latents(1), latents(2)
    assert [z.shape for z in one.train] == [(4, 4)] * 6  # of one and a half epochs
    torch.testing.assert_close(one.train, again.train, rtol=0, atol=0)
    everything = [z for run in (one, other) for z in run.train + run.val[:2]]
    assert len({z.numpy().tobytes() for z in everything}) == len(everything) == 16
    # all validations draw the same, and training goes on as if there had been none
    assert len(one.val) == 6
    torch.testing.assert_close(one.val[:2] * 2, one.val[2:], rtol=0, atol=0)
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    unvalidated = Latents()
    fit(build("gan"), callbacks=[unvalidated], max_steps=6)
    torch.testing.assert_close(unvalidated.train, one.train, rtol=0, atol=0)


def test_without_a_seed_runs_differ(monkeypatch):
    monkeypatch.delenv("PL_GLOBAL_SEED")
    runs = [Latents(), Latents()]
    for notes in runs:
        fit(build("gan"), callbacks=[notes], max_steps=1)
    assert not torch.equal(runs[0].train[0], runs[1].train[0])


# ---- sampling


@pytest.mark.parametrize("name", FROM_NOISE)
def test_sample(name):
    module = build(name)
    fit(module, max_steps=3)  # batch norm has statistics that differ from a batch's
    module.train()
    images = module.sample(5, seed=3)
    assert images.shape == (5, *getattr(module, "audio_shape", (1, 32, 32)))
    bounded = name not in ("specgan", "specgan_controlled", "wavegan_labels")  # not behind an inversion or a filter
    assert not images.requires_grad and (images.abs().max() <= 1 or not bounded)
    torch.testing.assert_close(module.sample(5, seed=3), images, rtol=0, atol=0)
    assert not torch.equal(module.sample(5, seed=4), images)
    assert not torch.equal(module.sample(5), module.sample(5))
    # in evaluation mode an image does not depend on those drawn with it
    z, label = module.latents(5, seed=3), module.label_rows(5)
    if name.startswith("specgan"):  # whose inversion by Griffin and Lim's iterations enlarges differences of rounding
        inputs = [z] if label is None else [z, label]
        with torch.no_grad():
            images, alone = (module.eval().generator(*(x[:num] for x in inputs)) for num in (5, 1))
        module.train()
    else:
        alone = module.sample_from(z[:1], None if label is None else label[:1])
    torch.testing.assert_close(alone, images[:1], rtol=1e-4, atol=1e-5)
    assert module.training
    module.eval()
    module.sample(1)
    assert not module.training


@pytest.mark.parametrize("name", FROM_NOISE)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_sample_in_any_dtype(name, dtype):
    module = build(name).eval()
    expected = module.sample(2, seed=0)
    images = module.to(dtype).sample(2, seed=0)
    assert images.dtype == torch.float32
    # Griffin and Lim's iterations enlarge differences of rounding
    if dtype == torch.float64 and not name.startswith("specgan"):
        torch.testing.assert_close(images, expected, rtol=1e-4, atol=1e-5)
    assert images.isfinite().all()


def test_training_mode_comes_back_after_an_error():
    module = build("gan").train()
    with pytest.raises(RuntimeError):
        module.sample_from(torch.zeros(2, 5))
    assert module.training


@pytest.mark.parametrize("name", ["gan", "controlgan"])
def test_chunks_make_one_whole(name, monkeypatch):
    module = build(name)
    num = SAMPLE_CHUNK + 3
    whole = module.sample(num, seed=1)
    assert len(whole) == num
    monkeypatch.setattr("lightning_gans.training.sampling.SAMPLE_CHUNK", 100)
    torch.testing.assert_close(module.sample(num, seed=1), whole, rtol=1e-4, atol=1e-5)


def test_sampling_leaves_the_global_generator_alone():
    module = build("gan")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    module.sample(2, seed=1)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


def test_labels():
    module = build("cgan")
    rows = torch.eye(CLASSES)
    assert module.label_rows(5).tolist() == rows[[0, 1, 2, 0, 1]].tolist()
    assert module.label_rows(2, 1).tolist() == rows[[1, 1]].tolist()
    assert module.label_rows(2, [2, 0]).tolist() == rows[[2, 0]].tolist()
    assert module.label_rows(2, torch.tensor([2, 0])).tolist() == rows[[2, 0]].tolist()
    strengths = torch.tensor([[0.0, 0.5, 2.0]])
    assert module.label_rows(1, strengths).tolist() == [[0.0, 0.5, 2.0]]
    same = module.sample(4, label=1, seed=0)
    torch.testing.assert_close(module.sample(4, label=[1] * 4, seed=0), same, rtol=0, atol=0)
    torch.testing.assert_close(module.sample(4, label=rows[1].expand(4, -1), seed=0), same, rtol=0, atol=0)
    assert not torch.equal(module.sample(4, label=2, seed=0), same)


@pytest.mark.parametrize(
    "name, num, label, message",
    [
        ("cgan", 2, 3, "label 3 is out of range; this CGAN has 0 to 2"),
        ("cgan", 2, -1, "label -1 is out of range; this CGAN has 0 to 2"),
        ("controlgan", 2, [0, 7], "label 7 is out of range; this ControlGAN has 0 to 2"),
        ("cgan", 2, [0, 1, 2], r"the label has shape \(3,\); CGAN takes one class, 2 classes"),
        ("cgan", 2, torch.zeros(2, 4), r"the label has shape \(2, 4\).*rows of shape \(2, 3\)"),
        ("cgan", 2, torch.zeros(2, 3, 1), r"the label has shape \(2, 3, 1\)"),
        ("cgan", 2, 0.5, "label 0.5 is no class; give a whole number"),
        ("gan", 2, 1, "GAN takes no label; leave it out"),
        ("gan", 0, None, "num is 0; expected at least 1"),
    ],
)
def test_wrong_labels(name, num, label, message):
    with pytest.raises(InputError, match=message):
        build(name).sample(num, label)


@pytest.mark.parametrize("wrong", [3, -1])
@pytest.mark.parametrize("stage", ["fit", "validate"])
def test_labels_are_checked_before_they_are_on_the_device(stage, wrong):
    """Where a wrong one would end the process."""
    data, module = TinyImages(), build("controlgan")
    data.splits["val" if stage == "validate" else "train"].label[:] = wrong
    data.transfer_batch_to_device = lambda *_: pytest.fail("a wrong label was moved to the device")
    with pytest.raises(InputError, match=f"label {wrong} is out of range; this ControlGAN has 0 to 2"):
        if stage == "fit":
            fit(module, data)
        else:
            Trainer(accelerator="cpu", logger=False, enable_progress_bar=False).validate(module, data, verbose=False)


# ---- strategies, checkpoints, losses that are not finite


@pytest.mark.parametrize(
    "strategy, message",
    [
        (
            DDPStrategy(static_graph=True),
            "static_graph=True cannot train networks in turns; use the strategy ddp without it",
        ),
        (FSDPStrategy(), r"strategy FSDPStrategy is not supported.*use --trainer.strategy ddp"),
    ],
)
def test_strategies_that_are_refused(strategy, message):
    module = build("gan")
    module._trainer = SimpleNamespace(strategy=strategy, datamodule=None, _checkpoint_connector=SimpleNamespace())
    with pytest.raises(InputError, match=message):
        module.setup("fit")


def test_ddp_is_told_that_networks_take_turns():
    module, strategy = build("gan"), DDPStrategy()
    module._trainer = SimpleNamespace(strategy=strategy, datamodule=None, _checkpoint_connector=SimpleNamespace())
    module.setup("fit")
    assert strategy._ddp_kwargs == {"find_unused_parameters": True, "broadcast_buffers": False}


@every_paper
def test_checkpoint_holds_plain_values(name, tmp_path):
    module = build(name)
    trainer = fit(module, default_root_dir=tmp_path)
    trainer.save_checkpoint(path := tmp_path / "model.ckpt")
    checkpoint = torch.load(path, weights_only=True)
    plain = (int, float, str, tuple, type(None))
    hparams = checkpoint["hyper_parameters"]
    mels = {f"{key}.{field}": v for key in ("mel", "loss_mel") for field, v in hparams.pop(key, {}).items()}
    assert {k for k, v in (hparams | mels).items() if not isinstance(v, plain)} == set()
    assert (checkpoint["model"], checkpoint["noise_seed"], checkpoint["global_step"]) == (type(module).__name__, 0, 2)
    with small_discriminators():
        again = type(module).load_from_checkpoint(path, weights_only=True)
    torch.testing.assert_close(state(again), state(module), rtol=0, atol=0)
    channels_last(again)
    use_cpu_forms(again)
    made = [m.sample(3, seed=0) if name in FROM_NOISE else m.vocode(torch.zeros(8, 9), seed=0) for m in (again, module)]
    torch.testing.assert_close(*made, rtol=0, atol=0)


class Poison(Callback):
    """Makes a network's weights useless before one batch."""

    def __init__(self, network: str, batch: int) -> None:
        self.network, self.batch = network, batch

    def on_train_batch_start(self, trainer: Any, module: AdversarialModule, batch: Any, batch_idx: int) -> None:
        if module.batches_seen == self.batch:
            nn.init.constant_(next(getattr(module, self.network).parameters()), float("nan"))


def test_the_first_batch_of_a_loss_that_is_not_finite_is_kept():
    module = build("controlgan")
    fit(module, callbacks=[Poison("classifier", 2)], max_steps=4)
    # G's loss has C's in it, D gets such a G's images a batch later
    assert {key: first.item() for key, first in module.nonfinite.first.items()} == {"d": 3, "g": 2, "c": 2}


def test_batch_norm_is_averaged_over_processes_to_evaluate():
    """So that all validate, and the first saves, the same network; the reduction is replaced by adding 1."""
    module = build("dcgan_torch")
    before = state(module)
    module._trainer = SimpleNamespace(
        world_size=2, strategy=SimpleNamespace(reduce=lambda tensor, reduce_op: tensor + (reduce_op == "mean"))
    )
    module.on_validation_epoch_start()
    averaged = {key for key, tensor in state(module).items() if not torch.equal(tensor, before[key])}
    assert averaged == {key for key in before if "running_" in key} != set()
    assert all(torch.equal(state(module)[key], before[key] + 1) for key in averaged)


@pytest.mark.parametrize(("name", "makes"), [("wavegan", "WaveGAN makes audio"), ("gan", "GAN makes images")])
def test_mels_are_for_vocoders(name, makes):
    data = TinySpeech(build("melgan"))
    with pytest.raises(InputError, match=f"TinySpeech is a data set of audio with mels, and {makes}; give --data or"):
        fit(build(name), data)


def test_other_data_are_not_for_vocoders():
    for data in (TinyClips(), TinyImages()):
        with pytest.raises(InputError, match=f"{type(data).__name__} hands out no mels, and MelGAN takes them"):
            fit(build("melgan"), data)
