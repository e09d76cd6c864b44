import json
import sys

import pytest
import wandb

from lightning_gans.__main__ import main
from lightning_gans.metrics import METRICS


def test_a_dry_run_shows_every_metric_along_generator_updates(capsys):
    pytest.importorskip("wandb_workspaces")
    main(["dashboard", "--entity", "team", "--project", "p", "--dry-run"])
    made = json.loads(capsys.readouterr().out)
    assert (made["entity"], made["project"], made["x"]) == ("team", "p", "generator_updates")
    shown = {name for panels in made["sections"].values() for names in panels.values() for name in names}
    assert {f"val/{name}" for name in METRICS} <= shown
    assert {"train/loss_g", "train/loss_d", "val/samples", "perf/samples_per_second", "differences"} <= shown


def test_what_is_saved_is_what_the_dry_run_shows():
    pytest.importorskip("wandb_workspaces")
    from lightning_gans.tracking.dashboard import outline, workspace

    made = workspace("team", "p")
    sent = made._to_model().model_dump(by_alias=True)
    sections = sent["spec"]["section"]["panelBankConfig"]["sections"]
    shown = outline(made)["sections"]
    assert [section["name"] for section in sections if section["panels"]] == list(shown)
    lines = [panel["config"] for section in sections for panel in section["panels"] if "Line" in panel["viewType"]]
    assert len(lines) > len(METRICS) and all(line["xAxis"] == "generator_updates" for line in lines)


@pytest.mark.parametrize(
    ("absent", "args", "message"),
    [
        (None, "--entity team", "there is no key; run wandb login, or look with --dry-run"),
        ("wandb_workspaces", "--entity team --dry-run", r"pip install 'lightning-gans[dashboard]'"),
        (None, "", "--entity not given"),
    ],
)
def test_what_is_missing_is_said(absent, args, message, monkeypatch, capsys):
    if absent:
        monkeypatch.setitem(sys.modules, "wandb_workspaces.workspaces", None)
        monkeypatch.setitem(sys.modules, "wandb_workspaces.reports.v2", None)
    else:
        pytest.importorskip("wandb_workspaces")
    monkeypatch.setattr(wandb, "login", lambda **_: False)
    with pytest.raises(SystemExit) as stop:
        main(["dashboard", *args.split()])
    assert stop.value.code == 2 and message in capsys.readouterr().err
