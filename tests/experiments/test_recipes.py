import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adaspec.config import Config, flatten, load_config
from adaspec.errors import InputError
from adaspec.experiments.recipes import describe_recipes, leftover_knobs, read_recipe, recipe_command

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))
ENVIRONMENT = os.environ | {"DVC_NO_ANALYTICS": "1", "GIT_CONFIG_GLOBAL": os.devnull}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root of a repository, as current directory: one recipe for recordings, one for the embedded data set."""
    folder = tmp_path / "repository"
    (folder / "recipes").mkdir(parents=True)
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    write(folder, "birds", "# Birds, quickly\ndataset: {name: folder}\ntrain: {epochs: 7}\n")
    write(folder, "toy", "# The embedded data set\n\ntrain: {epochs: 3, optimizer: {learning_rate: 5e-3}}\n")
    monkeypatch.chdir(folder)
    return folder


def write(repository: Path, name: str, text: str) -> None:
    (repository / "recipes" / f"{name}.yaml").write_text(text, encoding="utf-8")


def refused(name: str, root: Path | None = None, *settings: str) -> str:
    with pytest.raises(InputError) as caught:
        read_recipe(name, root, settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def after_dvc(knobs: dict[str, Any], params: Path) -> None:
    """Change a params file as `dvc exp run` does, by the words that a POSIX shell makes of the command."""
    from dvc.utils.cli_parse import to_path_overrides
    from dvc.utils.hydra import apply_overrides

    words = shlex.split(recipe_command(knobs))
    assert words[:3] == ["dvc", "exp", "run"]
    assert set(words[3::2]) <= {"-S"}
    for path, overrides in to_path_overrides(words[4::2]).items():
        assert path == "params.yaml"
        apply_overrides(str(params), overrides)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipe_fits_params(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    knobs, config = read_recipe(name, tmp_path)
    flat = flatten(config)
    for key, value in knobs.items():
        assert flat[key] == (tuple(value) if isinstance(value, list) else value)
    base = flatten(load_config(Path("params.yaml")))
    assert {key for key in flat if flat[key] != base[key]} <= set(knobs)
    shutil.copyfile("params.yaml", tmp_path / "params.yaml")
    after_dvc(knobs, tmp_path / "params.yaml")
    assert load_config(tmp_path / "params.yaml") == config


def test_shipped_recipes_say_what_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    described = dict(describe_recipes())
    assert list(described) == SHIPPED
    assert {"esc10-fast", "esc10-best", "esc10-ast-small", "esc50-ast-original", "esc50-cnn-original"} <= set(described)
    assert all(10 < len(purpose) < 100 for purpose in described.values())
    assert len(set(described.values())) == len(described)


def test_recipe_is_laid_over_params(repository: Path) -> None:
    knobs, config = read_recipe("toy")
    assert knobs == {"train.epochs": 3, "train.optimizer.learning_rate": 0.005}
    expected = load_config(Path("params.yaml")).model_dump()
    expected["train"]["epochs"] = 3
    expected["train"]["optimizer"]["learning_rate"] = 0.005
    assert config == Config.model_validate(expected)
    assert recipe_command(knobs) == "dvc exp run -S train.epochs=3 -S train.optimizer.learning_rate=0.005"


def test_recipe_takes_further_knobs_which_win(repository: Path) -> None:
    given = [
        "train.epochs=9",
        "seed=1",
        "train.optimizer.learning_rate=1e-3",
        "augment.noise.snr_db=[10, 40.0]",
        "seed=2",
    ]
    knobs, config = read_recipe("toy", None, [*given, "tracking.experiment=a b", "features.window.length_s=null"])
    assert (config.train.epochs, config.train.optimizer.learning_rate, config.seed) == (9, 0.001, 2)
    assert config.augment.noise.snr_db == (10, 40)
    assert (config.tracking.experiment, config.features.window.length_s) == ("a b", None)
    assert knobs["tracking.experiment"] == "a b"


def test_recipe_root_becomes_absolute(repository: Path) -> None:
    (repository / "my birds").mkdir()
    knobs, config = read_recipe("birds", Path("my birds"))
    assert knobs["dataset.root"] == config.dataset.root == str(repository / "my birds")


def test_recipe_root_may_be_a_further_knob_or_in_params(repository: Path) -> None:
    assert read_recipe("birds", None, ["dataset.root=/data/birds"])[1].dataset.root == "/data/birds"
    text = Path("params.yaml").read_text().replace("name: synthetic", "name: folder")
    Path("params.yaml").write_text(text.replace("root: data/raw/synthetic", "root: /data/birds"))
    knobs, config = read_recipe("birds")
    assert config.dataset.root == "/data/birds"
    assert "dataset.root" not in knobs


@pytest.mark.parametrize(
    "name", ["a b", "it's", 'the "best"', "$HOME", "a=b,c", "100%", "[x]{y}(z)", "a\\", "`ls`; #", "Vögel"]
)
def test_recipe_command_survives_shell_and_dvc(repository: Path, name: str) -> None:
    (repository / name).mkdir()
    knobs, config = read_recipe("birds", Path(name))
    command = recipe_command(knobs)
    assert "\n" not in command
    shell = subprocess.run(
        ["sh", "-c", """dvc() { printf '%s\\n' "$@"; }; eval "$COMMAND" """],
        env=os.environ | {"COMMAND": command},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shell.stdout.splitlines() == shlex.split(command)[1:]
    after_dvc(knobs, Path("params.yaml"))
    assert load_config(Path("params.yaml")) == config
    assert config.dataset.root.endswith(f"/{name}")


texts = (
    st.text(min_size=1)
    | st.text("'\"\\ab =,[]{}():#$~&*!?|>%@`-.1", min_size=1, max_size=8)
    | st.text("ab ='", min_size=70, max_size=200)  # long enough for DVC to break the line
    | st.sampled_from(["1", "1e3", "True", "NULL", "nan", "-Inf", "1_000", "0x1", "2020-01-01", "yes", "~", "1:30"])
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(root=texts, rate=st.floats(1e-6, 1.0), level=st.none() | st.lists(st.floats(0, 60), min_size=2, max_size=2))
def test_recipe_is_refused_or_survives_dvc_to_the_bit(
    repository: Path, root: str, rate: float, level: list[float] | None
) -> None:
    knobs = {
        "dataset": {"name": "folder", "root": root},
        "train": {"optimizer": {"learning_rate": rate}},
        "augment": {"noise": {"snr_db": level and sorted(level)}},
    }
    write(repository, "odd", "# Odd\n" + yaml.safe_dump(knobs, allow_unicode=False))
    try:
        flat, config = read_recipe("odd")
    except InputError:
        return
    assert (config.dataset.root, config.train.optimizer.learning_rate) == (root, rate)
    shutil.copyfile("params.yaml", "after.yaml")
    after_dvc(flat, Path("after.yaml"))
    assert load_config(Path("after.yaml")) == config


@pytest.mark.parametrize("value", ["/data/${x}", "???", "a\nb", "a\x07", "a\udcff"])
def test_recipe_command_refuses_what_dvc_cannot_take(value: str) -> None:
    with pytest.raises(InputError, match=r"^dataset\.root='.*' cannot be given to DVC"):
        recipe_command({"dataset.root": value})


@pytest.mark.parametrize("value", ["yes", "On", "1:30", "010"])
def test_recipe_keeps_text_that_older_yaml_takes_for_something_else(repository: Path, value: str) -> None:
    write(repository, "old", "# Old\n" + yaml.safe_dump({"dataset": {"name": "folder", "root": value}}))
    knobs, config = read_recipe("old")
    assert config.dataset.root == value
    after_dvc(knobs, Path("params.yaml"))
    assert load_config(Path("params.yaml")) == config


def test_recipe_refuses_what_dvc_would_change(repository: Path) -> None:
    root = "/data/" + 80 * "a" + "/two  blanks"
    write(repository, "bad", "# Bad\n" + yaml.safe_dump({"dataset": {"name": "folder", "root": root}}))
    told = refused("bad")
    assert told.startswith(
        "recipes/bad.yaml: after 'dvc exp run', params.yaml would not hold what was meant: dataset.root"
    )


def test_recipe_runs_as_an_experiment(repository: Path) -> None:
    stage = {"cmd": "cp params.yaml seen.yaml", "params": ["dataset", "train", "tracking"], "outs": ["seen.yaml"]}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"only": stage | {"deps": ["${dataset.root}"]}}}))
    birds = repository.parent / "two birds, one's =stone"
    birds.mkdir()
    (birds / "a.wav").write_bytes(b"")
    for command in ("git init -q", "git config user.name T", "git config user.email t@example.org"):
        subprocess.run(shlex.split(command), env=ENVIRONMENT, check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], env=ENVIRONMENT, check=True)
    for command in ("git add --all", "git commit -qm Start"):
        subprocess.run(shlex.split(command), env=ENVIRONMENT, check=True)
    knobs, config = read_recipe("birds", Path("../two birds, one's =stone"), ["tracking.experiment=my birds"])
    script = f'dvc() {{ "{sys.executable}" -m dvc "$@"; }}; eval "$COMMAND"'
    done = subprocess.run(
        ["sh", "-c", script], env=ENVIRONMENT | {"COMMAND": recipe_command(knobs)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert load_config(Path("seen.yaml")) == config


def test_recipe_that_does_not_exist_names_the_nearest(repository: Path) -> None:
    assert refused("bird") == "there is no recipe 'bird'; did you mean birds? (known: birds, toy)"
    assert refused("../params") == "there is no recipe '../params' (known: birds, toy)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: {epoch: 3}", "recipes/bad.yaml: train.epoch is not a knob of params.yaml; did you mean train.epochs?"),
        ("zzz: 3", "recipes/bad.yaml: zzz is not a knob of params.yaml"),
        ("trian: {}", "recipes/bad.yaml: trian is not a knob of params.yaml"),
        ("seed: {value: 3}", "recipes/bad.yaml: seed.value is not a knob of params.yaml"),
        ("evaluate: 3", "recipes/bad.yaml: evaluate is a section of params.yaml; set its knobs: vote, overlap, "),
        ("train: {epochs: 0}", "recipes/bad.yaml: train.epochs=0: input should be greater than or equal to 1"),
        (
            "train: {optimizer: {learning_rate: fast}}",
            "recipes/bad.yaml: train.optimizer.learning_rate='fast': input should be a valid number",
        ),
        (
            "frontend: {win_length: 99999}",
            "recipes/bad.yaml: frontend.win_length=99999: input should be less than or equal to 65536",
        ),
        (
            "frontend: {win_length: 4096}",
            "recipes/bad.yaml over params.yaml frontend.win_length=4096 exceeds n_fft=1024; raise n_fft or lower "
            "win_length",
        ),
        ("frontend: {window: hannn}", "recipes/bad.yaml over params.yaml frontend.window='hannn' "),
        (
            "dataset: {name: gtzen, root: /data}",
            "recipes/bad.yaml over params.yaml dataset.name=gtzen is no data set; did you mean gtzan?",
        ),
        (
            "train: {learning_rate: 0.1}",
            "recipes/bad.yaml: train.learning_rate is now called train.optimizer.learning_rate",
        ),
        (
            "train: {optimizer: sgd}",
            "recipes/bad.yaml: train.optimizer is now a section: set train.optimizer.name",
        ),
        ("backbone: {name: wav_resnet}", "recipes/bad.yaml: backbone.name: wav_resnet is now called resnet18"),
        ("", "recipes/bad.yaml must hold knobs, nested as in params.yaml; got None"),
        ("- seed", "recipes/bad.yaml must hold knobs, nested as in params.yaml; got ['seed']"),
    ],
)  # fmt: skip
def test_recipe_refuses_in_one_line(repository: Path, text: str, message: str) -> None:
    write(repository, "bad", f"# Bad\n{text}\n")
    assert refused("bad").startswith(message)


def test_recipe_tells_several_mistakes_in_one_line(repository: Path) -> None:
    write(repository, "bad", "# Bad\ntrain: {epochs: 0}\n")
    assert refused("bad", None, "seed=-1") == (
        "-S seed=-1: seed=-1: input should be greater than or equal to 0; "
        "recipes/bad.yaml: train.epochs=0: input should be greater than or equal to 1"
    )


def test_recipe_file_that_is_not_yaml_or_not_text_is_refused(repository: Path) -> None:
    write(repository, "bad", "# Bad\ntrain: {epochs: 3\n")
    assert refused("bad").startswith("recipes/bad.yaml is not valid YAML: while parsing a flow mapping ")
    (repository / "recipes/bad.yaml").write_bytes(b"# \xff")
    assert refused("bad").startswith("recipes/bad.yaml is not valid YAML: 'utf-8' codec can't decode byte 0xff ")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("seed", "-S seed: must be KEY=VALUE, such as seed=1; "),
        ("tracking.experiment=a=b", "-S tracking.experiment=a=b: must be KEY=VALUE, such as seed=1; text with '=', "),
        ("seed=1,2", "-S seed=1,2: several values; give one, or a list as [1,2]"),
        ("seed=range(1,3)", "-S seed=range(1,3): several values; "),
        ("+seed=1", "-S +seed=1: knobs cannot be added, removed or put elsewhere; write KEY=VALUE"),
        ("++seed=1", "-S ++seed=1: knobs cannot be added, "),
        ("~seed", "-S ~seed: knobs cannot be added, "),
        ("sed=1", "-S sed=1: sed is not a knob of params.yaml; did you mean seed?"),
        ("=1", "-S =1:  is not a knob of params.yaml"),
        ("augment.mix_alpha=1", "-S augment.mix_alpha=1: augment.mix_alpha is now called augment.mix.alpha"),
        ("train={epochs: 3}", "-S train={epochs: 3}: train is a section of params.yaml; set its knobs: epochs, "),
        ("seed=x", "-S seed=x: seed='x': input should be a valid integer"),
        (
            "backbone.resnet.widths=[16,x]",
            "-S backbone.resnet.widths=[16,x]: backbone.resnet.widths='x': input should be a valid integer",
        ),
    ],
)
def test_recipe_refuses_further_knobs_in_one_line(repository: Path, setting: str, message: str) -> None:
    assert refused("toy", None, setting).startswith(message)


def test_recipe_for_recordings_needs_their_folder(repository: Path) -> None:
    assert refused("birds") == "recipes/birds.yaml: dataset.name=folder needs its recordings; add --root FOLDER"
    told = "--root nowhere is not a folder; give the one that holds the recordings"
    assert refused("birds", Path("nowhere")) == told
    assert refused("birds", Path("params.yaml")).startswith("--root params.yaml is not a folder; ")
    assert refused("birds", Path("recipes"), "dataset.root=/x").startswith(
        "--root recipes and -S dataset.root=/x: say "
    )


def test_recipe_for_the_embedded_data_set_takes_no_folder(repository: Path) -> None:
    assert "is not where the synthetic data set is generated" in refused("toy", Path("recipes"))


def test_recipe_elsewhere_sends_to_the_root(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = f"{repository}/recipes lacks params.yaml or recipes/*.yaml; run from the root of the repository"
    monkeypatch.chdir("recipes")
    assert refused("toy") == told
    with pytest.raises(InputError) as caught:
        describe_recipes()
    assert str(caught.value) == told


def test_recipe_tells_that_params_itself_is_wrong(repository: Path) -> None:
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("n_folds: 5 ", "n_folds: 1 "))
    assert refused("toy") == "params.yaml split.n_folds=1: input should be greater than or equal to 2"


def test_recipes_are_described_by_their_first_line(repository: Path) -> None:
    assert describe_recipes() == [("birds", "Birds, quickly"), ("toy", "The embedded data set")]
    write(repository, "bare", "seed: 1\n")
    with pytest.raises(InputError, match=r"^recipes/bare\.yaml must begin with a comment"):
        describe_recipes()


def test_leftover_knobs_are_those_that_the_recipe_does_not_set(repository: Path) -> None:
    path = Path("params.yaml")
    assert leftover_knobs({}) == []  # no repository
    for command in ("git init -q", "git add --all", "git -c user.name=T -c user.email=t@example.org commit -qm Start"):
        subprocess.run(shlex.split(command), env=ENVIRONMENT, check=True)
    assert leftover_knobs({}) == []
    after_dvc({"train.epochs": 8, "train.ema_decay": None, "backbone.resnet.widths": [8, 16]}, path)
    assert leftover_knobs({}) == ["backbone.resnet.widths", "train.epochs", "train.ema_decay"]
    assert leftover_knobs(read_recipe("toy")[0]) == ["backbone.resnet.widths", "train.ema_decay"]


@pytest.mark.parametrize("word", ["true", "Null", "nan", "123", "1e3", ""])
def test_recipe_command_quotes_text_that_reads_as_another_value(word: str) -> None:
    assert recipe_command({"key": word}) == f"dvc exp run -S 'key=\"{word}\"'"
    assert (
        recipe_command({"key": ["kaiser", 14.0, None, word]}) == f"dvc exp run -S 'key=[kaiser,14.0,null,\"{word}\"]'"
    )
