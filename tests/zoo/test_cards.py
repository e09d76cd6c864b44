import pytest
import yaml
from helpers import tiny_zoo
from helpers.tiny_zoo import FILLED
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightning_gans import zoo
from lightning_gans.errors import InputError
from lightning_gans.zoo.cards import Card

WRONG = [
    ({"name": "gan_other"}, "name is gan_other; expected the file's stem, gan_noise"),
    ({"sha256": "abc"}, "sha256 is .abc.; expected 64 hexadecimal digits"),
    ({"weights": "../gan.safetensors"}, r"weights is .\.\./gan\.safetensors"),
    ({"weights": "gan.ckpt"}, r"weights is .gan\.ckpt"),
    ({"url": "http://models.example/x"}, "url is .http://models.example/x.; expected https://"),
    ({"picture": "/etc/passwd"}, "picture is ./etc/passwd"),
    ({"hours": "two"}, "hours is 'two'; expected a number"),
    ({"config": "../gan_noise"}, r"config is '\.\./gan_noise'; expected a config's name without a folder"),
    ({"hours": 0}, "hours is 0; expected more than 0"),
    ({"paper": "GAN"}, "paper is 'GAN'; expected the fields title, arxiv"),
    ({"paper": {"title": "GAN", "arxiv": 1406.2661}}, r"paper\.arxiv is 1406\.2661; expected text, in quotes"),
    ({"paper": {"title": "GAN", "arxiv": None}}, r"nothing is given for paper\.arxiv"),
    ({"data": {"name": "noise"}}, r"nothing is given for data\.licence"),
    ({"licens": "MIT"}, r"no field licens; did you mean licence\?"),
    ({"results": "good"}, "results is 'good'; expected a list"),
    ({"results": []}, "nothing is given for results"),
    ({"results": [{"metric": "fid", "protocol": "5 samples"}]}, r"nothing is given for results\[0\]\.reproduced"),
    ({"results": [{"metric": "fid", "reproduced": 1, "protocol": "all"}]}, r"results\[0\]\.protocol is 'all'.*samples"),
    ({"text": "# A title alone"}, "nothing is given for text"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_a_wrong_card_names_itself_and_the_field(folder, change, message):
    tiny_zoo.entry(folder)
    tiny_zoo.rewrite(folder / "gan_noise.md", **change)
    with pytest.raises(InputError, match=rf"^card gan_noise: .*{message}"):
        zoo.card("gan_noise")


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
NESTED = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=st.sampled_from([*FILLED, "name", "sha256", "url", "picture", "other"]), value=NESTED)
def test_whatever_stands_in_a_field_is_a_card_or_one_line(tmp_path, field, value):
    card = tmp_path / "gan_noise.md"
    known = {"name": "gan_noise", "model": "GAN", "weights": "gan_noise.safetensors", "sha256": "0" * 64}
    front = yaml.safe_dump(known | FILLED | {field: value})
    card.write_text(f"---\n{front}---\nGrey noise.\n")
    try:
        assert isinstance(Card.read(card).hours, float | int)
    except InputError as error:
        assert str(error).startswith("card gan_noise: ")


def test_a_file_without_front_matter_is_no_card(folder):
    (folder / "README.md").write_text("Not a card.")
    assert zoo.names() == []
    (folder / "gan_noise.md").write_text("# GAN")
    with pytest.raises(InputError, match="does not begin with front matter"):
        zoo.card("gan_noise")


def test_a_card_of_another_class_is_noticed(folder):
    tiny_zoo.entry(folder, model="GAN")
    tiny_zoo.rewrite(folder / "gan_noise.md", model="CGAN")
    with pytest.raises(InputError, match="holds a GAN; its card gan_noise says CGAN"):
        zoo.load("gan_noise")


def test_the_table_has_a_row_per_metric(folder):
    tiny_zoo.entry(folder)
    assert zoo.results_table().splitlines()[2:] == [
        "| [`gan_noise`](zoo/gan_noise.md) | `parzen`, nats | 225 ± 2 | 214 | 226.5 | - | - |",
        "|  | `fid_lenet` ↓ | - | - | 4.5 | 9.5 | 0.5 |",
    ]


def test_the_readme_keeps_what_is_around_the_table(folder, tmp_path):
    tiny_zoo.entry(folder)
    readme = tmp_path / "README.md"
    readme.write_text("# Title\n<!-- zoo:begin -->\nold\n<!-- zoo:end -->\nend\n")
    zoo.write_readme(readme)
    zoo.write_readme(readme)
    expected = f"# Title\n<!-- zoo:begin -->\n{zoo.results_table()}\n<!-- zoo:end -->\nend\n"
    assert readme.read_text() == expected
    readme.write_text("# Title")
    with pytest.raises(InputError, match="has no place for the table"):
        zoo.write_readme(readme)
    assert readme.read_text() == "# Title"
