"""`gio` as a program: its version, `python -m gio_pyro`, and the scripts that complete it.

Cost: ten seconds, for two processes that import the library.
"""

import json
import shutil
import subprocess
import sys
from importlib import metadata
from typing import Any

import pytest

from tests.cli.shell import gio
from tests.cli.test_train import ENVIRONMENT

VERSION = f"gio-pyro {metadata.version('gio-pyro')}\n"
COMPLETE = """
eval "$SCRIPT"
completer=$(complete -p gio | sed 's/.*-F \\([^ ]*\\).*/\\1/')
COMP_WORDS=(gio train --batch) COMP_CWORD=2 COMP_LINE="gio train --batch" COMP_POINT=17
"$completer"
echo "${COMPREPLY[@]}"
"""


def test_the_version_is_printed(capsys: Any):
    assert gio("--version") == 0
    assert capsys.readouterr() == (VERSION, "")


def test_the_package_can_be_run_as_a_module():
    command = [sys.executable, "-m", "gio_pyro", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, VERSION, "")


PROBE = """
import json, sys
from gio_pyro.cli.main import entry_point
try:
    entry_point(sys.argv[1:])
finally:
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "words", ["--version", "--help", "train --help", "evaluate --help", "completion bash", "trian", "train --sed 1"]
)
def test_help_completion_and_mistakes_do_without_the_heavy_libraries(words: str):
    """So `gio --help` takes half a second; importing torch alone takes longer."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *words.split()], capture_output=True, text=True, env=ENVIRONMENT, check=False
    )
    *_, modules = done.stderr.splitlines()
    assert not {"torch", "pyro", "numpy", "gymnasium", "matplotlib", "arviz", "tqdm"} & {*json.loads(modules)}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_with_commands_and_flags(capsys: Any, shell: str):
    assert gio("completion", shell) == 0
    script = capsys.readouterr().out
    for word in ("gio", "train", "evaluate", "diagnose", "empowerment", "completion", "temperature", "batch-size"):
        assert word in script
    assert shell in script
    assert "\x1b" not in script


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_a_flag(capsys: Any):
    assert gio("completion", "bash") == 0
    environment = {**ENVIRONMENT, "SCRIPT": capsys.readouterr().out}
    done = subprocess.run(["bash", "-c", COMPLETE], capture_output=True, text=True, env=environment, check=True)
    assert (done.stdout, done.stderr) == ("--batch-size\n", "")
