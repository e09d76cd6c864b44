"""``dashboard``: a W&B workspace in which any two runs of any two papers lie side by side."""

from __future__ import annotations

import json
from typing import Any

from lightning_gans.errors import InputError
from lightning_gans.files.fetching import fetching_errors
from lightning_gans.tracking.recorded import AXIS

NAME = "GANs side by side"
LOSSES = {
    "G": ["train/loss_g"],
    "D": ["train/loss_d"],
    "C": ["train/loss_c"],
    "parts of G's": ["train/loss_g_adversarial", "train/loss_g_features", "train/loss_g_stft", "train/loss_g_classes"],
    "penalty of D": ["train/penalty"],
    "norms of the gradients": ["train/grad_norm_g", "train/grad_norm_d", "train/grad_norm_c"],
}
KINDS = {"image": "Metrics of images", "audio": "Metrics of sounds", "mel": "Metrics of vocoders"}


def dashboard(*, entity: str, project: str = "lightning_gans", dry_run: bool = False) -> None:
    """Make a W&B workspace that compares runs.

    The workspace is saved in the project: losses, metrics of all papers, samples side by side, speed, and what the
    configs differ in, along generator updates.

    Example:
        lightning-gans dashboard --entity my_team --project lightning_gans --dry-run

    Args:
        entity: W&B user or team.
        project: W&B project.
        dry_run: Print what would be saved; needs no account.

    Raises:
        InputError: without a W&B key, without the extra ``dashboard``, and where W&B does not save it.
    """
    made = workspace(entity, project)
    if dry_run:
        print(json.dumps(outline(made), indent=2))
        return
    import wandb

    if not wandb.login(prompt=False):
        raise InputError("a dashboard lies in W&B, and there is no key; run wandb login, or look with --dry-run")
    try:
        made.save()
    except fetching_errors() as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"W&B did not save the dashboard of {entity}/{project} ({reason}); check --entity and"
            " --project, and that the project has a run"
        ) from error
    print(made.url)


def workspace(entity: str, project: str) -> Any:
    """Losses, metrics of each kind, media, speed, and what the configs differ in."""
    from lightning_gans.metrics import of_kind

    try:
        import wandb_workspaces.reports.v2 as panels
        import wandb_workspaces.workspaces as workspaces
    except ImportError:
        raise InputError("dashboard needs wandb-workspaces; pip install 'lightning-gans[dashboard]'") from None

    def lines(title: str, names: list[Any]) -> Any:
        return panels.LinePlot(title=title, x=AXIS, y=names)

    def media(title: str, name: str) -> Any:
        return panels.MediaBrowser(title=title, media_keys=[name], num_columns=2)

    sections = {
        "Losses": [lines(title, names) for title, names in LOSSES.items()],
        **{title: [lines(name, [f"val/{name}"]) for name in of_kind(kind)] for kind, title in KINDS.items()},
        "Samples": [
            media("samples", "val/samples"),
            media("spectrograms", "val/spectrograms"),
            media("recordings", "val/references"),
        ],
        "Speed": [
            lines("examples per second", ["perf/samples_per_second"]),
            lines("seconds of sound per second", ["perf/audio_seconds_per_second"]),
        ],
        "Configs": [panels.RunComparer(diff_only="split")],
    }
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=NAME,
        sections=[workspaces.Section(name=name, panels=made, is_open=True) for name, made in sections.items()],
        settings=workspaces.WorkspaceSettings(x_axis=AXIS),
    )


def outline(made: Any) -> dict[str, Any]:
    """The workspace's sections with their panels, and what each shows."""

    def shown(panel: Any) -> list[str]:
        return list(getattr(panel, "y", None) or getattr(panel, "media_keys", None) or ["differences"])

    sections = {
        section.name: {getattr(panel, "title", None) or "configs": shown(panel) for panel in section.panels}
        for section in made.sections
    }
    return {"entity": made.entity, "project": made.project, "name": made.name, "x": AXIS, "sections": sections}
