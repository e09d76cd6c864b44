"""The data set that a config names, for a model that is here already."""

from __future__ import annotations

import os
from typing import Any

from lightning_gans.files import reading
from lightning_gans.files.documents import read_yaml
from lightning_gans.zoo import assets


def data_of(config: str | os.PathLike[str], module: Any) -> Any:
    """The DataModule of a config, with its splits; nothing is downloaded, and no class path is imported.

    Args:
        config: Name of a packaged config, or a file such as the ``config.yaml`` of a run.
        module: The model, whose convention the data follow where it has one (``data_options``).

    Raises:
        InputError: for a config without a data set of this package, and if the data set is not there.
    """
    from lightning_gans import data

    path = assets.config(config)
    options = type(module).data_options(module.hparams) if hasattr(module, "data_options") else {}
    with reading(path, "the config of a data set of lightning_gans.data", "give one that is"):
        given = read_yaml(path)["data"]
        named: dict[str, Any] = {"class_path": given} if isinstance(given, str) else given
        kinds = {name: getattr(data, name) for name in data.__all__}
        found = kinds[named["class_path"].rpartition(".")[2]](**options | named.get("init_args", {}))
    found.setup("test")
    return found
