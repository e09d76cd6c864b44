import math
from pathlib import Path

import pytest
import torch
from helpers.small_trainer import Keep, Noise, scaled, tiny, trainer
from helpers.tiny_mels import sounds, tiny_melgan, tiny_parallel_wavegan
from helpers.tiny_runs import TinyImages, build
from helpers.tiny_sounds import COUNTS, RATE, Noises, wavegan
from lightning import LightningDataModule
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import DataLoader

from lightning_gans.audio import griffin_lim_of_mel
from lightning_gans.callbacks import evaluation
from lightning_gans.callbacks.evaluation import Evaluate
from lightning_gans.data import Digits
from lightning_gans.data.batches import MelBatch
from lightning_gans.errors import InputError
from lightning_gans.metrics import (
    METRICS,
    LabelAccuracy,
    ParzenLogLikelihood,
    SampleMetric,
    SlicedWasserstein,
    of_kind,
    parzen,
)
from lightning_gans.models import CGAN, GAN


class Heard(SampleMetric):
    """Notes what it was shown; its value is the mean of the fakes."""

    kind, baseline = "audio", "real"

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self.sample_rate, self.fakes, self.labels, self.calibrated = sample_rate, [], [], []
        self.add_state("total", torch.zeros(2), dist_reduce_fx="sum")

    def update(self, real: Tensor | None, fake: Tensor, label: Tensor) -> None:
        self.fakes.append(fake.clone())
        self.labels.append(label.clone())
        self.total += torch.stack([fake.mean((1, 2)).sum(), torch.tensor(float(len(fake)))])

    def calibrate(self, real: Tensor) -> None:
        self.calibrated.append(real.clone())

    def compute(self) -> Tensor:
        return self.total[0] / self.total[1]

    def seen(self) -> Tensor:
        return torch.cat(self.fakes)


class HeardOnce(Heard):
    one_per_example, calibration = True, "train"


class HeardByVal(Heard):
    calibration, baseline = "val", "real_train"


@pytest.fixture(autouse=True)
def metrics(monkeypatch):
    for name, metric in (("heard", Heard), ("heard_once", HeardOnce), ("heard_by_val", HeardByVal)):
        monkeypatch.setitem(METRICS, name, metric)


class ParzenOf20(ParzenLogLikelihood):
    """For as few images as there are here."""

    def __init__(self) -> None:
        super().__init__(num_samples=20)


def test_validation_judges_what_was_generated():
    data, keep, model = Noise(), Keep(), tiny()
    run = trainer(Evaluate(["sliced_wasserstein"]), keep)
    run.validate(model, data, verbose=False)
    by_hand = SlicedWasserstein()
    by_hand.update(scaled(data, "val"), torch.cat(keep.fakes))
    assert run.callback_metrics["val/sliced_wasserstein"].item() == pytest.approx(by_hand.compute().item(), rel=1e-5)
    assert [len(fake) for fake in keep.fakes] == [8, 8, 4]


def test_a_test_has_a_baseline_of_real_images():
    data, keep, model = Noise(), Keep(), tiny()
    run = trainer(Evaluate(["sliced_wasserstein"]), keep)
    run.test(model, data, verbose=False)
    real = SlicedWasserstein()
    real.update(scaled(data, "test"), scaled(data, "train")[:30])
    fake = SlicedWasserstein()
    fake.update(scaled(data, "test"), torch.cat(keep.fakes))
    logged = run.callback_metrics
    assert logged["test/sliced_wasserstein_real_train"].item() == pytest.approx(real.compute().item(), rel=1e-5)
    assert logged["test/sliced_wasserstein"].item() == pytest.approx(fake.compute().item(), rel=1e-5)
    assert real.compute() != fake.compute()


def test_the_width_of_the_parzen_window_comes_from_validation_images_in_a_test_alone(monkeypatch):
    monkeypatch.setitem(METRICS, "parzen_ll", ParzenOf20)
    data, keep, model = Noise(), Keep(), tiny()
    run = trainer(Evaluate(["parzen_ll"]), keep)
    run.validate(model, data, verbose=False)
    rows = [parzen.unit_rows(images) for images in (scaled(data, "val"), torch.cat(keep.fakes))]
    tried = parzen.parzen_log_likelihood(*rows, parzen.SIGMAS).mean(1)
    assert run.callback_metrics["val/parzen_ll"].item() == pytest.approx(tried.max().item(), rel=1e-5)

    keep.fakes.clear()
    run.test(model, data, verbose=False)
    samples = parzen.unit_rows(torch.cat(keep.fakes))[:20]
    validation, test = (parzen.unit_rows(scaled(data, split)) for split in ("val", "test"))
    best = parzen.parzen_log_likelihood(validation, samples, parzen.SIGMAS).mean(1).argmax()
    by_hand = parzen.parzen_log_likelihood(test, samples, parzen.SIGMAS).mean(1)
    assert run.callback_metrics["test/parzen_ll"].item() == pytest.approx(by_hand[best].item(), rel=1e-5)
    assert by_hand.argmax() != best  # else it could have come from the test images


def test_the_baseline_of_label_accuracy_is_the_test_set():
    """The last batch is short: 360 test images in batches of 100."""
    data = Digits(eval_batch_size=100)
    run = trainer(Evaluate(["label_accuracy"]))
    model = CGAN(image_shape=(1, 32, 32), latent_dim=3)
    run.test(model, data, verbose=False)
    by_hand = LabelAccuracy()
    test = data.splits["test"][:]
    by_hand.update(None, test.image / 127.5 - 1, test.label)
    assert run.callback_metrics["test/label_accuracy_real"].item() == pytest.approx(by_hand.compute().item())
    assert by_hand.compute() > 0.5


def test_a_metric_that_a_limited_validation_cannot_give_is_left_out(monkeypatch):
    monkeypatch.setitem(METRICS, "parzen_ll", ParzenOf20)
    checkpoint = ModelCheckpoint(monitor="val/parzen_ll")
    run = trainer(
        Evaluate(["parzen_ll", "sliced_wasserstein"]),
        checkpoint,
        limit_val_batches=2,
        enable_checkpointing=True,
        max_epochs=2,
    )
    with pytest.warns(UserWarning, match=r"val/parzen_ll is left out.*16 samples") as warned:
        run.fit(tiny(), Noise())
    assert sum("left out" in str(w.message) for w in warned) == 1
    assert "val/parzen_ll" not in run.callback_metrics and "val/sliced_wasserstein" in run.callback_metrics
    assert Path(checkpoint.best_model_path).is_file()


def test_a_metric_that_the_whole_set_cannot_give_is_an_error():
    with pytest.raises(InputError, match="parzen_ll got 20 samples"):
        trainer(Evaluate(["parzen_ll"])).validate(tiny(), Noise(), verbose=False)


# ---- sounds


def test_several_fakes_for_each_example_but_for_metrics_that_depend_on_their_number():
    evaluate, keep = Evaluate(["heard", "heard_once"], repeats=3), Keep()
    run = trainer(evaluate, keep)
    run.validate(wavegan(), Noises(), verbose=False)
    several, once = (evaluate.metrics[name].seen() for name in ("heard", "heard_once"))
    assert len(several) == 3 * COUNTS["val"] and torch.equal(once, torch.cat(keep.fakes))
    assert torch.equal(several[:4], keep.fakes[0]) and torch.equal(several[12:14], keep.fakes[1])
    assert len(several.unique(dim=0)) == len(several)
    labels = torch.cat(evaluate.metrics["heard"].labels)
    assert labels.tolist() == [0, 0, 1, 1] * 3 + [2, 2] * 3
    assert run.callback_metrics["val/heard"] == pytest.approx(several.mean().item(), rel=1e-5)
    assert evaluate.metrics["heard"].sample_rate == RATE


def test_metrics_hold_nothing_while_training_goes_on():
    evaluate = Evaluate(["heard"])
    run = trainer(evaluate, max_epochs=1)
    run.fit(wavegan(), Noises())
    assert run.callback_metrics["val/heard"].isfinite()
    assert evaluate.metrics["heard"].fakes and evaluate.metrics["heard"].total.tolist() == [0, 0]


def test_the_further_fakes_are_the_same_ones_at_each_validation():
    seen = []
    for _ in range(2):
        evaluate = Evaluate(["heard"], repeats=2)
        torch.randn(len(seen) + 1)
        trainer(evaluate).validate(wavegan(), Noises(), verbose=False)
        seen.append(evaluate.metrics["heard"].seen())
    assert torch.equal(*seen)


def test_further_fakes_come_from_the_network_in_evaluation_mode():
    """Batch norm's running values would move otherwise."""
    module = wavegan(batch_norm=True, loss="dcgan")
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    trainer(Evaluate(["heard"], repeats=3)).validate(module, Noises(), verbose=False)
    assert any("running_mean" in name for name in before)
    assert all(torch.equal(buffer, before[name]) for name, buffer in module.named_buffers())


def test_baselines_stand_beside_the_fakes(monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(evaluation, "rank_zero_info", said.append)
    evaluate, data = Evaluate(["heard", "heard_once", "heard_by_val"], repeats=2), Noises()
    run = trainer(evaluate)
    run.test(wavegan(), data, verbose=False)
    assert set(run.callback_metrics) == {
        *("test/heard", "test/heard_real", "test/heard_once", "test/heard_once_real"),
        *("test/heard_by_val", "test/heard_by_val_real_train", "test/examples", "test/samples"),
    }
    train, test = data.audio("train"), data.audio("test")
    for name in ("heard", "heard_once"):
        assert torch.equal(evaluate.baselines["real"][name].seen(), test)
        assert run.callback_metrics[f"test/{name}_real"] == pytest.approx(test.mean().item(), rel=1e-5)
        assert torch.equal(torch.cat(evaluate.baselines["real"][name].labels), data.splits["test"].label)
    assert torch.equal(evaluate.baselines["real_train"]["heard_by_val"].seen(), train[: len(test)])
    assert len(evaluate.metrics["heard"].seen()) == 14 and len(evaluate.metrics["heard_once"].seen()) == 7
    assert (run.callback_metrics["test/examples"], run.callback_metrics["test/samples"]) == (7, 14)
    (line,) = said
    assert (
        line.startswith("7 test examples, 2 sample(s) for each; _real: test")
        and "_real_train: as many training" in line
    )


def test_real_sounds_go_through_the_features_of_a_model_that_has_some():
    class Halving(type(wavegan())):
        """Its features are the samples, which come back softer."""

        def features(self, audio):
            return audio

        def invert(self, x):
            return x / 2

    module = wavegan()
    module.__class__ = Halving
    evaluate, data = Evaluate(["heard", "heard_by_val"]), Noises()
    run = trainer(evaluate)
    run.test(module, data, verbose=False)
    assert set(evaluate.baselines) == {"real", "features", "real_train"}
    assert torch.equal(evaluate.baselines["features"]["heard"].seen(), data.audio("test") / 2)
    assert set(evaluate.baselines["features"]) == {"heard"}  # no distance from themselves
    assert run.callback_metrics["test/heard_features"] == pytest.approx(data.audio("test").mean().item() / 2, rel=1e-5)


def test_a_test_on_the_validation_set_is_said(monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(evaluation, "rank_zero_info", said.append)
    data = Digits()  # has no third part
    trainer(Evaluate(), limit_test_batches=1).test(
        GAN((1, 32, 32), latent_dim=3, hidden=4, units=4), data, verbose=False
    )
    assert said[0].startswith("There is no test split: this is the validation set")


def test_a_metric_is_calibrated_on_the_split_that_it_names():
    evaluate, data = Evaluate(["heard", "heard_once", "heard_by_val"]), Noises()
    run = trainer(evaluate)
    run.validate(wavegan(), data, verbose=False)
    assert evaluate.metrics["heard"].calibrated == []
    assert evaluate.metrics["heard_by_val"].calibrated == []  # on validation clips there would be nothing to choose
    assert torch.equal(torch.cat(evaluate.metrics["heard_once"].calibrated), data.audio("train"))
    run.test(wavegan(), data, verbose=False)
    for metrics in (evaluate.metrics, {name: m for some in evaluate.baselines.values() for name, m in some.items()}):
        assert torch.equal(torch.cat(metrics["heard_by_val"].calibrated), data.audio("val"))
        assert torch.equal(torch.cat(metrics["heard_once"].calibrated), data.audio("train"))
        assert metrics["heard"].calibrated == []


def test_data_that_do_not_hand_out_what_a_metric_asks_for():
    class Bare(LightningDataModule):
        def test_dataloader(self):
            return data.test_dataloader()

    data = Noises()
    data.setup("test")
    with pytest.raises(InputError, match=r"ask for the train examples in order, which Bare does not hand out"):
        trainer(Evaluate(["heard_once"])).test(wavegan(), Bare(), verbose=False)


def test_loaders_without_a_data_module():
    images = TinyImages()
    loader = DataLoader([images.on_after_batch_transfer(images.splits["val"][:4], 0)] * 2, batch_size=None)
    alone = trainer(Evaluate(["fid_lenet"])).test(build("gan"), loader, verbose=False)[0]
    assert alone["test/examples"] == 8 and alone["test/fid_lenet"] > 0 and "test/fid_lenet_real_train" not in alone
    clips = Noises()
    clips.setup("test")
    with pytest.raises(InputError, match="train examples in order, which loaders alone"):
        trainer(Evaluate(["heard_once"])).test(wavegan(), clips.test_dataloader(), verbose=False)


def test_the_metrics_of_speech_run():
    run = trainer(Evaluate(of_kind("audio"), repeats=2))
    run.test(wavegan(), Noises(), verbose=False)
    values = run.callback_metrics
    of_digits = {"classifier_score_fsdd", "confident_fsdd", "label_accuracy_fsdd", "label_entropy_fsdd"}
    for name in of_kind("audio"):
        assert {f"test/{name}", f"test/{name}_{METRICS[name].baseline}"} <= set(values)
        assert (f"test/{name}_se" in values) == (f"test/{name}_real_se" in values) == (name in of_digits)
    assert values["test/nn_train_real"] > 0
    assert all(value.isfinite() for value in values.values())


def test_a_metric_of_images_does_not_judge_sounds():
    with pytest.raises(InputError, match=r"metrics has fid_lenet, and WaveGAN makes sounds; .* classifier_score_fsdd"):
        trainer(Evaluate(["fid_lenet", "heard"])).validate(wavegan(), Noises(), verbose=False)
    model = GAN((1, 32, 32), latent_dim=3, hidden=4, units=4)
    with pytest.raises(InputError, match=r"nn_self, and GAN makes images; those of images are .*fid_lenet") as raised:
        trainer(Evaluate(["nn_self"])).fit(model, Digits(batch_size=16))
    assert "heard" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "message"), [(dict(repeats=0), "repeats is 0"), (dict(metrics=["x"]), "metric 'x'")]
)
def test_what_cannot_be_evaluated(options, message):
    with pytest.raises(InputError, match=message):
        Evaluate(**options)


# ---- vocoders


class Utterances(LightningDataModule):
    """Three recordings of different lengths, one per batch; the model's own mels."""

    audio_kind = "mel"

    def __init__(self, module) -> None:
        super().__init__()
        self.mel, self.context = module.mel_config, module.context
        self.batches = []
        for frames in (80, 95, 110):
            audio = sounds(1, frames)
            mel = pad(module.mel(audio), (self.context, self.context), mode="replicate")
            self.batches.append(MelBatch(mel, audio))

    def val_dataloader(self):
        return DataLoader(self.batches, batch_size=None)

    test_dataloader = predict_dataloader = val_dataloader


PAIRED = ["mel_l1", "stft_distance", "mcd"]


def both(names: list[str]) -> set[str]:
    """What is logged of metrics of vocoders."""
    return {f"test/{name}{suffix}" for name in names for suffix in ("", "_se", "_griffin_lim", "_griffin_lim_se")}


@pytest.mark.parametrize("build", [tiny_melgan, tiny_parallel_wavegan])
def test_metrics_of_vocoders_are_those_of_each_utterance_with_its_recording(build):
    module = build()
    data, keep = Utterances(module), Keep()
    run = trainer(Evaluate(PAIRED), keep)
    run.validate(module, data, verbose=False)
    by_hand = {name: METRICS[name](module.mel_config) for name in PAIRED}
    for batch, fake in zip(data.batches, keep.fakes, strict=True):
        for metric in by_hand.values():
            metric.update(batch.audio, fake)
    values = {f"val/{name}": metric.compute().item() for name, metric in by_hand.items()}
    assert {key: run.callback_metrics[key].item() for key in values} == pytest.approx(values, rel=1e-5)
    again = trainer(Evaluate(PAIRED), Keep())
    again.validate(module, data, verbose=False)  # with the same noise
    assert again.callback_metrics == run.callback_metrics


def test_griffin_lim_stands_beside_a_vocoder():
    module = tiny_melgan()
    data = Utterances(module)
    run = trainer(Evaluate(PAIRED))
    run.test(module, data, verbose=False)
    logged = run.callback_metrics
    assert set(logged) == {*both(PAIRED), "test/examples", "test/samples"} and logged["test/examples"] == 3
    metric = METRICS["mel_l1"](module.mel_config)
    for batch in data.batches:
        samples = batch.audio.shape[-1]
        metric.update(batch.audio, griffin_lim_of_mel(batch.mel, module.mel_config, samples)[:, None])
    value = logged["test/mel_l1_griffin_lim"]
    assert value == pytest.approx(metric.compute().item(), rel=1e-5) and value < logged["test/mel_l1"] / 2
    assert logged["test/mel_l1_griffin_lim_se"] == pytest.approx(metric.standard_error().item(), rel=1e-4)
    assert 0 < logged["test/mel_l1_se"] < logged["test/mel_l1"]


@pytest.mark.parametrize("build", [tiny_melgan, tiny_parallel_wavegan])
def test_griffin_lim_inverts_the_mels_that_the_vocoder_is_given(build):
    """Mels of a text-to-speech system are not those of the recording; here they are those of half the loudness."""
    module = build()
    data = Utterances(module)
    data.batches = [MelBatch(batch.mel - math.log10(2), batch.audio) for batch in data.batches]
    run = trainer(Evaluate(["mel_l1"]))
    run.test(module, data, verbose=False)
    metric = METRICS["mel_l1"](module.mel_config)
    for batch in data.batches:
        mel, samples = module.mel(batch.audio) - math.log10(2), batch.audio.shape[-1]
        metric.update(batch.audio, griffin_lim_of_mel(mel, module.mel_config, samples)[:, None])
    value = run.callback_metrics["test/mel_l1_griffin_lim"]
    assert value == pytest.approx(metric.compute().item(), rel=1e-4) and value > math.log10(2) / 2


def test_a_longer_output_is_cut(monkeypatch):
    module = tiny_melgan()
    data, given = Utterances(module), type(module).generate
    run = trainer(Evaluate(["mel_l1"]))
    run.validate(module, data, verbose=False)
    monkeypatch.setattr(type(module), "generate", lambda self, batch: pad(given(self, batch), (0, 7)))
    longer = trainer(Evaluate(["mel_l1"]))
    longer.validate(module, data, verbose=False)
    assert longer.callback_metrics == run.callback_metrics


def test_metrics_of_a_test_alone():
    module = tiny_melgan()
    data, run = Utterances(module), trainer(Evaluate(["mel_l1"], test_metrics=["mcd", "mel_l1"]))
    run.validate(module, data, verbose=False)
    assert set(run.callback_metrics) - {"generator_updates", "samples_seen"} == {"val/mel_l1"}
    run.test(module, data, verbose=False)
    assert set(run.callback_metrics) == {*both(["mel_l1", "mcd"]), "test/examples", "test/samples"}


def test_what_does_not_judge_vocoders():
    module = tiny_melgan()
    data = Utterances(module)
    with pytest.raises(InputError, match=r"has heard, and MelGAN makes sounds from mels; .* are .*mcd, mel_l1,"):
        trainer(Evaluate(["heard", "mcd"])).validate(module, data, verbose=False)
    with pytest.raises(InputError, match=r"metrics has heard, and MelGAN"):  # before it trains
        trainer(Evaluate(["mcd"], ["heard"])).validate(module, data, verbose=False)
    with pytest.raises(InputError, match=r"metrics has mcd, and WaveGAN makes sounds; those of sounds are classifier"):
        trainer(Evaluate(["mcd"])).validate(wavegan(), Noises(), verbose=False)
    with pytest.raises(InputError, match=r"evaluation.repeats is 2, and a MelGAN makes each utterance once"):
        trainer(Evaluate(["mcd"], repeats=2)).validate(module, data, verbose=False)
