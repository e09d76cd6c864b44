import os
from pathlib import Path

import pytest
import torch
from helpers.dcgan_layers import discriminator_state, generated, generator_state, judged

from lightning_gans import models, zoo
from lightning_gans.errors import InputError

REAL = Path(os.environ.get("LIGHTNING_GANS_DATA", "../shared/data"), "checkpoints/pytorch_examples_dcgan")


def saved(folder, content, name="netG_epoch_24.pth"):
    torch.save(content, folder / name)
    return folder / name


def counted(state):
    """As torch has written since 0.4.1."""
    return state | {
        key.replace("running_mean", "num_batches_tracked"): torch.tensor(9) for key in state if "mean" in key
    }


FORMS = {
    "bare": lambda g: g,
    "counted": counted,
    "parallel": lambda g: {f"module.{key}": value for key, value in g.items()},
    "named": lambda g: {"epoch": 3, "netG_state_dict": g, "optimizerG_state_dict": {}},
    "whole": lambda g: {"netG": counted(g), "netD": discriminator_state()},
}


@pytest.mark.parametrize("form", FORMS)
def test_the_generator_gives_what_it_gave(tmp_path, form):
    torch.manual_seed(0)
    state = generator_state()
    module = zoo.import_checkpoint(saved(tmp_path, FORMS[form](state)))
    h = module.hparams
    assert isinstance(module, models.DCGAN) and not module.training
    assert (h.preset, h.image_size, h.channels, h.latent_dim, h.width) == ("torch", 32, 3, 5, 2)
    assert module.untrained_networks == (() if form == "whole" else ("discriminator",))
    z = torch.randn(4, 5)
    with torch.no_grad():
        expected = generated(state, z)
        assert expected.shape == (4, 3, 32, 32) and expected.std() > 0.1
        torch.testing.assert_close(module(z).double(), expected, rtol=1e-5, atol=1e-5)
    assert module.sample(2, seed=0).shape == (2, 3, 32, 32)


def test_the_discriminator_beside_it_comes_along(tmp_path):
    torch.manual_seed(0)
    path, state = saved(tmp_path, generator_state()), discriminator_state()
    saved(tmp_path, counted(state), "netD_epoch_24.pth")
    module = zoo.import_checkpoint(path)
    assert module.untrained_networks == ()
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(module.discriminator(images).double(), judged(state, images), rtol=1e-5, atol=1e-5)
    fresh = models.DCGAN(**module.hparams)
    assert zoo.init_from(fresh, zoo.import_entry(path, output=tmp_path).weights) == []


def test_files_that_do_not_fit(tmp_path):
    state = generator_state()
    cropped = state | {"main.9.weight": torch.ones(2, 1, 1, 1)}  # of a descendant for 28 pixels
    lacking = {key: value for key, value in state.items() if key != "main.7.bias"} | {"main.11.bias": torch.ones(3)}
    for content, message in [
        (cropped, r"expected three or more 4x4 convolutions, .* found \(5, 8, 4, 4\), .*, \(2, 1, 1, 1\); choose"),
        (
            {key: state[key] for key in list(state) if "main.6" not in key},
            r"three or more .* found \(5, 8, 4, 4\), \(8, 4, 4, 4\);",
        ),
        (
            lacking,
            r"does not fit DCGAN of PyTorch's example: it lacks main\.7\.bias; it has unknown main\.11\.bias; ch",
        ),
        (discriminator_state(), "holds a discriminator without its generator; give the file of netG"),
    ]:
        with pytest.raises(InputError, match=message):
            zoo.import_checkpoint(saved(tmp_path, content))
    with pytest.raises(InputError, match=r"holds no DCGAN of PyTorch's example: a; give the file of netG"):
        zoo.import_checkpoint(saved(tmp_path, {"a": torch.ones(1)}), format="dcgan")


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no checkpoints in {REAL}")
def test_a_real_file_makes_faces():
    module = zoo.import_checkpoint(REAL / "faces64_netG.tar")
    assert sum(parameter.numel() for parameter in module.generator.parameters()) == 3_576_704
    faces = module.sample(64, seed=0)
    # as of faces: neighboring pixels are alike, the mean face resembles its mirror image, and no two are the same
    assert (faces[..., 1:] - faces[..., :-1]).abs().mean() < 0.2 * faces.std()
    mean = faces.mean((0, 1))
    assert torch.corrcoef(torch.stack([mean.flatten(), mean.flip(1).flatten()]))[0, 1] > 0.5
    assert torch.pdist(faces.flatten(1)).min() > 10
    with pytest.raises(InputError, match="a discriminator without its generator"):
        zoo.import_checkpoint(REAL / "mnist_dcgan_netD_epoch_99.pth")
