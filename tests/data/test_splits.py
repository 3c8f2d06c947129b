"""Tests of data/splits.py.

Split files and the bundled lists.
"""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from hrdepth.data.splits import SPLITS, read_split, replace_lines, replaced_lines, split_lines
from hrdepth.errors import InputError

COUNTS = {"eigen_zhou/train": 39810, "eigen_zhou/val": 4424, "eigen/test": 697, "eigen_benchmark/test": 652}


def write(folder, text):
    path = folder / "split.txt"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_bundled_lists_have_the_published_counts(name):
    lines = split_lines(name)
    assert len(lines) == COUNTS[name]
    assert len({line[:3] for line in lines}) == len(lines)
    assert {line.side for line in lines} == ({"l"} if name.endswith("test") else {"l", "r"})
    assert read_split(name) == lines
    assert set(SPLITS) == set(COUNTS)


def test_training_and_validation_are_apart_and_test_drives_appear_in_neither():
    train, val = ({line[:3] for line in split_lines(f"eigen_zhou/{part}")} for part in ("train", "val"))
    assert not train & val
    test = {line.folder for line in split_lines("eigen/test")}
    assert len(test) == 28
    assert not test & {line[0] for line in train | val}


@pytest.mark.parametrize(
    ("name", "key"),
    [("eigen/test", "eigen_test_in_order"), ("eigen_benchmark/test", "eigen_benchmark_test_in_order")],
)
def test_test_lists_keep_the_order_of_exchanged_predictions(shared, name, key):
    facts = json.loads((shared / "splits" / "eigen.json").read_text())[key]
    expected = [(f"{drive[:10]}/{drive}", frame, "l") for drive, frames in facts for frame in frames]
    assert [line[:3] for line in split_lines(name)] == expected


def test_training_lists_hold_the_right_frames(shared):
    facts = json.loads((shared / "splits" / "eigen.json").read_text())

    def frames(items):
        ranges = (item if isinstance(item, list) else [item, item] for item in items)
        return {frame for first, last in ranges for frame in range(first, last + 1)}

    val = {
        (key.split()[0], frame, key.split()[1])
        for key, items in facts["eigen_zhou_val"].items()
        for frame in frames(items)
    }
    everything = {
        (drive, frame, side)
        for drive, items in facts["eigen_zhou_all"].items()
        for frame in frames(items)
        for side in "lr"
    }
    for part, expected in (("val", val), ("train", everything - val)):
        lines = split_lines(f"eigen_zhou/{part}")
        assert {(line.folder.split("/")[1], line.frame, line.side) for line in lines} == expected
        assert all(line.folder.startswith(line.folder.split("/")[1][:10] + "/") for line in lines)


def test_a_bundled_list_reads_like_a_file():
    line = split_lines("eigen/test")[0]
    assert line.name == "2011_09_26/2011_09_26_drive_0002_sync 0000000069 l"
    assert (line.frame, line.origin) == (69, "eigen/test")


def test_a_split_file_is_read_line_by_line(tmp_path):
    path = write(tmp_path, "# a comment\n93 000001 r\n\n2011_09_26/drive/ 12\n")
    first, second = read_split(path)
    assert first == ("93", 1, "r", "000001", f"{path}:2")
    assert second == ("2011_09_26/drive", 12, "l", "12", f"{path}:4")
    assert read_split(str(path)) == [first, second]


def test_the_splits_of_kitti_mini_are_read(shared):
    lengths = {path.stem: len(read_split(path)) for path in (shared / "kitti-mini" / "splits").glob("*.txt")}
    assert lengths == {
        "odometry_stereo_train": 52,
        "odometry_train": 881,
        "odometry_val": 58,
        "raw_stereo_train": 38,
        "raw_test": 25,
        "raw_train": 327,
        "raw_val": 40,
    }


@pytest.mark.parametrize(
    ("bad", "hint"),
    [
        ("drive", "folder frame side"),
        ("drive 1 l extra", "folder frame side"),
        ("drive one l", "'one'"),
        ("/etc 1 l", "below the data's root"),
        ("a/../../b 1 l", "below the data's root"),
        ("drive -1 l", "'-1'"),
        ("drive 1.5 l", "'1.5'"),
        ("drive ² l", "'²'"),
        ("drive 1 left", "'left'"),
    ],
)
def test_a_wrong_line_is_named_by_path_and_number(tmp_path, bad, hint):
    path = write(tmp_path, f"drive 1 l\n{bad}\n")
    with pytest.raises(InputError, match=hint) as error:
        read_split(path)
    assert str(error.value).startswith(f"{path}:2: ")


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n"])
def test_an_empty_split_is_refused(tmp_path, text):
    path = write(tmp_path, text)
    with pytest.raises(InputError, match="is empty") as error:
        read_split(path)
    assert str(path) in str(error.value)


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(InputError, match="did you mean 'eigen_zhou/train'"):
        read_split("eigen_zhou/trian")
    with pytest.raises(InputError, match="did you mean 'eigen/test'"):
        split_lines("eigen_test")


def test_unreadable_split_files_are_named(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_split(tmp_path / "none.txt")
    with pytest.raises(InputError, match="cannot be read"):
        read_split(tmp_path)
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match="no text file in UTF-8"):
        read_split(tmp_path / "binary.txt")


def test_replaced_lines_stay_where_they_were(tmp_path):
    file = tmp_path / "train.txt"
    for name in "abc":
        replace_lines(file, name, [f"{name} 1 l", f"{name} 2 l"])
    written = file.stat().st_mtime_ns
    replace_lines(file, "a", ["a 1 l", "a 2 l"])
    assert file.stat().st_mtime_ns == written  # nothing has changed
    replace_lines(file, "b", ["b 3 l"])
    assert file.read_text().splitlines() == ["a 1 l", "a 2 l", "b 3 l", "c 1 l", "c 2 l"]
    replace_lines(file, "a", [])
    assert file.read_text().splitlines() == ["b 3 l", "c 1 l", "c 2 l"]
    for name in "bc":
        replace_lines(file, name, [])
    assert not file.exists()


def test_lines_of_other_recordings_are_kept_where_they_are():
    assert replaced_lines(["a 1 l", "b 1 l", "a 2 l", "", "c 1 l"], "a", ["a 7 l"]) == ["a 7 l", "b 1 l", "", "c 1 l"]
    assert replaced_lines([], "a", ["a 1 l"]) == ["a 1 l"]
    assert replaced_lines(["ab 1 l"], "a", []) == ["ab 1 l"]


def test_what_enters_lines_at_once_loses_none(tmp_path):
    names = [f"drive{number}" for number in range(40)]
    with ThreadPoolExecutor(4) as pool:  # a lock is that of an open file, so that threads are apart as processes are
        list(pool.map(lambda name: replace_lines(tmp_path / "train.txt", name, [f"{name} 1 l"]), names))
    assert sorted(line.folder for line in read_split(tmp_path / "train.txt")) == sorted(names)
