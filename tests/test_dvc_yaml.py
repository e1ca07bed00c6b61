"""dvc.yaml names everything that a stage depends on: code by following its imports, knobs by recording what is read."""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from adaspec.config import Config
from adaspec.config.knobs import STAGES, flatten, overlaid, reads
from adaspec.config.types import Section

ROOT = Path(__file__).parents[1]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PACKAGE = ROOT / "src/adaspec"
# Time and messages, never a result; `config/knobs.py` says so.
WITHOUT_RESULT = re.compile(
    r"(config/(?!resolve).*|experiments/.*|tracking/.*|errors|__init__"
    r"|runtime/(engine/.*|__init__|ahead|console|environment|interrupts|progress|sources|table|text|watchdog|workspace))\.py"
)


def module_file(name: str) -> Path | None:
    """File of the module `name`, or of the package that defines it."""
    path = ROOT / "src" / Path(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()), None)


def imported_files(path: Path) -> set[Path]:
    """Files of the package that a file imports, at its top or within functions, but not for types alone."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    files: set[Path | None] = set()
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.ImportFrom)
            and id(node) not in typing_only
            and (node.module or "").startswith("adaspec")
        ):
            files |= {module_file(f"{node.module}.{name.name}") or module_file(str(node.module)) for name in node.names}
    return {file for file in files if file}


def reached_rooms(stage: str) -> set[str]:
    """Rooms, or single files of `config` and `runtime`, that a stage's script reaches."""
    seen: set[Path] = set()
    queue = [ROOT / f"stages/{stage}.py"]
    rooms = set()
    while queue:
        path = queue.pop()
        if path in seen:
            continue
        seen.add(path)
        if path.is_relative_to(PACKAGE):
            name = path.relative_to(PACKAGE).as_posix()
            if WITHOUT_RESULT.fullmatch(name):
                continue
            room = name.partition("/")[0]
            rooms.add(name if room in ("config", "runtime") else room)
        queue += imported_files(path)
    return rooms


def listed_rooms(stage: str) -> set[str]:
    prefix = "src/adaspec/"
    return {each.removeprefix(prefix) for each in PIPELINE[stage]["deps"] if each.startswith(prefix)}


def outputs(stage: str) -> set[str]:
    listed = PIPELINE[stage].get("outs", []) + PIPELINE[stage].get("metrics", [])
    return {next(iter(each)) if isinstance(each, dict) else each for each in listed}


@pytest.mark.parametrize("stage", sorted(set(PIPELINE) - {"validate"}))
def test_stage_depends_on_the_rooms_that_it_reaches_and_no_others(stage: str) -> None:
    assert listed_rooms(stage) == reached_rooms(stage)


@pytest.mark.parametrize("stage", sorted(PIPELINE))
def test_stage_is_as_the_list_of_what_decides_has_it(stage: str) -> None:
    assert listed_rooms(stage) == set(STAGES[stage].rooms)
    assert sorted(PIPELINE[stage]["params"]) == sorted(STAGES[stage].sections)
    assert set(PIPELINE) == set(STAGES)


@pytest.mark.parametrize("stage", sorted(PIPELINE))
def test_stage_depends_on_its_script_and_on_what_its_command_is_given(stage: str) -> None:
    made = {output for other in PIPELINE for output in outputs(other)}
    given = set(PIPELINE[stage]["cmd"].split()) & made - outputs(stage)
    others = {each for each in PIPELINE[stage]["deps"] if not each.startswith("src/")}
    if stage in ("prepare", "report", "robustness"):
        given.add("${dataset.root}")
    assert others == given | {f"stages/{stage}.py"}


@pytest.mark.parametrize("stage", sorted(PIPELINE))
def test_stage_depends_on_code_that_exists(stage: str) -> None:
    for room in listed_rooms(stage):
        assert (PACKAGE / room).exists(), room


def test_stages_list_every_knob_that_decides_a_result(params: dict[str, Any]) -> None:
    known = flatten(Config.model_validate(params))
    listed = {section for stage, each in STAGES.items() if stage != "validate" for section in each.sections}
    unlisted = {knob for knob in known if not reads(knob, listed)}
    assert all(knob.startswith(("engine.", "tune.")) for knob in unlisted), unlisted
    for section in listed | set(STAGES["validate"].sections):
        assert any(reads(knob, [section]) for knob in known), section


# What is read.

SMALL = {
    "dataset.on_bad_clip": "skip",
    "synthetic.clips_per_class": 10,
    "synthetic.duration_s": 0.5,
    "features.window.length_s": 0.4,
    "split.scheme": "group_kfold",
    "split.n_folds": 2,
    "split.validation_fraction": 0.25,
    "train.epochs": 1,
    "evaluate.n_bootstrap": 100,
    "tracking.tracker": "none",
    "engine.workers": 1,
    "engine.parallel_folds": 1,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "fbank": {
        "frontend.name": "fbank",
        "backbone.name": "ast",
        "backbone.ast.embed_dim": 16,
        "backbone.ast.depth": 1,
        "backbone.ast.num_heads": 2,
        "audio.sample_rate": None,
        "features.window.length_s": None,
        "split.balance": "class_weights",
        "train.optimizer.name": "sgd",
        "augment.noise.snr_db": [5.0, 20.0],
        "augment.equalizer_db": 3.0,
    },
    "learned": {
        "frontend.learn_window": True,
        "frontend.learn_kernels": True,
        "frontend.n_fft": 256,
        "frontend.mel.n_mels": 16,
        "frontend.kernels.constraint": "unit_norm",
        "backbone.members": 2,
        "train.schedule.name": "exponential",
        "train.loss.name": "focal",
        "train.frontend.l2_sp": 0.1,
        "augment.speed": 0.1,
        "split.balance": "weighted_sampler",
    },
}


def prefixes(model: type[Section], prefix: str = "") -> Iterator[tuple[type[Section], str]]:
    """Every section's class, and how its knobs' names begin."""
    yield model, prefix
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from prefixes(field.annotation, f"{prefix}{name}.")


class Recorder:
    """Notes which knobs are read from sections."""

    def __init__(self) -> None:
        self.names = dict(prefixes(Config))
        self.read: set[str] = set()

    def note(self, section: Section, name: str) -> None:
        field = type(section).model_fields.get(name)
        is_section = field and isinstance(field.annotation, type) and issubclass(field.annotation, Section)
        if field and not is_section and type(section) in self.names:
            self.read.add(f"{self.names[type(section)]}{name}")


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Reads of attributes, and of whole sections that are dumped."""
    recorder = Recorder()
    dump = Section.model_dump

    def attribute(self: Section, name: str) -> Any:
        recorder.note(self, name)
        return object.__getattribute__(self, name)

    def model_dump(self: Section, **options: Any) -> dict[str, Any]:
        for name in set(type(self).model_fields) & set(options.get("include") or type(self).model_fields):
            recorder.note(self, name)
        return dump(self, **options)

    monkeypatch.setattr(Section, "__getattribute__", attribute, raising=False)
    monkeypatch.setattr(Section, "model_dump", model_dump)
    return recorder


@pytest.mark.parametrize("setting", SETTINGS)
def test_stages_read_what_they_list(
    setting: str, params: dict[str, Any], recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    Path("params.yaml").write_text(yaml.safe_dump(overlaid(params, SMALL | SETTINGS[setting])))
    Path("data/raw").mkdir(parents=True)
    for stage, listed in STAGES.items():
        script, *arguments = PIPELINE[stage]["cmd"].partition("python ")[2].split()
        names = runpy.run_path(str(ROOT / script), run_name="stage")
        config = names["load_config"](Path("params.yaml"))  # which checks, and so reads, all of it
        recorder.read.clear()
        function = names[stage]
        function.__globals__["load_config"] = lambda path, config=config: config
        function(*map(Path, arguments))
        allowed = (*listed.sections, *listed.carried, "engine", "tracking")
        unlisted = {knob for knob in recorder.read if not reads(knob, allowed)}
        assert not unlisted, (stage, unlisted)
        assert recorder.read, stage


def test_dvc_ignores_no_code() -> None:
    lines = (ROOT / ".dvcignore").read_text(encoding="utf-8").splitlines()
    anywhere = {line for line in lines if line and not line.startswith(("#", "/"))}
    for path in (ROOT / "src").rglob("*.py"):
        assert not anywhere & {*path.relative_to(ROOT).parts}, path
