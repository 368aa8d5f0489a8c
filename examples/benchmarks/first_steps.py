"""How long a new user waits: the README's two commands, in a fresh clone and a fresh virtual environment.

    python examples/benchmarks/first_steps.py             # ten minutes of an idle machine; the rows are kept
    python examples/benchmarks/first_steps.py --only train

The commands are read from README.md, cut at `&&` and timed one by one from outside; `gio train` is run a second time
once its update has been compiled, for which the script waits. Nothing that an earlier run compiled is found. What is
installed comes from pip's cache, if it is there.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kept import Kept, command_line

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results" / "first_steps.csv"
KEYS = ("command",)
LONGEST = 180
"""Seconds that the script waits for the compiled update."""


def commands(readme: str) -> list[str]:
    """Return the single commands of the first two lines that install, `gio train` twice."""
    lines = [line.partition("#")[0].strip() for line in readme.splitlines() if line.startswith("pip install -c")]
    single = [command for line in lines[:2] for command in line.split(" && ")]
    place = single.index("gio train")
    return [*single[: place + 1], "gio train", *single[place + 1 :]]


def measure(only: str) -> list[dict[str, object]]:
    """Run the commands one after another and return a row of each."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        clone, home = Path(folder) / "clone", Path(folder) / "venv"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        head = ["git", "-C", str(clone), "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip()
        environment, done = _environment(Path(folder), home), list[str]()
        for command in commands((clone / "README.md").read_text()):
            if "pip" not in command and only not in command:
                continue
            if command in done:
                _wait_for_compiled(Path(environment["GIO_PYRO_CACHE"]))
            start = time.perf_counter()
            ran = subprocess.run(command, shell=True, cwd=clone, env=environment, capture_output=True, text=True)
            seconds = time.perf_counter() - start
            if ran.returncode:
                raise SystemExit(f"{command} failed:\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
            passed = re.findall(r"(\d+) passed", ran.stdout)
            name = f"{command}, again" if command in done else command
            done.append(command)
            rows.append({"command": name, "commit": commit, "seconds": seconds, "tests": (passed or [""])[-1]})
            print(f"{seconds:6.0f} s  {name}", flush=True)
    return rows


def _wait_for_compiled(folder: Path) -> None:
    for _ in range(LONGEST):
        if any(folder.rglob("*.pt2")):
            return
        time.sleep(1)
    print(f"no compiled update after {LONGEST} s", flush=True)


def _environment(folder: Path, home: Path) -> dict[str, str]:
    """Return the variables of a new user: the virtual environment first, nothing compiled, no other checkout."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    path = f"{home / 'bin'}{os.pathsep}{own['PATH']}"
    return own | {"PATH": path, "TMPDIR": str(folder), "GIO_PYRO_CACHE": str(folder / "compiled")}


def table(kept: Kept) -> list[str]:
    """Return the times in Markdown."""
    lines = ["| a new user's command | seconds | tests passed | commit |", "|---|---|---|---|"]
    for row in kept.rows.values():
        lines.append(f"| `{row['command']}` | {float(row['seconds']):.0f} | {row['tests']} | {row['commit']} |")
    return lines


def main() -> None:
    """Measure, put the rows in the places of older ones, and print the table."""
    parser = command_line(__doc__, RESULTS)
    parser.add_argument("--only", default="", help="beside installing, commands that contain this")
    parser.add_argument("--table", action="store_true", help="print the table, run nothing")
    options = parser.parse_args()
    kept = Kept(options.results, KEYS)
    if not options.table:
        print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
        kept.add(measure(options.only))
    print("\n".join(table(kept)))


if __name__ == "__main__":
    main()
