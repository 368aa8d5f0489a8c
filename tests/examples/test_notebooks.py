"""Every notebook under examples/ is stored as it ran, and runs again from its start, here with tiny settings.

The first code cell is tagged "settings" and holds plain assignments; its metadata has, under "tiny", the values that
the run here takes instead. The run has a process of its own: what a kernel's client leaves behind would be warnings,
and so errors, of whichever test comes next.
"""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples").glob("*.ipynb"))
LARGEST = 1_500_000
MACHINE = re.compile(r"(?<![\w.])/(work|tmp|root|home|Users)\b")
RUN = """
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read("notebook.ipynb", as_version=4)
nbformat.validate(notebook)
NotebookClient(notebook, timeout=180, kernel_name="python3").execute()
"""


def source(cell):
    return "".join(cell["source"])


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell["outputs"]]


def texts(node):
    """Every string in a notebook but the pictures, in whose letters anything may be spelt."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, list):
        yield "".join(node) if all(isinstance(line, str) for line in node) else ""
        for item in node:
            yield from texts(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if not key.startswith("image/"):
                yield from texts(value)


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.name)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_there_are_notebooks():
    assert NOTEBOOKS


def test_it_opens_with_a_question_and_ends_in_a_picture(notebook):
    first, last = notebook["cells"][0], code_cells(notebook)[-1]
    assert first["cell_type"] == "markdown"
    assert "?" in source(first)
    assert any("image/png" in output.get("data", {}) for output in last["outputs"])


def test_it_is_stored_as_it_ran_from_top_to_bottom(notebook):
    counts = [cell["execution_count"] for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    assert not [output for output in outputs(notebook) if output["output_type"] == "error"]
    assert not [output["text"] for output in outputs(notebook) if output.get("name") == "stderr"]


def test_it_is_small_and_names_no_folder_of_the_machine_that_ran_it(path, notebook):
    assert path.stat().st_size < LARGEST
    assert not [text for text in texts(notebook) if MACHINE.search(text)]


def test_its_settings_are_plain_assignments_with_tiny_values_beside_them(notebook):
    settings = code_cells(notebook)[0]
    assert settings["metadata"]["tags"] == ["settings"]
    assigned = {}
    for statement in ast.parse(source(settings)).body:
        assert isinstance(statement, ast.Assign), ast.unparse(statement)
        assert all(isinstance(target, ast.Name) for target in statement.targets), ast.unparse(statement)
        assigned |= {target.id: ast.literal_eval(statement.value) for target in statement.targets}
    assert settings["metadata"]["tiny"].keys() <= assigned.keys()


@pytest.mark.slow
def test_it_runs_with_tiny_settings(notebook, tmp_path):
    settings = code_cells(notebook)[0]
    tiny = [f"{name} = {value!r}" for name, value in settings["metadata"]["tiny"].items()]
    settings["source"] = "\n".join([source(settings), *tiny])
    (tmp_path / "notebook.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    folders = {"IPYTHONDIR": str(tmp_path / "ipython"), "JUPYTER_RUNTIME_DIR": str(tmp_path / "jupyter")}
    env = os.environ | folders | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RUN]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
