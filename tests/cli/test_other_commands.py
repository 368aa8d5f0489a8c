import re
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import gio_pyro as gio_library
from gio_pyro import tabular
from gio_pyro.utils import files
from tests.cli.shell import gio, train
from tests.environments import register


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An agent that knows its world: a sure lake, the exact guide."""
    env = gymnasium.make("FrozenLake-v1", is_slippery=False)
    agent = gio_library.GIO(env, guide="BayesGuide", initial_value=1.0, gradient_steps=60)
    path = tmp_path_factory.mktemp("learned") / "run"
    agent.learn(2_500).save(path)
    return path


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An agent that learned too little to be believed."""
    path = tmp_path_factory.mktemp("fresh") / "run"
    gio_library.GIO("FrozenLake-v1").learn(20).save(path)
    return path


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestEvaluate:
    def test_prints_what_was_played_beside_the_exact_value(self, learned: Path, capsys: Any):
        assert gio("evaluate", learned, "--episodes", 20) == 0
        printed = capsys.readouterr().out
        played = float(re.search(r"return, played +(\S+)", printed)[1])
        exact = float(re.search(r"exact, sampled actions +(\S+)", printed)[1])
        assert abs(played - exact) < 0.5
        assert re.search(r"exact, optimal policy +1\b", printed)

    def test_one_seed_prints_one_text(self, fresh: Path, capsys: Any):
        printed = []
        for _ in range(2):
            assert gio("evaluate", fresh, "--episodes", 10, "--seed", 7) == 0
            printed.append(capsys.readouterr().out)
        assert printed[0] == printed[1]

    def test_one_episode_has_no_standard_error_but_a_return(self, fresh: Path, capsys: Any):
        assert gio("evaluate", fresh, "--episodes", 1, "--deterministic") == 0
        assert re.search(r"return, played +\S+ \(1 episode\)\n", capsys.readouterr().out)

    def test_leaves_the_run_untouched(self, fresh: Path):
        before = contents(fresh)
        assert gio("evaluate", fresh, "--episodes", 2) == 0
        assert contents(fresh) == before

    def test_a_world_without_a_table_has_no_exact_rows(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ):
        gio_library.GIO(register(monkeypatch)).learn(20).save(tmp_path)
        assert gio("evaluate", tmp_path, "--episodes", 2) == 0
        assert "exact" not in capsys.readouterr().out

    @pytest.mark.parametrize("flags", [("--episodes", "0"), ("--episodes", "-3"), ("--seed", "-1")])
    def test_numbers_out_of_range_are_one_sentence(self, fresh: Path, capsys: Any, flags: tuple[str, str]):
        assert gio("evaluate", fresh, *flags) == 2
        assert capsys.readouterr().err.startswith("gio: Expected")

    @pytest.mark.parametrize(
        "flags",
        [
            ("--env.max_episode_steps=3",),
            ("--environment", "FrozenLake-v1", "--env.max_episode_steps=3", "--env.is_slippery=false"),
        ],
    )
    def test_it_plays_in_another_environment_where_one_is_named(self, fresh: Path, capsys: Any, flags: tuple[str, ...]):
        assert gio("evaluate", fresh, "--episodes", 20, *flags) == 0
        printed = capsys.readouterr().out
        assert float(re.search(r"episode length +(\S+) steps", printed)[1]) <= 3
        assert "exact" not in printed

    @pytest.mark.parametrize("command", ["evaluate", "diagnose"])
    @pytest.mark.parametrize(
        ("flags", "words"),
        [
            (("--environment", "CliffWalking-v1"), r"observation space that was learned with, Discrete\(16\), but"),
            (("--environment", "Nowhere-v0"), "a registered environment, but got 'Nowhere-v0'"),
            (("--env.wheels=3",), "arguments that FrozenLake-v1 takes"),
        ],
    )
    def test_another_environment_that_does_not_fit_is_one_sentence(
        self, learned: Path, capsys: Any, command: str, flags: tuple[str, ...], words: str
    ):
        assert gio(command, learned, *flags) == 2
        assert re.search(words, capsys.readouterr().err)


class TestDiagnose:
    def test_status_zero_says_believe(self, learned: Path, capsys: Any):
        assert gio("diagnose", learned) == 0
        printed = capsys.readouterr().out
        assert "Verdict: believe" in printed
        assert printed.count("yes: ") == 8
        page = (learned / "diagnosis.html").read_text()
        assert "Verdict: believe" in page
        assert page.count("<svg") == 4  # a program, and a figure for each question
        assert "http" not in page
        assert len(page) < 5_000_000

    def test_status_one_says_do_not_believe(self, fresh: Path, capsys: Any):
        assert gio("diagnose", fresh) == 1
        printed = capsys.readouterr().out
        assert "Verdict: do not believe" in printed
        assert "no: " in printed

    def test_an_agent_that_learned_nothing_is_not_believed(self, tmp_path: Path):
        gio_library.GIO("FrozenLake-v1").save(tmp_path)
        assert gio("diagnose", tmp_path) == 1

    def test_status_two_where_too_little_was_seen(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
        gio_library.GIO(register(monkeypatch)).learn(20).save(tmp_path)
        assert gio("diagnose", tmp_path) == 2
        assert capsys.readouterr().err.startswith("gio: Expected")

    def test_leaves_the_run_untouched_but_for_the_page(self, fresh: Path):
        (fresh / "diagnosis.html").unlink(missing_ok=True)
        before = contents(fresh)
        assert gio("diagnose", fresh) == 1
        (fresh / "diagnosis.html").unlink()
        assert contents(fresh) == before


def printed_map(printed: str) -> np.ndarray:
    lines = [line for line in printed.splitlines() if re.fullmatch(r"( *-?\d+\.\d{3})+", line)]
    return np.array([[float(number) for number in line.split()] for line in lines])


def exact(env: str, horizon: int) -> np.ndarray:
    return tabular.empowerment(tabular.TabularMDP.from_env(gymnasium.make(env), discount=0.99), horizon).numpy()


class TestOthersAtWork:
    def test_a_run_that_is_being_trained_is_not_trained_twice(self, fresh: Path, capsys: Any):
        held = files.claim(fresh)
        try:
            assert gio("train", "--resume", fresh, "--steps", 10, "--quiet") == 2
            assert "another process is at work in" in capsys.readouterr().err
            assert gio("evaluate", fresh, "--episodes", 1) == 0
        finally:
            files.release(held)
        assert gio("train", "--resume", fresh, "--steps", 10, "--quiet") == 0

    def test_what_a_killed_writer_left_goes_when_the_run_goes_on(self, fresh: Path):
        (fresh / "posterior.nc.0123456789abcdef.part").write_text("half")
        assert gio("train", "--resume", fresh, "--steps", 10, "--quiet") == 0
        assert not list(fresh.glob("*.part*"))

    def test_a_program_that_ends_the_process_gives_no_verdict(self, fresh: Path, tmp_path: Path, capsys: Any):
        (tmp_path / "script.py").write_text("import sys\nsys.exit(0)\n")
        assert gio("diagnose", fresh, "--guide", f"{tmp_path / 'script.py'}:Guide") == 2
        assert "it raised SystemExit" in capsys.readouterr().err

    def test_trouble_that_nobody_foresaw_gives_no_verdict(
        self, fresh: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ):
        monkeypatch.setattr("gio_pyro.diagnostics.diagnose", lambda agent, **how: 1 / 0)
        assert gio("diagnose", fresh) == 2
        error = capsys.readouterr().err
        assert error == "gio: Internal error: ZeroDivisionError: division by zero; set GIO_TRACEBACK=1 and report it.\n"
        monkeypatch.setenv("GIO_TRACEBACK", "1")
        with pytest.raises(ZeroDivisionError):
            gio("diagnose", fresh)

    def test_a_future_of_ones_own_is_named_by_its_file_and_named_again(self, tmp_path: Path, capsys: Any):
        own = tmp_path / "own.py"
        own.write_text(
            "from gymnasium.spaces import Discrete\n\n\nclass Parity:\n"
            "    def space(self, states):\n        return Discrete(2)\n\n"
            "    def of(self, rows):\n        return rows.next_state % 2\n"
        )
        run, named = tmp_path / "run", f"{own}:Parity"
        assert train("FrozenLake-v1", "--future", named, "--out", run) == 0
        assert gio("evaluate", run) == 2
        assert "pass it again (future= in Python, --future on the command line)" in capsys.readouterr().err
        assert gio("evaluate", run, "--future", named, "--episodes", 2) == 0
        assert gio("train", "--resume", run, "--steps", 10, "--future", named, "--quiet") == 0
        assert gio("train", "--resume", run, "--steps", 10, "--future", "NextState", "--quiet") == 2
        assert "Expected the future Parity as in training, but got the future NextState" in capsys.readouterr().err


class TestEmpowerment:
    @pytest.mark.parametrize(
        ("env", "shape", "horizon"), [("FrozenLake-v1", (4, 4), 2), ("CliffWalking-v1", (4, 12), 4)]
    )
    def test_a_grid_world_gets_the_exact_numbers_and_a_map(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: Any,
        env: str,
        shape: tuple[int, int],
        horizon: int,
    ):
        from PIL import Image

        monkeypatch.chdir(tmp_path)
        assert gio("empowerment", env, "--horizon", horizon) == 0
        printed = capsys.readouterr().out
        np.testing.assert_allclose(printed_map(printed), exact(env, horizon).reshape(shape), atol=5.01e-4)
        path = tmp_path / f"{env}-empowerment-{horizon}.png"
        assert str(path.name) in printed
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG"

    def test_nats_and_bits_are_the_exact_ones(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
        monkeypatch.chdir(tmp_path)
        assert gio("empowerment", "Taxi-v4", "-n", 3) == 0
        printed, said = capsys.readouterr()
        nats = exact("Taxi-v4", 3)
        for name, value in (("least", nats.min()), ("mean", nats.mean()), ("most", nats.max())):
            assert f"{name:<5}  {value:.4f} nats = {value / np.log(2):.4f} bits" in printed
        assert "no map is drawn" in said
        assert not list(tmp_path.iterdir())

    def test_the_file_can_be_named(self, tmp_path: Path):
        assert gio("empowerment", "FrozenLake-v1", "-n", 1, "--out", tmp_path / "map.png") == 0
        assert [path.name for path in tmp_path.iterdir()] == ["map.png"]

    def test_an_existing_file_is_refused_and_kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
        monkeypatch.chdir(tmp_path)
        for name, flags in (("mine.png", ("--out", "mine.png")), ("FrozenLake-v1-empowerment-1.png", ())):
            (tmp_path / name).write_text("mine")
            assert gio("empowerment", "FrozenLake-v1", "-n", 1, *flags) == 2
            assert capsys.readouterr().err.startswith("gio: Expected a new file")
            assert (tmp_path / name).read_text() == "mine"

    def test_a_name_without_ending_overwrites_nothing(self, tmp_path: Path):
        (tmp_path / "map.png").write_text("mine")
        gio("empowerment", "FrozenLake-v1", "-n", 1, "--out", tmp_path / "map")
        assert (tmp_path / "map.png").read_bytes() == b"mine"

    def test_the_file_that_is_printed_is_the_file_that_is_there(self, tmp_path: Path, capsys: Any):
        assert gio("empowerment", "FrozenLake-v1", "-n", 1, "--out", tmp_path / "map.png") == 0
        assert Path(re.search(r"map: (.*)", capsys.readouterr().out)[1]).is_file()

    @pytest.mark.parametrize("out", ["map", "map.xyz", "absent/map.png", ".", "m" * 300 + ".png"])
    def test_a_file_that_cannot_be_written_is_one_sentence(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, out: str
    ):
        monkeypatch.chdir(tmp_path)
        assert gio("empowerment", "FrozenLake-v1", "-n", 1, "--out", out) == 2
        assert capsys.readouterr().err.startswith("gio: Expected")

    def test_a_world_without_a_table_is_one_sentence(self, monkeypatch: pytest.MonkeyPatch, capsys: Any):
        assert gio("empowerment", register(monkeypatch)) == 2
        assert capsys.readouterr().err.startswith("gio: Expected")


class TestLearnedEmpowerment:
    def test_prints_what_was_learned_beside_the_exact_value(self, tmp_path: Path, capsys: Any):
        where = ("--env.map", '["SS", "SS"]', "--out", tmp_path / "map.png")
        assert (
            gio("empowerment", "gio/Maze-v0", "-n", 1, "--variational", "--steps", 4_000, "--updates", 200, *where) == 0
        )
        printed = capsys.readouterr().out
        error = re.search(r"mean error +([0-9.]+) nats, over 4 states that can be reached", printed)
        assert error is not None
        assert float(error[1]) < 0.2
        assert "exact, mean" in printed
        assert (tmp_path / "map.png").is_file()

    def test_states_that_cannot_be_listed_are_one_sentence(self, capsys: Any):
        assert gio("empowerment", "CartPole-v1", "--variational") == 2
        assert (
            "Expected Discrete observations, whose states can be listed, but CartPole-v1 has" in capsys.readouterr().err
        )

    def test_a_horizon_of_0_is_one_sentence(self, capsys: Any):
        assert gio("empowerment", "FrozenLake-v1", "--horizon", 0, "--variational") == 2
        assert "at least 1 action" in capsys.readouterr().err


@pytest.mark.slow
def test_of_a_guide_that_ignores_the_future_the_filter_alone_is_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = tmp_path / "tiger"
    programs = ("--world-model", "FiniteStateSpace", "--guide", "UniformGuide", "--gradient-steps", "0")
    sizes = ("--steps", "1000", "--learning-starts", "1000", "--train-freq", "500", "--hidden", "8", "--quiet")
    assert gio("train", "gio/Tiger-v0", *programs, *sizes, "--out", str(run)) == 0
    capsys.readouterr()
    assert gio("diagnose", str(run)) in (0, 1)
    printed = capsys.readouterr().out
    assert "Is the filter right?" in printed
    assert "UniformGuide ignores the future" in printed
    assert "information of" not in printed
