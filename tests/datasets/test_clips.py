from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from adaspec.audio import clip_digest
from adaspec.datasets.clips import examine_clips
from adaspec.errors import InputError
from adaspec.runtime.files import write_csv
from adaspec.tables import CLIP_COLUMNS, read_clips


def tone(n_samples: int = 800, channels: int = 1, seed: int = 0) -> np.ndarray:
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, (n_samples, channels))
    return samples[:, 0] if channels == 1 else samples


def write(root: Path, path: str, seed: int = 0, **options: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(root / path, tone(seed=seed), 8000, **options)


def listed(*paths: str) -> pd.DataFrame:
    """The table of a data set with the first folder as the label."""
    return pd.DataFrame(
        {"path": paths, "label": [path.split("/")[0] for path in paths], "group": paths, "fold": "", "subset": ""}
    )


BAD = {
    "dog/empty.wav": "empty file (0 bytes)",
    "dog/inf.wav": "NaN or infinite samples",
    "dog/lost.wav": "cannot be opened (Is a directory)",
    "dog/nan.wav": "NaN or infinite samples",
    "dog/text.wav": "not readable as audio (",
    "dog/truncated.wav": "truncated (",
}


@pytest.fixture
def mixed(tmp_path: Path) -> pd.DataFrame:
    """Good clips among one bad file of each kind."""
    for index, path in enumerate(["dog/a.wav", "cat/b.wav", "cat/c.wav"]):
        write(tmp_path, path, seed=index)
    (tmp_path / "dog/empty.wav").write_bytes(b"")
    (tmp_path / "dog/lost.wav").mkdir()
    (tmp_path / "dog/text.wav").write_text("this is no sound\n" * 20)
    (tmp_path / "dog/truncated.wav").write_bytes((tmp_path / "dog/a.wav").read_bytes()[:-100])
    for name, value in (("nan", np.nan), ("inf", np.inf)):
        samples = tone().astype(np.float32)
        samples[10] = value
        soundfile.write(tmp_path / f"dog/{name}.wav", samples, 8000, subtype="FLOAT")
    return listed("dog/a.wav", *BAD, "cat/b.wav", "cat/c.wav")


def test_examine_clips_fails_on_bad_clips_and_names_them(mixed: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        examine_clips(mixed, tmp_path, "fail", "fail", 1)
    message = str(caught.value)
    assert message.startswith("6 of 9 clips cannot be used: ")
    for path in list(BAD)[:5]:
        assert f"{tmp_path / path}: {BAD[path]}" in message
    assert "; and 1 more; repair or remove them, or set dataset.on_bad_clip=skip" in message
    assert "a.wav:" not in message
    assert "\n" not in message


def test_examine_clips_counts_no_more_where_all_are_named(tmp_path: Path) -> None:
    write(tmp_path, "dog/a.wav")
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/b.wav").write_bytes(b"")
    with pytest.raises(InputError) as caught:
        examine_clips(listed("dog/a.wav", "cat/b.wav"), tmp_path, "fail", "fail", 1)
    assert str(caught.value).startswith("1 of 2 clips cannot be used: ")
    assert "more" not in str(caught.value)


def test_examine_clips_fails_on_missing_clips_and_counts_them_by_part(tmp_path: Path) -> None:
    write(tmp_path, "dog/a.wav")
    table = listed("dog/a.wav", "dog/b.wav", "cat/c.wav", "cat/d.wav").assign(subset=["train", "train", "dev", "dev"])
    with pytest.raises(InputError) as caught:
        examine_clips(table, tmp_path, "skip", "fail", 1)
    told = f"2 of 2 of dev, 1 of 2 of train clips that the data set lists are missing in {tmp_path}, the first "
    assert str(caught.value).startswith(f"{told}{tmp_path / 'dog/b.wav'}; ")
    assert "dataset.on_missing=skip" in str(caught.value)


def test_examine_clips_leaves_missing_clips_out_and_lists_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index, path in enumerate(["dog/a.wav", "cat/c.wav"]):
        write(tmp_path, path, seed=index)
    (tmp_path / "dog/empty.wav").write_bytes(b"")
    table = listed("dog/a.wav", "dog/gone.wav", "dog/empty.wav", "cat/c.wav").assign(speaker=["s1", "s2", "s3", "s4"])
    clips, skipped = examine_clips(table, tmp_path, "skip", "skip", 1)
    assert clips[["path", "speaker"]].to_numpy().tolist() == [["cat/c.wav", "s4"], ["dog/a.wav", "s1"]]
    assert list(clips) == [*CLIP_COLUMNS, "speaker"]
    assert skipped.to_numpy().tolist() == [["dog/empty.wav", "empty file (0 bytes)"], ["dog/gone.wav", "missing"]]
    assert f"1 of 4 clips that the data set lists are missing in {tmp_path}\n" in capsys.readouterr().err


def test_examine_clips_skips_bad_clips_and_lists_each(
    mixed: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips, skipped = examine_clips(mixed, tmp_path, "skip", "fail", 1)
    assert clips["path"].tolist() == ["cat/b.wav", "cat/c.wav", "dog/a.wav"]
    assert list(skipped.columns) == ["path", "reason"]
    assert skipped["path"].tolist() == list(BAD)
    for path, reason in skipped.to_numpy():
        assert reason.startswith(BAD[path]), path
    assert "skipped 6 of 9 clips that cannot be used\n" in capsys.readouterr().err


def test_examine_clips_measures_good_clips(mixed: pd.DataFrame, tmp_path: Path) -> None:
    clips, _ = examine_clips(mixed, tmp_path, "skip", "fail", 1)
    assert tuple(clips.columns) == CLIP_COLUMNS
    assert set(clips["n_samples"]) == {800}
    assert set(clips["sample_rate"]) == {8000}
    assert clips["digest"].tolist() == [clip_digest((tmp_path / path).read_bytes()) for path in clips["path"]]
    assert clips["label"].tolist() == ["cat", "cat", "dog"]
    assert clips["group"].tolist() == clips["path"].tolist()


def test_examine_clips_gives_the_same_with_two_workers(mixed: pd.DataFrame, tmp_path: Path) -> None:
    more = [f"cat/{index:02d}.wav" for index in range(40)]  # several chunks
    for index, path in enumerate(more):
        write(tmp_path, path, seed=100 + index)
    table = pd.concat([mixed, listed(*more)], ignore_index=True)
    one, two = (examine_clips(table, tmp_path, "skip", "fail", n_workers) for n_workers in (1, 2))
    for of_one, of_two in zip(one, two, strict=True):
        pd.testing.assert_frame_equal(of_one, of_two)
    assert len(two[0]) == 43


def test_examine_clips_warns_of_digital_silence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "dog/a.wav")
    (tmp_path / "cat").mkdir()
    soundfile.write(tmp_path / "cat/quiet.wav", np.zeros(800), 8000)
    clips, skipped = examine_clips(listed("dog/a.wav", "cat/quiet.wav"), tmp_path, "fail", "fail", 1)
    assert len(clips) == 2
    assert skipped.empty
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert warnings == [f"warning: {tmp_path / 'cat/quiet.wav'} is digital silence"]


def test_examine_clips_accepts_channels_widths_and_containers(tmp_path: Path) -> None:
    for path, subtype, channels in [
        ("dog/stereo.wav", "PCM_16", 2),
        ("dog/eight.wav", "PCM_U8", 1),
        ("dog/wide.wav", "PCM_24", 1),
        ("cat/float.wav", "FLOAT", 1),
        ("cat/packed.flac", "PCM_16", 1),
        ("cat/lossy.ogg", "VORBIS", 2),
    ]:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / path, tone(channels=channels), 8000, subtype=subtype)
    table = listed(
        "dog/stereo.wav", "dog/eight.wav", "dog/wide.wav", "cat/float.wav", "cat/packed.flac", "cat/lossy.ogg"
    )
    clips, skipped = examine_clips(table, tmp_path, "fail", "fail", 1)
    assert skipped.empty
    assert clips["n_samples"].tolist() == [800] * 6  # samples, not samples times channels


def test_examine_clips_names_clips_by_path_without_suffix_in_order(tmp_path: Path) -> None:
    paths = ["dog/b.x.wav", "dog/a.wav", "cat/z.flac"]
    for index, path in enumerate(paths):
        write(tmp_path, path, seed=index)
    clips, _ = examine_clips(listed(*paths), tmp_path, "fail", "fail", 1)
    assert clips["clip_id"].tolist() == ["cat/z", "dog/a", "dog/b.x"]


@pytest.mark.parametrize(
    "paths",
    [
        ["dog/a.wav", "dog/a.flac", "cat/b.wav"],
        ["dog/a.wav.wav", "dog/a.wav", "dog/a.flac", "cat/b.wav"],
        ["dog/a.WAV", "dog/a.wav", "cat/a.wav"],
    ],
)
def test_examine_clips_keeps_ids_unique_where_only_suffixes_differ(tmp_path: Path, paths: list[str]) -> None:
    for index, path in enumerate(paths):
        write(tmp_path, path, seed=index)
    clips, _ = examine_clips(listed(*paths), tmp_path, "fail", "fail", 1)
    assert clips["clip_id"].is_unique
    assert clips["clip_id"].is_monotonic_increasing
    assert sorted(clips["path"]) == sorted(paths)


def test_examine_clips_does_not_depend_on_the_order_of_the_table(mixed: pd.DataFrame, tmp_path: Path) -> None:
    clips, _ = examine_clips(mixed, tmp_path, "skip", "fail", 1)
    again, _ = examine_clips(mixed.iloc[::-1].reset_index(drop=True), tmp_path, "skip", "fail", 1)
    pd.testing.assert_frame_equal(clips, again)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({"dog/a.wav", "cat/b.wav"}, "0 usable clips with 0 labels (none); two are needed"),
        ({"cat/b.wav"}, "1 usable clips with 1 labels (dog); two are needed"),
    ],
)
def test_examine_clips_needs_two_labels(tmp_path: Path, bad: set[str], told: str) -> None:
    for path in ("dog/a.wav", "cat/b.wav"):
        write(tmp_path, path)
    for path in bad:
        (tmp_path / path).write_bytes(b"")
    with pytest.raises(InputError) as caught:
        examine_clips(listed("dog/a.wav", "cat/b.wav"), tmp_path, "skip", "fail", 1)
    assert str(caught.value) == told


def test_read_clips_gives_back_what_was_written(tmp_path: Path) -> None:
    write(tmp_path, "NA/007.wav", seed=1)
    write(tmp_path, "nan/1,5.wav", seed=2)
    clips, _ = examine_clips(listed("NA/007.wav", "nan/1,5.wav"), tmp_path, "fail", "fail", 1)
    write_csv(tmp_path / "clips.csv", clips)
    again = read_clips(tmp_path / "clips.csv")
    assert again.to_dict("list") == clips.to_dict("list")
    assert again["label"].tolist() == ["NA", "nan"]
    assert (again["n_samples"].dtype, again["sample_rate"].dtype) == (np.dtype("int64"), np.dtype("int64"))
