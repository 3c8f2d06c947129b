"""`hrdepth.cli.argument_errors`: wrong arguments and settings get one sentence."""

import pytest

from hrdepth.cli.parser import parse


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("predict x --batch foo", "batch: expected a whole number, got 'foo' (see `hrdepth predict --help`)"),
        ("predict x --threads 1.5", "threads: expected a whole number or null, got '1.5'"),
        ("predict x --size 640", "size: expected a size such as 640x192 (width x height) or '[192, 640]' or null, got"),
        ("predict x --depth_png maybe", "--depth_png 'maybe': expected true or false"),
        ("predict x --batch_size 3", "unknown option or argument '--batch_size 3'; did you mean --batch?"),
        ("predict", "missing: input (see"),
        (
            "train",
            "missing: train, validation, output; give them by --config, a file or a recipe, or a prepared folder by",
        ),
        ("predictt x", "unknown command 'predictt'; did you mean predict? (see `hrdepth --help`)"),
        ("prepare", "video, cache"),
        ("evaluate --protocol.crop eigen", "protocol.crop: expected one of garg, none or null, got 'eigen'"),
        ("train --augment 3", "augment: expected a section of settings (flip, zoom, crop"),
        ("train --train 3", "train: expected a list, '[...]', each a section of settings (dataset, root"),
        ("train --optimiser.learning_rte 3", "did you mean --optimiser.learning_rate?"),
        ("train --network.options 3", "network.options: expected settings, '{name: value}', got '3'"),
    ],
)
def test_a_wrong_argument_gets_one_sentence(arguments, sentence, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(arguments.split())
    printed = capsys.readouterr().err
    assert stop.value.code == 2
    assert printed.startswith("hrdepth: ")
    assert sentence in printed
    assert printed.count("\n") == 1
    assert "<class" not in printed


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ("optimiser: {learning_rate: fast}", "optimiser.learning_rate: expected a number, got 'fast'"),
        ("optimiser: {learning_rates: 1}", "'optimiser.learning_rates'; did you mean optimiser.learning_rate?"),
        ("train: [{dataset: 3}]", "dataset"),
    ],
)
def test_a_wrong_setting_of_a_file_gets_one_sentence(settings, sentence, tmp_path, capsys):
    (tmp_path / "run.yaml").write_text(settings)
    with pytest.raises(SystemExit):
        parse(["train", "--config", str(tmp_path / "run.yaml")])
    printed = capsys.readouterr().err
    assert sentence in printed
    assert printed.count("\n") == 1
    assert "<class" not in printed


def test_a_long_value_is_cut(capsys):
    with pytest.raises(SystemExit):
        parse(["predict", "x", "--batch", "a" * 5000])
    assert len(capsys.readouterr().err) < 500
