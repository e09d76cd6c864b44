import numpy as np
import pytest
import torch
from helpers import bundle_writer, tensorflow_layers
from helpers.authors_wavegan import LATENT, strides, variables

from lightning_gans import zoo
from lightning_gans.errors import InputError
from lightning_gans.importers import wavegan

CASES = {
    "wavegan": {},
    "nearest": {"up": "conv1d"},
    "post_filter": {"post_filter": True},
    "batch_norm": {"batch_norm": True},
    "stereo": {"channels": 2, "width": 2},
    "32768": {"length": 32768},
    "65536": {"length": 65536},
    "specgan": {"rank": 2},
    "specgan_nearest": {"rank": 2, "up": "conv2d"},
    "specgan_batch_norm": {"rank": 2, "batch_norm": True},
}


@pytest.fixture
def stats(tmp_path):
    path = tmp_path / "stats.npz"
    np.savez(path, mean=np.linspace(-8, -2, 129), std=np.linspace(1, 2, 129))
    return path


@pytest.mark.parametrize("case", CASES)
def test_imported_networks_give_what_tensorflow_gives(tmp_path, stats, case):
    options = CASES[case]
    v = variables(**options)
    prefix = bundle_writer.write_bundle(tmp_path / "model.ckpt-9", v)
    length = options.get("length")
    spectral = options.get("rank") == 2
    module = zoo.import_checkpoint(prefix, format="wavegan", stats=stats if spectral else None, length=length)
    assert not module.training and module.untrained_networks == ()
    module.double()
    z = np.random.default_rng(1).uniform(-1, 1, (2, LATENT))
    with torch.no_grad():
        fake = module.generator(torch.from_numpy(z))  # (B, C, T), or (B, 1, time, frequency)
        module.discriminator.shuffled = 0  # layers with phase shuffle
        logits = module.discriminator(fake)
    expected = tensorflow_layers.generator(v, z, strides(**options), (4, 4) if spectral else (16,))
    assert expected.shape == ((2, 128, 128, 1) if spectral else (2, length or 16384, options.get("channels", 1)))
    assert 0.1 < expected.std() < 0.95
    np.testing.assert_allclose(fake.movedim(1, -1).numpy(), expected, rtol=0, atol=1e-9)
    expected_logits = tensorflow_layers.discriminator(v, expected, strides(**options))
    assert np.ptp(expected_logits) > 1e-3
    np.testing.assert_allclose(logits.numpy(), expected_logits, rtol=1e-9, atol=1e-9)


def test_names_and_shapes_are_those_of_the_published_checkpoints():
    """The variables of the authors' drum model, from the manifest of their demonstration page."""
    shapes = wavegan.module_shapes("WaveGAN", {"post_filter": True})
    names = {key: wavegan.variable_name(key, "WaveGAN", "conv2d_transpose") for key in shapes}
    expected = {
        "G/pp_filt/conv1d/kernel": (512, 1, 1),
        "G/z_project/dense/kernel": (100, 16384),
        "G/z_project/dense/bias": (16384,),
        "G/upconv_0/conv2d_transpose/kernel": (1, 25, 512, 1024),
        "G/upconv_0/conv2d_transpose/bias": (512,),
        "G/upconv_1/conv2d_transpose/kernel": (1, 25, 256, 512),
        "G/upconv_1/conv2d_transpose/bias": (256,),
        "G/upconv_2/conv2d_transpose/kernel": (1, 25, 128, 256),
        "G/upconv_2/conv2d_transpose/bias": (128,),
        "G/upconv_3/conv2d_transpose/kernel": (1, 25, 64, 128),
        "G/upconv_3/conv2d_transpose/bias": (64,),
        "G/upconv_4/conv2d_transpose/kernel": (1, 25, 1, 64),
        "G/upconv_4/conv2d_transpose/bias": (1,),
    }
    found = {name: wavegan.tensorflow_shape(shapes[key], name) for key, name in names.items() if name[0] == "G"}
    assert found == expected


def imported(tmp_path, v, **options):
    return zoo.import_checkpoint(bundle_writer.write_bundle(tmp_path / "model", v), format="wavegan", **options)


def test_hyper_parameters_follow_from_the_variables(tmp_path, stats):
    h = imported(tmp_path, variables(post_filter=True, width=2), sample_rate=22050).hparams
    assert (h.length, h.width, h.latent_dim, h.channels, h.sample_rate) == (16384, 2, LATENT, 1, 22050)
    assert h.upsampling == "zeros" and h.post_filter and not h.batch_norm
    h = imported(tmp_path, variables(up="conv1d", channels=2, batch_norm=True)).hparams
    assert (h.width, h.channels, h.upsampling, h.batch_norm, h.post_filter) == (1, 2, "nearest", True, False)
    h = imported(tmp_path, variables(rank=2, up="conv2d", width=2), stats=stats).hparams
    assert (h.width, h.upsampling, h.inversion, h.sample_rate) == (2, "nearest", "official", 16000)


def test_a_generator_alone_is_enough(tmp_path):
    v = {name: values for name, values in variables().items() if not name.startswith("D/")}
    module = imported(tmp_path, v)
    assert module.untrained_networks == ("discriminator",)
    assert module.sample(2, seed=0).shape == (2, 1, 16384)


def test_statistics_of_specgan_are_read_from_a_npz(tmp_path, stats):
    module = imported(tmp_path, variables(rank=2), stats=stats)
    assert module.mean[0] == -8 and module.mean[-1] == -2 and module.std[-1] == 2
    assert module.sample(1, seed=0).shape == (1, 1, 16384)


def test_statistics_that_cannot_be_used(tmp_path):
    v, path = variables(rank=2), tmp_path / "stats.npz"
    with pytest.raises(InputError, match=r"is a SpecGAN, whose statistics .* convert it, if you trust it, with python"):
        imported(tmp_path, v)
    with pytest.raises(InputError, match="is a WaveGAN, which needs no statistics"):
        imported(tmp_path, variables(), stats=path)
    with pytest.raises(InputError, match=r"stats\.npz.*expected a \.npz"):
        imported(tmp_path, v, stats=path)
    for content, message in [
        ({"mean": np.zeros(129)}, "not .*std"),
        ({"mean": np.zeros(128), "std": np.ones(129)}, r"mean, of shape \(128,\), is not 129 finite values; expected"),
        ({"mean": np.zeros(0), "std": np.ones(129)}, r"mean, of shape \(0,\), is not"),
        (
            {"mean": np.zeros(129), "std": np.arange(129)},
            r"deviation, .* is not 129 finite values above 0",
        ),
        ({"mean": np.full(129, np.nan), "std": np.ones(129)}, r"mean, .* is not 129 finite values"),
        ({"mean": np.array([None] * 129), "std": np.ones(129)}, "not .*allow_pickle"),
    ]:
        np.savez(path, **content)
        with pytest.raises(InputError, match=message):
            imported(tmp_path, v, stats=path)
    for content in (b"", b"no archive", b"PK\x03\x04 cut short"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"stats\.npz: not .npz arrays"):
            imported(tmp_path, v, stats=path)
    with path.open("wb") as file:
        np.save(file, np.ones((2, 129)))
    with pytest.raises(InputError, match=r"stats\.npz: not .npz arrays"):
        imported(tmp_path, v, stats=path)


def test_a_conversion_of_the_pickle_is_shown_that_works(tmp_path, monkeypatch):
    import pickle
    import re

    with pytest.raises(InputError) as error:
        imported(tmp_path, variables(rank=2))
    (code,) = re.findall(r'python -c "([^"]*)"', str(error.value))
    monkeypatch.chdir(tmp_path)
    with open("moments.pkl", "wb") as file:
        pickle.dump((np.arange(129.0), np.ones(129)), file)
    exec(code, {})
    assert imported(tmp_path, variables(rank=2), stats="stats.npz").mean[128] == 128


def test_the_length_is_asked_for_where_the_variables_leave_it_open(tmp_path):
    with pytest.raises(InputError, match=r"has 6 layers, whose variables are the same for 32768 and 65536 .*--length"):
        imported(tmp_path, variables(length=32768))
    with pytest.raises(InputError, match=r"--length is 16384, and .* 6 layers makes 32768 or 65536"):
        imported(tmp_path, variables(length=32768), length=16384)
    with pytest.raises(InputError, match=r"--length is 65536, and .* 5 layers makes 16384"):
        imported(tmp_path, variables(), length=65536)


def test_every_variable_that_does_not_fit_is_listed(tmp_path):
    v = variables()
    for name in ("G/z_project/dense/kernel", "G/upconv_4/conv2d_transpose/bias", "D/downconv_2/conv1d/kernel"):
        del v[name]
    v["G/upconv_1/conv2d_transpose/kernel"] = v["G/upconv_1/conv2d_transpose/kernel"][:, :24]
    v["G/upconv_9/conv2d_transpose/bias"] = v["D/downconv_0/conv1d/bias"]
    with pytest.raises(InputError) as error:
        imported(tmp_path, v)
    message = str(error.value)
    assert "\n" not in message
    for name in ("G/z_project/dense/kernel", "G/upconv_4/conv2d_transpose/bias", "D/downconv_2/conv1d/kernel"):
        assert name in message.partition("it lacks ")[2].partition(";")[0]
    assert "it has unknown G/upconv_9/conv2d_transpose/bias;" in message
    assert "G/upconv_1/conv2d_transpose/kernel is (1, 24, 4, 8) where (1, 25, 4, 8) is expected" in message


def test_a_filter_for_one_channel_does_not_fit_two(tmp_path):
    v = variables(post_filter=True, channels=2)
    with pytest.raises(InputError, match=r"G/pp_filt/conv1d/kernel is \(512, 1, 1\) where \(512, 1, 2\) is expected"):
        imported(tmp_path, v)


def test_checkpoints_of_something_else(tmp_path):
    with pytest.raises(InputError, match=r"holds no generator .*, found classifier/dense/kernel, global_step; "):
        imported(tmp_path, {"classifier/dense/kernel": np.zeros((2, 2), np.float32), "global_step": np.array(1)})
    with pytest.raises(InputError, match="there is no format wave_gan; did you mean wavegan"):
        zoo.import_checkpoint(tmp_path / "model", format="wave_gan")
    with pytest.raises(InputError, match=r"there is no file .*/model; .*model\.index of TensorFlow"):
        zoo.import_checkpoint(tmp_path / "absent" / "model", format="wavegan")
    with pytest.raises(InputError, match="--sample_rate is 0"):
        imported(tmp_path, variables(), sample_rate=0)
    v = variables()
    v["G/upconv_0/conv2d_transpose/bias"][1] = np.nan
    with pytest.raises(InputError, match=r"what becomes generator\.up\.0\.bias is not finite"):
        imported(tmp_path, v)


def test_an_import_draws_no_random_number(tmp_path):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    imported(tmp_path, variables())
    assert torch.equal(torch.rand(3), expected)
