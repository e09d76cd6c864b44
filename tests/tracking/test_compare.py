import csv
import math
import re
from pathlib import Path

import pytest
import yaml
from helpers import browser
from helpers.small_run import fit, run_folder

from lightning_gans.__main__ import main
from lightning_gans.tracking.compare import POINTS, differing, summary, thinned
from lightning_gans.tracking.compare import page as html
from lightning_gans.tracking.recorded import Run, read_run


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[Path]:
    """A run that was resumed, and one with a CSVLogger and another loss."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for epochs in (1, 2):
            fit("--run.mode=offline", "--run.id=<resumed>", "--ckpt_path=last", f"--trainer.max_epochs={epochs}")
        fit("--trainer.logger=CSVLogger", "--model.loss=hinge")
    return [run_folder(folder), folder / "runs" / "lightning_logs" / "version_0"]


def test_a_run_reads_back_as_it_was_recorded(folders):
    for run in map(read_run, folders):
        updates = [row["generator_updates"] for row in run.rows]
        assert updates == sorted(updates)
        assert [row["generator_updates"] for row in run.rows if "train/loss_g" in row] == [1, 2, 3, 4, 5, 6]
        assert [row["samples_seen"] for row in run.rows if "train/loss_g" in row] == [16 * n for n in range(1, 7)]
        assert [row["generator_updates"] for row in run.rows if "val/sliced_wasserstein" in row] == [3, 6]
        assert [path.name for path in run.pictures] == ["00000003.png", "00000006.png"]


def test_metrics_and_options():
    rows = [{"generator_updates": 10.0 * n, "val/fid_lenet": value} for n, value in enumerate((5.0, 2.0, 7.0, 3.0))]
    run = Run("a", rows, {}, [], [], [])
    assert summary(run, "val/fid_lenet") == {"last": (3.0, 30.0), "min": (2.0, 10.0), "max": (7.0, 20.0)}
    assert summary(run, "val/mel_l1") is None
    rows[0]["val/fid_lenet"] = math.nan  # where min and max would stay
    assert summary(run, "val/fid_lenet") == {"last": (3.0, 30.0), "min": (2.0, 10.0), "max": (7.0, 20.0)}
    assert math.isnan(summary(Run("a", rows[:1], {}, [], [], []), "val/fid_lenet")["max"][0])
    options = [{"model.lr": 1e-4, "run.id": "a", "seed": 0}, {"model.lr": 2e-4, "run.id": "b", "seed": 0}, {"seed": 0}]
    assert differing(options) == [("model.lr", [1e-4, 2e-4, "-"])]


def test_long_curves_are_thinned_out_to_their_ends():
    assert thinned(list(range(POINTS))) == list(range(POINTS))
    few = thinned(list(range(5 * POINTS + 3)))
    assert len(few) <= POINTS and few[-1] == 5 * POINTS + 2 and len(set(few[i + 1] - few[i] for i in range(9))) == 1


def test_the_page_in_a_browser(folders, tmp_path, capsys):
    page = tmp_path / "page" / "compare.html"
    main(["compare", *map(str, folders), "--output", str(page)])
    assert capsys.readouterr().out.startswith(str(page))
    text = re.sub(r"<script.*?</script>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "&lt;resumed&gt;" in text and "<resumed>" not in text
    assert not re.search(r'(src|href)="(https?:)?//', text)  # nothing is fetched
    shown = browser.shown(page)
    assert shown.count('class="main-svg"') > 0 and "loss_g" in shown
    plots = shown.split('id="curve-')[1:]
    for name in ("val/sliced_wasserstein", "train/loss_d", "train/loss_g"):  # drawn, one line for each run
        (plot,) = (plot for plot in plots if re.search(f'class="gtitle"[^>]*>{name}<', plot))
        assert len(re.findall(r'class="trace scatter', plot)) == 2, name
    assert shown.count("<img ") == 2
    assert re.search(r"<td>model.init_args.loss</td>\s*<td>non_saturating</td>\s*<td>hinge</td>", shown)


def stranger(folder: Path, metric: str = "val/fid_lenet", rows: int = 2) -> Path:
    """A run that somebody else has written."""
    folder.mkdir(parents=True)
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["generator_updates", metric], *((n, n / 3) for n in range(rows))])
    return folder


def test_a_name_is_never_a_script(tmp_path):
    """Of metrics, options and runs; in the page as a browser shows it, nothing of them has run."""
    script = "<img src=x onerror=document.title='ran'></script><script>document.title='ran'</script>\" onload='"
    run = stranger(tmp_path / "<b>run", f"val/{script}")
    (run / "config.yaml").write_text(yaml.safe_dump({script: script}))
    main(["compare", str(run), str(stranger(tmp_path / "other")), "--output", str(tmp_path / "page.html")])
    shown = browser.shown(tmp_path / "page.html")
    assert "<title>&lt;b&gt;run · other</title>" in shown
    assert not re.search(r"<(img|script)[^>]*(src=x|onerror)", re.sub("(?s)<script.*?</script>", "", shown))


def test_pictures_are_those_of_the_run(tmp_path):
    run = stranger(tmp_path / "run")
    (run / "samples").mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    (run / "samples" / "00000001.png").symlink_to(tmp_path / "secret.png")
    (run / "samples" / "00000002.png").mkdir()
    assert read_run(run).pictures == []


def test_pictures_of_a_training_that_was_given_up_are_left_out(tmp_path):
    """It had come to 9 updates, and went on from an earlier checkpoint to 4."""
    run = stranger(tmp_path / "run", rows=5)
    (run / "samples").mkdir()
    for name in ("00000002.png", "00000004.png", "00000009.png", "drawn.png"):
        (run / "samples" / name).touch()
    assert [path.name for path in read_run(run).pictures] == ["00000002.png", "00000004.png", "drawn.png"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.csv", "generator_updates,a\n1,two\n"),
        ("metrics.csv", "generator_updates\n1,2,3\n"),
        ("metrics.csv", ""),
        ("config.yaml", "[1, 2]"),
        ("config.yaml", "a: !!timestamp foo"),
        ("facts.yaml", "[" * 5000),
        ("facts.yaml", b"a: \xff"),
    ],
)
def test_a_broken_run_is_named_and_the_others_are_shown(name, content, tmp_path, capsys):
    broken, good = stranger(tmp_path / "broken"), stranger(tmp_path / "good")
    (broken / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    main(["compare", str(broken), str(good), "--output", str(tmp_path / "page.html")])
    assert re.search(f"broken.*{name}", capsys.readouterr().out)
    assert re.search(f"Left out: .*broken.*{name}", (tmp_path / "page.html").read_text(encoding="utf-8"))
    with pytest.raises(SystemExit) as stop:
        main(["compare", str(broken)])
    assert stop.value.code == 2


def test_three_hundred_runs_make_a_page_of_a_few_megabytes(tmp_path):
    one = [{"generator_updates": float(n), "val/a": n / 3, "val/b": n / 7} for n in range(1000)]
    runs = [Run(f"run{n}", one, {}, [], [], []) for n in range(300)]
    assert len(html(runs)) < 10e6


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("nowhere", "there is no run nowhere; give folders of runs, such as runs/lightning_gans/NAME"),
        ("other.csv", "there is no run other.csv"),
        (".", "has no metrics.csv with generator_updates in it"),
        (". --output page.png", "--output is page.png; expected a .html file"),
        ("", "RUNS not given"),
    ],
)
def test_what_cannot_be_compared(args, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["compare", *args.split()])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_log_alone_is_a_run(tmp_path, capsys):
    log = tmp_path / "gan_noise.csv"
    log.write_text("generator_updates,val/fid_lenet\n100,30\n200,20.5\n")
    main(["compare", str(log), "--output", str(tmp_path / "page.html")])
    text = (tmp_path / "page.html").read_text()
    assert "gan_noise" in text and "20.5" in text
    assert "gan_noise" in capsys.readouterr().out


def test_rows_without_a_finite_number_of_updates_are_left_out(tmp_path):
    log = tmp_path / "a.csv"
    log.write_text("generator_updates,train/loss_g\n1,0.5\nnan,0.4\ninf,0.3\n,0.2\n4,nan\n")
    assert [row["generator_updates"] for row in read_run(log).rows] == [1, 4]
    main(["compare", str(log), "--output", str(tmp_path / "a.html")])
    assert (tmp_path / "a.html").stat().st_size
