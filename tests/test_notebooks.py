"""Every notebook runs from top to bottom, and none is committed with its output."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted(Path(__file__).parents[1].joinpath("notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs for cell in code)
    shutil.copytree(path.parent, tmp_path, dirs_exist_ok=True)  # with the sounds beside them
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for cell in code:
        if "\nshow(" in f"\n{cell.source}" or re.search(r"^ *display\(", cell.source, re.MULTILINE):
            shown = [output.data for output in cell.outputs if output.output_type == "display_data"]
            assert any("image/png" in data for data in shown), cell.source
