"""The page of the released models."""

import re

import pytest
import yaml
from helpers import browser
from helpers.tiny_mels import small_discriminators, sounds, tiny_parallel_wavegan
from helpers.tiny_zoo import entry

from lightning_gans.__main__ import main
from lightning_gans.audio.files import write_wav
from lightning_gans.models import DCGAN
from lightning_gans.zoo import assets

SCRIPT = """<script>onload = async () => {
  const pictures = [...document.images].filter(x => x.complete && x.naturalWidth > 0).length
  const ready = x => x.readyState >= 1 || new Promise(done => { x.onloadedmetadata = done; x.onerror = () => done(0) })
  const sounds = [...document.querySelectorAll("audio")]
  await Promise.all(sounds.map(ready))
  document.title = `${pictures} pictures, ${sounds.filter(x => x.duration > 0 && !x.error).length} sounds`
}</script>"""


@pytest.fixture(autouse=True)
def models_are_built_anew():
    with small_discriminators():
        yield


@pytest.fixture
def models(folder, tmp_path, monkeypatch):
    """Digits that scikit-learn brings, a vocoder with two recordings, and a model of sounds whose data are not here."""
    monkeypatch.setenv("LIGHTNING_GANS_DATA", str(tmp_path / "data"))
    rate = 22050
    for name, audio in zip("abc", sounds(3, 60, 256) / 2, strict=True):
        (tmp_path / "data" / "voice").mkdir(parents=True, exist_ok=True)
        write_wav(tmp_path / "data" / "voice" / f"{name}.wav", audio, rate)
    voice = dict(folder="voice", crop=4096, val_pattern="b", test_pattern="c")
    for name, data in {
        "dcgan_digits": "Digits",
        "melgan_voice": {"class_path": "MelFolder", "init_args": voice},
        "wavegan_noise": {"class_path": "AudioFolder", "init_args": {"folder": "nowhere"}},
    }.items():
        (assets.configs() / f"{name}.yaml").write_text(yaml.safe_dump({"data": data}))
    entry(folder, "dcgan_digits", DCGAN(image_size=32, channels=1, latent_dim=4, width=4), config="dcgan_digits")
    entry(
        folder,
        "melgan_voice",
        tiny_parallel_wavegan(mel="parallel_wavegan", upsample_scales=(4, 4, 4, 4)),
        config="melgan_voice",
    )
    entry(folder, "wavegan_noise", "WaveGAN", config="wavegan_noise", command="fit <script>alert(1)</script> & <b>")


def test_the_page_in_a_browser(models, tmp_path, capsys):
    page = tmp_path / "page" / "zoo.html"
    main(["zoo", "page", "--output", str(page)])
    said = capsys.readouterr().out
    assert said.startswith(str(page)) and "3 models" in said
    assert re.search("wavegan_noise: .*nowhere", said)
    text = page.read_text(encoding="utf-8")
    assert "&lt;script&gt;" in text and "<script" not in text
    assert not re.search(r'(src|href)="(https?:)?//', text)  # nothing is fetched
    page.write_text(text.replace("</body>", f"{SCRIPT}</body>"), encoding="utf-8")
    # generated and real digits, one utterance, generated noise; the utterance with its recording, ten sounds
    assert "<title>4 pictures, 12 sounds</title>" in browser.shown(page)


def test_some_models_only(models, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["zoo", "page", "--models", "[dcgan_digits]"])
    page = (tmp_path / "zoo.html").read_text(encoding="utf-8")
    assert "dcgan_digits" in page and "melgan_voice" not in page


def test_what_cannot_be_shown(models, capsys):
    for words, told in ((["--models", "[nothing_here]"], "nothing_here"), (["--output", "zoo.png"], "zoo.png")):
        with pytest.raises(SystemExit) as ended:
            main(["zoo", "page", *words])
        assert ended.value.code == 2
        assert told in capsys.readouterr().err
