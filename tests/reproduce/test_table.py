"""Tests of reproduce/table.py, context.py, runs.py, measure.py, plan.py, differences.py and provenance_table.py.

Tables beside the paper: rows found, missing, used again, trained; bad input.
"""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import fake_datasets
import tiny_networks
from hrdepth.cli import main
from hrdepth.config import DepthProtocol, GroundTruthConfig, NetworkConfig, ReproduceTableConfig
from hrdepth.errors import InputError, TrainingStopped
from hrdepth.io.files import file_sha256, read_json, write_json
from hrdepth.networks import build_network
from hrdepth.paper import paper_table, row_of
from hrdepth.reproduce import measure as measuring
from hrdepth.reproduce.context import Context
from hrdepth.reproduce.differences import find_differences, over_drives, paired, spread
from hrdepth.reproduce.measure import RowMeasurement
from hrdepth.reproduce.plan import plan_training
from hrdepth.reproduce.runs import find_weights, learned_from, train_missing
from hrdepth.reproduce.table import reproduce_table
from hrdepth.weights.checkpoint import save_checkpoint

LITE = NetworkConfig("lite_hrdepth")
BASE, OURS, STEREO = "kitti-monodepth2-m-640x192", "kitti-hrdepth-m-640x192", "kitti-hrdepth-ms-640x192"


def weights(path, seed=0, metres_per_unit=None, network=tiny_networks.NETWORK):
    torch.manual_seed(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, build_network(network), network, size=(64, 96), metres_per_unit=metres_per_unit)
    return path


# For trainings that do not begin: an objective whose memory is counted fast.
ONE_SCALE = {"frames": [1], "options": {"scales": [0]}}
TINY = {
    "network": {"options": {"backbone": "test_efficientnet", "weights": None}},
    "pose_network": {"options": {"backbone": "test_resnet", "weights": None}},
}


@pytest.fixture
def config(tmp_path):
    data = fake_datasets.drive(tmp_path / "data", frames=5)
    return ReproduceTableConfig(
        out=str(tmp_path / "out"),
        data=GroundTruthConfig("drive", str(data)),
        protocol=DepthProtocol(crop="none"),
        runs=str(tmp_path / "runs"),
        bootstrap=50,
        device="cpu",
    )


def content(config, name="table4"):
    found = json.loads((Path(config.out) / f"{name}.json").read_text())
    return found, {row["paper"]["name"]: row for row in found["rows"]}


def test_rows_are_measured_reported_missing_or_reused(config, monkeypatch, capsys):
    weights(Path(config.runs) / BASE / "best.safetensors")
    given = weights(Path(config.runs) / "elsewhere.safetensors", seed=1, network=LITE)
    config = replace(config, weights=[f"{OURS}={given}"], format="markdown")
    reproduce_table("table4", config)
    printed = capsys.readouterr().out
    assert "| +dense SC |" in printed
    assert printed.count("| not measured |") == 6  # three rows, in the table and in how it was measured
    assert "no weights in" in printed
    assert "Other images than the paper's" in printed
    found, rows = content(config)
    assert [row["state"] for row in found["rows"]] == ["measured", *["not measured"] * 3, "measured"]
    run = rows[OURS]["measured"][0]["runs"][0]
    assert run["weights"] == "runs/elsewhere.safetensors"
    assert run["parameters"]["run"] == 3109964
    assert run["images"] == 3
    assert set(found["protocol"]) == {"min_depth", "max_depth", "crop", "scaling", "post_process"}
    # The drawn depth has boundaries, but no points whose neighbourhood differs by more than a factor of 1.5.
    assert {one["metric"] for one in found["differences"]} == {"abs_rel", "rmse", "delta1", "boundary_f1"}
    assert rows[OURS]["measured"][0]["mean"]["near_edge_abs_rel"] is None
    assert "At edges of the true depth" in printed
    assert r"\begin{table}" in (Path(config.out) / "table4.tex").read_text()
    # The same again is read, not measured; in another table too.
    monkeypatch.setattr(measuring, "evaluate_network", None)
    reproduce_table("table4", config)
    assert content(config)[1][OURS]["measured"] == rows[OURS]["measured"]
    reproduce_table("table2", config)
    assert content(config, "table2")[1][OURS]["measured"][0]["mean"] == rows[OURS]["measured"][0]["mean"]
    # Compared with another row.
    reproduce_table("table4", replace(config, reference=OURS))
    turned = {(one["metric"], one["over"]): one["measured"] for one in content(config)[0]["differences"]}
    straight = {(one["metric"], one["over"]): -one["measured"] for one in found["differences"]}
    assert turned == pytest.approx(straight)
    # Other weights, another protocol or other data are measured.
    fewer = Path(config.data.root) / "fewer.txt"
    fewer.write_text("".join(Path(config.data.root, "train.txt").read_text().splitlines(keepends=True)[:2]))
    for changed in (
        replace(config, protocol=DepthProtocol()),
        replace(config, data=replace(config.data, split=str(fewer))),
    ):
        with pytest.raises(TypeError):
            reproduce_table("table4", changed)
    weights(given, seed=2)
    with pytest.raises(TypeError):
        reproduce_table("table4", config)


def test_stereo_rows_are_also_measured_in_metres(config):
    file = weights(Path(config.runs) / "net.safetensors", metres_per_unit=5.4)
    reproduce_table("table2", replace(config, weights=[f"{STEREO}={file}"]))
    median, fixed = content(config, "table2")[1][STEREO]["measured"]
    assert (median["how"], fixed["how"]) == ("measured", "measured, depth x 5.4")
    assert fixed["runs"][0]["protocol"]["scaling"] == 5.4
    assert median["mean"]["abs_rel"] != fixed["mean"]["abs_rel"]


def test_rows_published_in_metres_use_that_factor_if_the_weights_have_none(config):
    name = "kitti-monodepth2-ms-640x192"
    file = weights(Path(config.runs) / "net.safetensors")
    reproduce_table("table2", replace(config, weights=[f"{name}={file}", f"{STEREO}={file}"]))
    rows = content(config, "table2")[1]
    assert [one["how"] for one in rows[name]["measured"]] == ["measured", "measured, depth x 5.4"]
    assert [one["how"] for one in rows[STEREO]["measured"]] == ["measured"]


def stopped(folder, message="the loss is NaN"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stopped.json").write_text(json.dumps({"message": message, "step": 7}))


def test_missing_and_stopped_seeds_are_reported_and_one_seed_gives_no_verdict(config, capsys):
    runs, fse = Path(config.runs), "table4-fse"
    for seed in (0, 1, 2):
        weights(runs / f"{BASE}-seed{seed}" / "best.safetensors", seed)
    for seed in (0, 2):
        weights(runs / f"{OURS}-seed{seed}" / "best.safetensors", 10 + seed)
    weights(runs / f"{fse}-seed1" / "best.safetensors", 21)
    stopped(runs / f"{OURS}-seed1")
    stopped(runs / f"{BASE}-seed2", "a pose explodes")
    reproduce_table("table4", replace(config, seeds=[0, 1, 2], format="markdown"))
    printed = capsys.readouterr().out
    assert [printed.count(f"| measured, {count} |") for count in ("3 seeds", "2 seeds", "1 seed")] == [1, 1, 1]
    assert "95 % intervals over seeds, where a row has one over images" in printed
    note = f"seeds 0, 2 of 0, 1, 2; seed 1: stopped by the guard: the loss is NaN; remove {runs / f'{OURS}-seed1'}"
    assert note in printed
    assert "seed 2: stopped by the guard: a pose explodes" in printed  # it left weights
    assert "seed 1 of 0, 1, 2; seeds 0, 2: no weights in" in printed
    found, rows = content(config)
    assert note in rows[OURS]["reason"]
    over = {(one["name"], one["over"], one["seeds"]) for one in found["differences"]}
    assert over == {(OURS, "seeds", 2), (fse, "pictures", 1)}
    verdicts = {one["verdict"] for one in found["differences"] if one["name"] == fse}
    assert verdicts == {"one seed"}
    assert "| images | one seed |" in printed


def test_the_last_epochs_weights_are_measured_if_asked_for(config, capsys):
    best = weights(Path(config.runs) / BASE / "best.safetensors", seed=0)
    last = weights(best.with_name("last.safetensors"), seed=1)
    other = weights(Path(config.runs) / OURS / "best.safetensors", seed=2)
    truth = ["--data.kind", "drive", "--data.root", config.data.root, "--protocol.crop", "none", "--device", "cpu"]
    command = ["reproduce", "table4", *truth, "--out", config.out, "--runs", config.runs, "--bootstrap", "40"]
    for option in (["--weights", "last"], ["--weights=last"], ["--checkpoint", "last"]):
        assert main([*command, *option]) == 0
        (run,) = content(config)[1][BASE]["measured"][0]["runs"]
        assert (run["weights"], run["weights_sha256"]) == (f"{BASE}/last.safetensors", file_sha256(last))
        assert content(config)[1][OURS]["state"] == "not measured"
        (Path(config.out) / "table4.json").unlink()
    capsys.readouterr()
    assert main(command) == 0
    measured = [content(config)[1][name]["measured"][0]["runs"][0]["weights_sha256"] for name in (BASE, OURS)]
    assert measured == [file_sha256(best), file_sha256(other)]


def test_given_files_do_not_pair_with_trainings(config, capsys):
    runs = Path(config.runs)
    for seed in (0, 1):
        weights(runs / f"{BASE}-seed{seed}" / "best.safetensors", seed)
    files = [str(weights(runs / f"{name}.safetensors", 5)) for name in "ab"]
    given = [f"{OURS}={','.join(files)}", f"table4-fse={','.join(reversed(files))}"]
    config = replace(config, seeds=[0, 1], weights=given, format="markdown")
    reproduce_table("table4", config)
    found, rows = content(config)
    assert found["differences"] == []
    assert found["not_compared"] == ["table4-fse", OURS]
    assert capsys.readouterr().out.count("not compared: no seed in common") == 2
    assert [run["seed"] for run in rows[OURS]["measured"][0]["runs"]] == [None, None]
    # Given with given pair by their places.
    reproduce_table("table4", replace(config, weights=[*given, f"{BASE}={','.join(files)}"]))
    found, _ = content(config)
    assert {one["seeds"] for one in found["differences"]} == {2}


def test_a_given_network_is_named_and_compared_with_the_row(config, capsys):
    runs, packnet, dense = Path(config.runs), "packnet-m-640x192", "table4-dense"
    lite = weights(runs / "lite.safetensors", network=LITE)
    reproduce_table("table2", replace(config, weights=[f"{packnet}={lite}"], format="markdown"))
    printed = capsys.readouterr().out
    assert "| lite_hrdepth | 96x64 |" in printed
    assert "its network is lite_hrdepth, not the row's packnet" in printed
    assert "trained with this package's objective" not in printed
    run = content(config, "table2")[1][packnet]["measured"][0]["runs"][0]
    assert run["network"] == {"name": "lite_hrdepth", "options": {}}
    # Options count with their defaults; a row's own network has no note.
    own = {**tiny_networks.NETWORK.options, "skip": "dense"}
    plain = weights(runs / "plain.safetensors", network=NetworkConfig("hrdepth", own))
    reproduce_table("table4", replace(config, weights=[f"{dense}={plain}"], format="markdown"))
    printed = capsys.readouterr().out
    assert "| hrdepth (backbone: test_efficientnet, skip: dense) |" in printed
    assert "its network has other options than the row's: backbone, fusion" in printed
    lite_row = row_of("kitti-lite-hrdepth-m-640x192")
    assert find_weights(lite_row, Context(config, {lite_row.name: [lite]}), [None])[0][0].note == ""
    # Weights where the row's training leaves them have the row's note; their network is still compared with the row.
    weights(runs / packnet / "best.safetensors", network=LITE)
    reproduce_table("table2", replace(config, format="markdown"))
    printed = capsys.readouterr().out
    assert "measured: its network, trained with this package's objective" in printed
    assert "its network is lite_hrdepth, not the row's packnet" in printed


def test_a_file_without_a_network_is_refused(config):
    file = Path(config.data.root) / "text.safetensors"
    file.write_text("text")
    with pytest.raises(InputError, match="text.safetensors is not a weights file of hrdepth"):
        reproduce_table("table4", replace(config, weights=[f"table4-fse={file}"]))


def test_rows_without_weights_are_reported_as_not_measured(config, capsys):
    reproduce_table("table1", replace(config, data=None))
    found, _ = content(config, "table1")
    assert [row["state"] for row in found["rows"]] == ["not measured"] * 2
    assert "0.877" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"weights": ["nonsense"]}, "must read NAME=FILE"),
        ({"weights": ["table4-fsee=x.safetensors"]}, "x.safetensors does not exist"),
        ({"rows": ["nothing-*"]}, "no row has such a name"),
        ({"data": GroundTruthConfig("drive", "nowhere")}, "nowhere does not exist"),
        (
            {"reference": "kitti"},
            "unknown row of table4 'kitti': .*Valid: kitti-hrdepth-m-640x192, ",
        ),
        ({"train": True, "configs": "nowhere"}, "--configs"),
        ({"train": True, "training": {"batch_sizes": 3}}, "batch_sizes"),
        ({"train": True, "rows": [BASE], "training": {**TINY, "objective": ONE_SCALE}}, "kitti/raw"),
        ({"train": True, "training": {"train": None}}, "required: training.train"),
        ({"train": True, "training": {"train": 3}}, "training.train.*Expected a list. Got value: 3"),
        ({"train": True, "training": {"train": [{"root": "x"}]}}, "training.train.*required: dataset"),
        ({"train": True, "training": {"size": 3}}, "training.size.*Got value: 3"),
        ({"train": True, "training": {"network": 3}}, "network is 3; give a section"),
        ({"train": True, "training": {"pose_network": [1]}}, r"pose_network is \[1\]; give a section"),
    ],
)
def test_impossible_settings_are_refused_with_a_message(config, change, sentence):
    with pytest.raises(InputError, match=sentence) as refusal:
        reproduce_table("table4", replace(config, **change))
    assert len(str(refusal.value).splitlines()) <= 2


def test_data_that_are_rendered_first_need_not_be_there(config, tmp_path, monkeypatch, capsys):
    rendered = []
    monkeypatch.setattr("hrdepth.synthetic.render_drive", lambda **drive: rendered.append(drive["name"]))
    root = tmp_path / "streets"
    arguments = ["reproduce", "table4", "--out", str(tmp_path / "o"), "--data.kind", "drive", "--data.root", str(root)]
    assert main(arguments) == 2
    assert f"{root} does not exist" in capsys.readouterr().err
    assert main([*arguments, "--render", f"[{{root: {root}, name: c}}]"]) == 2  # as nothing was rendered here
    assert rendered == ["c"]


def test_unknown_row_names_are_refused(config):
    file = weights(Path(config.runs) / "net.safetensors")
    with pytest.raises(InputError, match="did you mean 'table4-fse'"):
        reproduce_table("table4", replace(config, weights=[f"table4-fsee={file}"]))
    with pytest.raises(InputError, match="no true depth to compare them with"):
        reproduce_table("table4", replace(config, weights=[f"table4-fse={file}"], data=None))


def test_invalid_settings_are_refused():
    for change in ({"resolution": 0}, {"bootstrap": 0}, {"seeds": [1, 1]}):
        with pytest.raises(InputError):
            ReproduceTableConfig(out="x", **change)


def test_a_folder_with_other_files_is_left_unchanged(config):
    Path(config.out).mkdir()
    (Path(config.out) / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        reproduce_table("table1", config)


def test_training_settings_override_the_recipe(config):
    over = {"network": {"options": {"weights": None}}, "epochs": 3, "workers": 0}
    config = replace(config, training=over, roots={"kitti_raw": "/data/kitti"}, resolution=0.3, seeds=[4])
    plan = plan_training(config, row_of(OURS), 4)
    assert (plan.config.size, plan.config.epochs, plan.config.seed) == ((64, 192), 3, 4)
    assert plan.config.network == NetworkConfig("hrdepth")
    assert {part.root for part in (*plan.config.train, *plan.config.validation)} == {"/data/kitti"}
    assert Path(plan.config.output) == Path(config.runs) / f"{OURS}-seed4"
    packnet = plan_training(config, row_of("packnet-m-1280x384"), 4).config
    assert (packnet.network, packnet.size) == (NetworkConfig("packnet"), (128, 384))


def test_a_row_is_trained_after_its_teacher_or_initial_weights(config):
    taught = plan_training(config, row_of("kitti-lite-t-1024x320"))
    assert taught.before == ("kitti-hrdepth-m-1024x320",)
    teacher = Path(taught.config.objective.options["teacher"])
    assert teacher == Path(config.runs) / "kitti-hrdepth-m-1024x320" / "best.safetensors"
    given = {"kitti-hrdepth-m-1024x320": [Path("teacher.safetensors")]}
    taught = plan_training(config, row_of("kitti-lite-t-1024x320"), given=given)
    assert (taught.before, taught.config.objective.options["teacher"]) == ((), "teacher.safetensors")
    tuned = plan_training(config, row_of("cs-k-hrdepth-m-640x192"), 1)
    assert tuned.before == ("cityscapes-hrdepth-m-640x192",)
    assert tuned.config.init == str(Path(config.runs) / "cityscapes-hrdepth-m-640x192-seed1" / "best.safetensors")


def settings(config, **training):
    """Command line arguments: a row, two seeds, 64x64, on the miniature drive, longer as trainings need it."""
    root = str(fake_datasets.drive(Path(config.data.root), frames=10))
    part = {"dataset": "folder", "root": root, "split": f"{root}/train.txt", "options": {"baseline": 0.1}}
    training = {
        **TINY, "objective": {"frames": [-1, 1, "s"]},
        "train": [part], "validation": [{**part, "split": f"{root}/few.txt"}],
        "batch_size": 4, "epochs": 1, "workers": 0, "log": {"panels_every_steps": 0}, "device": "cpu", **training,
    }  # fmt: skip
    (Path(root) / "few.txt").write_text("drive 2 l\ndrive 5 l\n")
    content = {
        "out": config.out, "runs": config.runs, "data": {"kind": "drive", "root": root},
        "protocol": {"crop": "none"}, "rows": [BASE], "seeds": [0, 1], "resolution": 0.1, "bootstrap": 40,
        "training": training,
    }  # fmt: skip
    file = Path(root) / "reproduce.yaml"
    file.write_text(yaml.safe_dump(content))
    return ["reproduce", "table4", "--config", str(file)]


@pytest.mark.slow
def test_missing_runs_are_trained_and_resumed(config, monkeypatch, capsys):
    training = pytest.importorskip("hrdepth.training", reason="training needs lightning")
    assert main([*settings(config), "--train"]) == 0
    first = content(config)[1][BASE]["measured"][0]
    assert [run["seed"] for run in first["runs"]] == [0, 1]
    assert first["interval_over"] == "seeds"
    assert first["runs"][0]["size"] == [64, 64]
    assert [run["note"] for run in first["runs"]] == ["", ""]
    low, high = first["interval"]["abs_rel"]
    assert low <= first["mean"]["abs_rel"] <= high
    # More epochs: both runs go on, and are measured anew.
    longer = settings(config, epochs=2)
    assert main(longer) == 0
    assert "after 1 of 2 epochs" in capsys.readouterr().out
    assert main([*longer, "--train"]) == 0
    second = content(config)[1][BASE]["measured"][0]
    assert [run["weights_sha256"] for run in second["runs"]] != [run["weights_sha256"] for run in first["runs"]]
    resumed = json.loads((Path(config.runs) / f"{BASE}-seed0" / "run.json").read_text())["resumed"]
    assert resumed[0]["epoch"] == 1
    # Nothing is missing: nothing is trained.
    monkeypatch.setattr(training, "train", None)
    assert main([*longer, "--train"]) == 0
    capsys.readouterr()
    # Weights of other settings are measured, with a note.
    assert main(settings(config, epochs=2, batch_size=2)) == 0
    assert "trained with other settings of batch_size" in capsys.readouterr().out
    # On another machine: what was measured counts without the weights, if the training would be the same.
    longer = settings(config, epochs=2)
    shutil.rmtree(Path(config.runs) / f"{BASE}-seed0")
    assert main([*longer, "--train"]) == 0
    third = content(config)[1][BASE]["measured"][0]
    assert third["mean"] == second["mean"]
    assert [run["seed"] for run in third["runs"]] == [0, 1]
    assert [len(run["curve"]) for run in third["runs"]] == [2, 2]  # a validation an epoch
    shutil.rmtree(config.runs)
    contents = {file: read_json(file) for file in (Path(config.out) / "measured").glob("*.json")}
    contents = {file: one for file, one in contents.items() if one["training"].get("settings", {}).get("epochs") == 2}
    assert len(contents) == 2
    for file, one in contents.items():  # as an older version wrote them
        write_json(file, {key: value for key, value in one.items() if key != "training"})
    assert main([*longer, "--train"]) == 0
    assert content(config)[1][BASE]["measured"][0]["mean"] == second["mean"]
    assert {file: read_json(file) for file in contents} == contents
    capsys.readouterr()
    assert main(settings(config, epochs=2, batch_size=2)) == 0
    assert "no weights in" in capsys.readouterr().out
    assert main([*longer, "--checkpoint", "last"]) == 0  # of which nothing was measured
    assert "no weights in" in capsys.readouterr().out


def test_settings_of_single_rows_go_over_those_of_all(config):
    own = replace(config, training={**config.training, "epochs": 3}, row_training={BASE: {"epochs": 5}})
    assert plan_training(own, row_of(BASE)).config.epochs == 5
    assert plan_training(own, row_of("table4-dense")).config.epochs == 3
    with pytest.raises(InputError, match=f"did you mean '{BASE}'"):
        reproduce_table("table4", replace(config, row_training={f"{BASE}x": {"epochs": 5}}))


def test_a_training_is_known_by_the_content_of_the_weights_that_it_starts_from(config, tmp_path):
    start = tmp_path / "start.safetensors"
    own = replace(config, training={**config.training, "init": str(start)})
    learned = []
    for content in (b"a", b"b"):
        start.write_bytes(content)
        learned.append(learned_from(row_of(BASE), Context(own), 0))
    assert "init" not in learned_from(row_of(BASE), Context(config), 0)
    assert learned[0]["init"] != learned[1]["init"]


def test_a_run_that_the_guard_stops_does_not_end_the_others(config, monkeypatch, capsys, caplog):
    training = pytest.importorskip("hrdepth.training", reason="training needs lightning")
    begun = []

    def stop(config):
        begun.append(Path(config.output).name)
        stopped(Path(config.output))
        raise TrainingStopped("the loss is NaN")

    monkeypatch.setattr(training, "train", stop)
    command = [*settings(config, objective=ONE_SCALE), "--train", "--format", "markdown"]
    runs = Path(config.runs)
    for _ in range(2):  # the second time they are left alone, and the table comes all the same
        caplog.clear()
        assert main(command) == 0
        printed = capsys.readouterr().out
        assert f"seed 1: stopped by the guard: the loss is NaN; remove {runs / f'{BASE}-seed1'} to try again" in printed
    assert begun == [f"{BASE}-seed0", f"{BASE}-seed1"]
    assert f"remove {runs / f'{BASE}-seed0'} to try again" in caplog.text
    # What a killed run left is not trained over, and keeps no other from being trained.
    (runs / f"{BASE}-seed0" / "stopped.json").rename(runs / f"{BASE}-seed0" / "metrics.csv")
    shutil.rmtree(runs / f"{BASE}-seed1")
    assert main(command) == 0
    killed = f"seed 0: {runs / f'{BASE}-seed0'} holds a run without a training checkpoint; if it was killed"
    assert killed in capsys.readouterr().out
    assert begun[2:] == [f"{BASE}-seed1"]


def test_a_row_whose_teacher_was_stopped_is_not_trained(config, monkeypatch):
    training = pytest.importorskip("hrdepth.training", reason="training needs lightning")
    monkeypatch.setattr(training, "train", None)
    row = row_of("kitti-lite-t-1024x320")
    teacher = Path(config.runs) / "kitti-hrdepth-m-1024x320"
    stopped(teacher)
    train_missing(row, Context(config), [None])
    found, reason = find_weights(row, Context(config), [None])
    assert (found, reason.partition(":")[0]) == ([], "it needs kitti-hrdepth-m-1024x320 first")
    assert f"remove {teacher} to try again" in reason


@pytest.mark.slow
def test_an_interrupted_run_with_a_time_limit_is_resumed(config, monkeypatch, capsys):
    training = pytest.importorskip("hrdepth.training", reason="training needs lightning")
    command = [*settings(config, epochs=3, max_minutes=100), "--train", "--seeds", "[0]", "--format", "markdown"]
    from hrdepth.training.weight_files import WeightFiles

    end = WeightFiles.on_validation_end

    def interrupt(self, trainer, module):
        end(self, trainer, module)
        signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(WeightFiles, "on_validation_end", interrupt)
        assert main(command) == 130
    folder = Path(config.runs) / f"{BASE}-seed0"
    assert "ended" not in json.loads((folder / "run.json").read_text())
    assert main(command) == 0
    assert json.loads((folder / "run.json").read_text())["ended"] == "epochs"
    assert "epochs |" not in capsys.readouterr().out
    # One that its time ended is finished, as long as there is a limit.
    (folder / "run.json").write_text(json.dumps({"ended": "max_minutes"}))
    monkeypatch.setattr(training, "train", None)
    more = [*settings(config, epochs=4, max_minutes=100), "--train", "--seeds", "[0]", "--format", "markdown"]
    assert main(more) == 0
    assert "after 3 of 4 epochs, when its time was over" in capsys.readouterr().out
    with pytest.raises(TypeError):
        main([*settings(config, epochs=4), "--train", "--seeds", "[0]"])


def test_a_row_trained_without_cityscapes_is_noted(config):
    row = row_of("sfmlearner-m-416x128")
    weights(Path(config.runs) / row.name / "best.safetensors")
    before = plan_training(config, row).before
    assert before == ("cityscapes-sfmlearner-m-416x128",)
    assert "CityScapes" not in find_weights(row, Context(config), [None])[0][0].note
    config = replace(config, training={"init": None})
    assert plan_training(config, row).before == ()
    assert find_weights(row, Context(config), [None])[0][0].note.startswith("without CityScapes")


def measurement(values, seed, names=None):
    images = dict.fromkeys(names or map(str, range(len(values))))
    content = {"seed": seed, "place": None, "pictures": images}
    return RowMeasurement(np.array(values)[:, None].repeat(9, axis=1), content)


STREETS = [f"street_{street} {frame:06d} l" for street in (1, 2, 3) for frame in (0, 1)]


def test_intervals_over_drives_are_of_each_drives_mean_over_seeds_and_images():
    base = [measurement([0.3] * 6, seed, STREETS) for seed in (0, 1)]
    # Differences by drive, mean over both seeds and both images: -0.1, -0.2, -0.3.
    ours = [
        measurement([0.2, 0.2, 0.1, 0.1, 0.0, 0.0], 0, STREETS),
        measurement([0.3, 0.1, 0.2, 0.0, 0.1, -0.1], 1, STREETS),
    ]
    found = over_drives(paired(ours, base))
    assert (found.over, found.seeds, found.drives) == ("drives", 2, 3)
    assert found.mean[0] == pytest.approx(-0.2)
    # Student's t with two degrees of freedom: 4.303 x 0.1 / sqrt(3).
    np.testing.assert_allclose(found.interval[0], [-0.2 - 0.2484, -0.2 + 0.2484], atol=1e-4)
    assert over_drives(paired([measurement([0.1, 0.2], 0)], [measurement([0.3, 0.3], 0)])) is None


def test_a_difference_over_drives_is_undecided_where_seeds_differ_in_sign():
    base = [measurement([0.3] * 6, seed, STREETS) for seed in (0, 1)]
    same = [measurement([0.2] * 6, 0, STREETS), measurement([0.25] * 6, 1, STREETS)]
    opposed = [measurement([0.1] * 6, 0, STREETS), measurement([0.31] * 6, 1, STREETS)]

    def verdicts(ours):
        found, _ = find_differences(paper_table("table4"), {BASE: base, OURS: ours}, 10, 2)
        return {one.metric: one.verdict for one in found if one.over == "drives"}

    # Lower by 0.075 and 0.095 in every street: the paper has the same sign in Abs Rel and RMSE, the opposite in delta1.
    wanted = {"abs_rel": "agrees", "rmse": "agrees", "delta1": "disagrees"}
    assert verdicts(same) == {**wanted, "near_edge_abs_rel": "better", "boundary_f1": "worse"}
    assert set(verdicts(opposed).values()) == {"undecided"}


def test_a_drive_without_edges_is_left_out_of_the_interval_over_drives():
    base, ours = measurement([0.3] * 6, 0, STREETS), measurement([0.2, 0.2, 0.1, 0.1, 0.0, 0.0], 0, STREETS)
    ours.values[4:, 0] = np.nan  # the third drive
    found = over_drives(paired([ours], [base]))
    assert found.mean[0] == pytest.approx(-0.15)
    # Student's t with one degree of freedom: 12.706 x 0.0707 / sqrt(2).
    np.testing.assert_allclose(found.interval[0], [-0.15 - 0.6353, -0.15 + 0.6353], atol=1e-4)
    ours.values[2:, 0] = np.nan
    assert np.isnan(over_drives(paired([ours], [base])).interval[0]).all()
    differences, _ = find_differences(paper_table("table4"), {BASE: [base], OURS: [ours]}, 10, 1)
    assert ("abs_rel", "drives") not in {(one.metric, one.over) for one in differences}


def test_intervals_are_over_seeds_and_paired_images():
    ours = [measurement([0.1, 0.3], 0), measurement([0.2, 0.4], 1), measurement([0.3, 0.5], 2)]
    found = spread(ours, 10)
    assert found.mean[0] == pytest.approx(0.3)
    assert found.deviation[0] == pytest.approx(0.1)
    # Student's t with two degrees of freedom: 4.303 x 0.1 / sqrt(3).
    np.testing.assert_allclose(found.interval[0], [0.3 - 0.2484, 0.3 + 0.2484], atol=1e-4)
    base = [measurement([0.15, 0.35], 0), measurement([0.25, 0.45], 1), measurement([0.35, 0.55], 2)]
    between = spread(paired(ours, base), 10)
    assert between.mean[0] == pytest.approx(-0.05)
    np.testing.assert_allclose(between.interval[0], -0.05, atol=1e-9)  # the same in each pair
    assert paired(ours, [measurement([0.1], 0)]) == []
    one = spread(ours[:1], 1000)
    assert (one.over, one.seeds) == ("pictures", 1)
    assert 0.1 <= one.interval[0, 0] < one.interval[0, 1] <= 0.3
