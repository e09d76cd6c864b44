"""Execute the notebooks and keep their outputs in them: python notebooks/execute.py."""

import re
import shutil
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent


def executed(path: Path, folder: Path) -> nbformat.NotebookNode:
    """A notebook after a run from top to bottom.

    Args:
        path: The notebook; it is not changed.
        folder: An empty one, in which it runs, beside a copy of what lies beside it.
    """
    notebook = nbformat.read(path, as_version=4)
    shutil.copytree(path.parent, folder, dirs_exist_ok=True)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=600, record_timing=False, resources=resources).execute()
    notebook.metadata.language_info = {"name": "python"}  # not the version of this machine
    for cell in notebook.cells:
        if cell.cell_type == "code":  # logs and warnings tell of the machine, and are shown when it is run
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):  # Pillow gives the same picture as JPEG, too
                    output.data.pop("image/jpeg", None)
                if html := output.get("data", {}).get("text/html"):  # speech made of a recording is not kept here
                    output.data["text/html"] = re.sub(r"data:audio/ogg;base64,[\w+/=]+", "", html)
    return notebook


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(executed(path, Path(folder)), path)
        print(f"{path.name} ({path.stat().st_size / 1e3:.0f} kB)")
