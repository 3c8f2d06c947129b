"""Tests of teachers/onnx.py."""

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import nn

from hrdepth.errors import InputError
from hrdepth.teachers import Meaning, open_teacher

pytest.importorskip("onnxruntime", reason="needs onnxruntime")
pytest.importorskip("onnx", reason="needs onnx")

FACTS = {"output": "depth", "meaning": "metric", "mean": [0, 0, 0], "std": [1, 1, 1], "size": [32, 48]}


class Brightness(nn.Module):
    """The depth of a pixel is ten times its brightness."""

    def forward(self, image):
        return 10 * image.mean(1, keepdim=True)


def export(folder, facts=FACTS, batch=None, network=None):
    path = folder / "model.onnx"
    shape = {"image": {0: "batch", 2: "height", 3: "width"}} if batch is None else {"image": {2: "height", 3: "width"}}
    torch.onnx.export(network or Brightness(), (torch.rand(batch or 1, 3, 32, 48),), str(path), input_names=["image"],
                      output_names=["depth"], dynamic_axes=shape, dynamo=False)  # fmt: skip
    if facts is not None:
        path.with_suffix(".yaml").write_text(yaml.safe_dump(facts))
    return str(path)


def grey(value):
    return Image.fromarray(np.full((64, 96, 3), value, np.uint8))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("batch", [None, 1])
def test_depth_becomes_inverse_depth(tmp_path, batch):
    teacher = open_teacher(export(tmp_path, batch=batch))
    assert (teacher.meaning, teacher.metres_per_unit) == (Meaning.METRIC, 1.0)
    maps = teacher.maps([grey(51), grey(102)], (16, 24))
    assert maps.shape == (2, 16, 24)
    np.testing.assert_allclose(maps[:, 3, 3], [1 / 2, 1 / 4], rtol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_the_declared_normalisation_and_focal_length_are_used(tmp_path):
    facts = {**FACTS, "output": "disparity", "meaning": "affine", "mean": [0.1] * 3, "std": [0.5] * 3, "licence": "MIT"}
    teacher = open_teacher(export(tmp_path, facts))
    assert (teacher.meaning, teacher.metres_per_unit, teacher.licence) == (Meaning.AFFINE, None, "MIT")
    assert teacher.maps([grey(51)], (16, 24))[0, 0, 0] == pytest.approx(10 * (0.2 - 0.1) / 0.5, rel=1e-5)
    digest = teacher.digest()
    teacher = open_teacher(export(tmp_path, {**FACTS, "canonical_focal": 0.7}))
    assert teacher.canonical_focal == 0.7
    assert teacher.digest() != digest


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (None, "the facts of the teacher .*model.yaml does not exist"),
        ({}, "must give output"),
        ({**FACTS, "output": "height"}, "output 'height': give depth or disparity"),
        ({**FACTS, "meaning": "relative"}, "meaning 'relative': give metric, scale, affine"),
        ({**FACTS, "meaning": "affine"}, "meaning 'affine' is for disparity"),
        ({**FACTS, "std": [0, 1, 1]}, "give three numbers each, std above 0"),
        ({**FACTS, "size": None}, "must give size"),
        ({**FACTS, "name": "other"}, "has no output 'other'; it has depth"),
        ({**FACTS, "canonical_focal": -1}, "canonical_focal -1 must lie between"),
        ({**FACTS, "colour": "BGR"}, "must give output"),
    ],
)
def test_facts_that_do_not_fit_are_named(tmp_path, facts, message):
    path = export(tmp_path, facts)
    with pytest.raises(InputError, match=message):
        open_teacher(path)


class Centred(nn.Module):
    """Brightness less its middle, such as a disparity of unknown shift: half of it below 0; or none above."""

    def __init__(self, most=0.5):
        super().__init__()
        self.most = most

    def forward(self, image):
        return image.mean(1, keepdim=True) - 1 + self.most


@pytest.mark.filterwarnings("ignore")
def test_depth_of_0_or_less_is_unknown(tmp_path):
    teacher = open_teacher(export(tmp_path, network=Centred()))
    left_dark = np.full((64, 96, 3), 204, np.uint8)
    left_dark[:, :48] = 0
    map_ = teacher.maps([Image.fromarray(left_dark)], (32, 48))[0]
    assert np.isnan(map_[:, :20]).all()
    np.testing.assert_allclose(map_[:, 28:], 1 / 0.3, rtol=1e-4)


class Fixed(nn.Module):
    """Takes images of 32 rows alone."""

    def forward(self, image):
        return image.mean(1, keepdim=True) + torch.linspace(0.1, 1, 32)[:, None]


class Vector(nn.Module):
    """No map."""

    def forward(self, image):
        return image.mean((2, 3))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("network", "facts", "message"),
    [
        (Centred(0.0), FACTS, "is nowhere above 0, so it is no depth; see output in .*model.yaml"),
        (Fixed(), {**FACTS, "size": [64, 96]}, "cannot compute images of 64x96 .*, the size in .*model.yaml"),
        (Vector(), FACTS, r"its output 'depth' must be \(N,H,W\) or \(N,1,H,W\)"),
    ],
)
def test_facts_that_show_when_it_computes_are_named_at_once(tmp_path, network, facts, message):
    path = export(tmp_path, facts, network=network)
    with pytest.raises(InputError, match=message):
        open_teacher(path)


class Weighted(nn.Module):
    """A model with weights, which may lie in another file."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.1, 1, 3 * 1024).reshape(1024, 3, 1, 1))

    def forward(self, image):
        return nn.functional.conv2d(image, self.weight).mean(1, keepdim=True)


@pytest.mark.filterwarnings("ignore")
def test_the_digest_covers_weights_in_another_file(tmp_path):
    onnx = pytest.importorskip("onnx", reason="needs onnx")
    path = tmp_path / "model.onnx"
    export(tmp_path, network=Weighted())
    digests = {open_teacher(str(path)).digest()}
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=64)
    for change in (0, 64):
        content = bytearray((tmp_path / "weights.bin").read_bytes())
        content[10] ^= change
        (tmp_path / "weights.bin").write_bytes(content)
        digests.add(open_teacher(str(path)).digest())
    assert len(digests) == 3
    teacher = open_teacher(str(path))
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(InputError, match=r"has tensors in 'weights.bin', which is no file of its folder"):
        teacher.digest()


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(FACTS))
    with pytest.raises(InputError, match="is no ONNX file that can be run"):
        open_teacher(str(tmp_path / "model.onnx"))
    with pytest.raises(InputError, match="the teacher .*none.onnx does not exist"):
        open_teacher(str(tmp_path / "none.onnx"))
