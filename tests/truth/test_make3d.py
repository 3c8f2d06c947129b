"""Tests of truth/make3d.py.

Make3D, on a miniature of its layout.
"""

import numpy as np
import pytest
from PIL import Image

from hrdepth.cli import main
from hrdepth.config import DepthProtocol, EvaluateConfig, GroundTruthConfig
from hrdepth.errors import InputError
from hrdepth.evaluation.command import evaluate
from hrdepth.evaluation.evaluate import evaluate_network
from hrdepth.truth import build_ground_truth
from hrdepth.truth.make3d import CROP
from hrdepth.truth.matlab import read_matlab_array


def make3d(root):
    io = pytest.importorskip("scipy.io")
    (root / "Test134").mkdir()
    (root / "Gridlaserdata").mkdir()
    grid = np.zeros((55, 305, 4))
    grid[:, :, 3] = 1 + np.arange(55)[:, None]
    io.savemat(root / "Gridlaserdata" / "depth_sph_corr-math1.mat", {"Position3DGrid": grid})
    image = np.repeat(np.linspace(0, 255, 2272 // 2).astype(np.uint8)[:, None], 1704 // 2, axis=1)
    Image.fromarray(image).convert("RGB").save(root / "Test134" / "img-math1.jpg", quality=100)
    return GroundTruthConfig("make3d", str(root))


def test_only_the_middle_of_make3d_images_is_compared(tmp_path):
    truths = build_ground_truth(make3d(tmp_path))
    (truth,) = truths
    # Of 2272 rows 710 to 1562, of the laser's 55 those that these touch: 17 to 37.
    assert CROP == (710 / 2272, 1562 / 2272)
    assert truth.depth.shape == (21, 305)
    assert truth.depth[:, 0].tolist() == list(range(18, 39))
    seen = []

    def predict(image):
        seen.append(image)
        return np.full((4, 8), 0.1, dtype=np.float32)

    evaluate_network(predict, truths, DepthProtocol(crop="none"), progress=False)
    assert seen[0].size == (852, 426)  # twice as wide as high
    grey = np.asarray(seen[0].convert("L"))[:, 0] / 255
    assert (grey[0], grey[-1]) == pytest.approx((0.3125, 0.6875), abs=0.01)


def test_make3ds_depth_range_holds_with_another_scaling(tmp_path, capsys):
    data = make3d(tmp_path)
    np.save(tmp_path / "predictions.npy", np.full((1, 4, 8), 0.1, dtype=np.float32))
    given = ["--disparities", str(tmp_path / "predictions.npy"), "--data.kind", "make3d", "--data.root", data.root]
    assert main(["evaluate", *given, "--protocol.scaling", "5.4"]) == 0
    assert "0.001 to 70 m, crop none" in capsys.readouterr().out
    config = EvaluateConfig(data, disparities=str(tmp_path / "predictions.npy"))
    assert evaluate(config).protocol == DepthProtocol(max_depth=70.0, crop="none")


def test_training_images_of_make3d_are_refused_as_test_images(tmp_path, caplog):
    data = make3d(tmp_path)
    for folder in ("Train400Img", "Train400Depth"):
        (tmp_path / folder).mkdir()
    (tmp_path / "Train400Depth" / "depth_sph_corr-learned.mat").write_bytes(b"")
    # Its depth lies among the others'; its image says what it is.
    (tmp_path / "Gridlaserdata" / "depth_sph_corr-seen.mat").write_bytes(b"")
    (tmp_path / "Train400Img" / "img-seen.jpg").write_bytes(b"")
    truths = build_ground_truth(data)
    assert [truth.name for truth in truths] == ["math1"]
    assert "holds 1 of Make3D's test images, not 134" in caplog.text


def test_files_of_other_formats_are_refused(tmp_path):
    with pytest.raises(InputError, match="no depth_sph_corr"):
        build_ground_truth(GroundTruthConfig("make3d", str(tmp_path)))
    with pytest.raises(InputError, match="needs root"):
        build_ground_truth(GroundTruthConfig("make3d"))
    with pytest.raises(InputError, match="no split"):
        build_ground_truth(GroundTruthConfig("make3d", str(tmp_path), split="a"))
    io = pytest.importorskip("scipy.io")
    (tmp_path / "depth_sph_corr-a.mat").write_bytes(b"nothing")
    io.savemat(tmp_path / "depth_sph_corr-b.mat", {"Position3DGrid": np.zeros((3, 3))})
    truths = build_ground_truth(GroundTruthConfig("make3d", str(tmp_path)))
    for index, hint in enumerate(("damaged", r"must be \(rows,columns,4\)")):
        with pytest.raises(InputError, match=hint):
            truths[index]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.uint8, np.int16])
def test_arrays_of_matlab_files_are_read_as_scipy_reads_them(tmp_path, compressed, kind):
    io = pytest.importorskip("scipy.io")
    other, wanted = np.arange(6.0).reshape(2, 3), (np.arange(60) % 7).astype(kind).reshape(3, 5, 4)
    io.savemat(tmp_path / "a.mat", {"other": other, "wanted": wanted, "w": 3}, do_compression=compressed)
    assert np.array_equal(read_matlab_array(tmp_path / "a.mat", "wanted"), wanted)
    assert read_matlab_array(tmp_path / "a.mat", "w") == 3
    with pytest.raises(ValueError, match="no array missing"):
        read_matlab_array(tmp_path / "a.mat", "missing")
    content = (tmp_path / "a.mat").read_bytes()
    for length in range(0, len(content), 13):
        (tmp_path / "b.mat").write_bytes(content[:length])
        with pytest.raises(ValueError):
            read_matlab_array(tmp_path / "b.mat", "w")
