"""Tests of teachers/huggingface.py: tiny random models of each family against the library's own pipeline."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from hrdepth.errors import InputError
from hrdepth.teachers import Meaning, open_teacher

transformers = pytest.importorskip("transformers", reason="needs transformers (extra teachers)")

NECK = {"neck_hidden_sizes": [8, 8, 8, 8], "fusion_hidden_size": 8, "reassemble_factors": [4, 2, 1, 0.5]}
VIT = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32}
STAGES = {"out_features": ["stage1", "stage2", "stage3", "stage4"], "reshape_hidden_states": False}


def depth_anything(kind="relative"):
    backbone = transformers.Dinov2Config(**VIT, **STAGES, image_size=56, patch_size=14)
    config = transformers.DepthAnythingConfig(backbone_config=backbone, patch_size=14, reassemble_hidden_size=16,
                                              head_hidden_size=8, depth_estimation_type=kind, **NECK)  # fmt: skip
    size = {"height": 56, "width": 56}
    processor = transformers.DPTImageProcessor(size=size, keep_aspect_ratio=True, ensure_multiple_of=14)
    return transformers.DepthAnythingForDepthEstimation(config), processor


def dpt():
    config = transformers.DPTConfig(**VIT, **NECK, image_size=32, patch_size=8, backbone_out_indices=[0, 1, 2, 3])
    processor = transformers.DPTImageProcessor(size={"height": 32, "width": 32})
    return transformers.DPTForDepthEstimation(config), processor


def glpn():
    config = transformers.GLPNConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 2, 2],
                                     mlp_ratios=[2, 2, 2, 2], decoder_hidden_size=8, max_depth=10)  # fmt: skip
    return transformers.GLPNForDepthEstimation(config), transformers.GLPNImageProcessor()


def zoedepth():
    backbone = transformers.BeitConfig(**VIT, **STAGES, image_size=32, patch_size=8, use_relative_position_bias=True)
    bins = [{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0, "name": "street"}]
    config = transformers.ZoeDepthConfig(backbone_config=backbone, bottleneck_features=8, num_relative_features=8,
                                         bin_embedding_dim=16, bin_configurations=bins, num_attractors=[2, 2, 2, 2],
                                         **NECK)  # fmt: skip
    processor = transformers.ZoeDepthImageProcessor(size={"height": 32, "width": 32}, ensure_multiple_of=8)
    return transformers.ZoeDepthForDepthEstimation(config), processor


def depth_pro():
    vit = transformers.Dinov2Config(**VIT, image_size=32, patch_size=8)
    config = transformers.DepthProConfig(
        fusion_hidden_size=16, patch_size=32, intermediate_hook_ids=[3, 1], intermediate_feature_dims=[8, 8],
        scaled_images_ratios=[0.25, 0.5, 1], scaled_images_overlap_ratios=[0.0, 0.5, 0.25],
        scaled_images_feature_dims=[16, 16, 16], use_fov_model=True, image_model_config=vit, patch_model_config=vit,
        fov_model_config=vit,
    )  # fmt: skip
    return (transformers.DepthProForDepthEstimation(config),
            transformers.DepthProImageProcessor(size={"height": 128, "width": 128}))  # fmt: skip


FAMILIES = {
    "depth_anything": (depth_anything, Meaning.AFFINE),
    "depth_anything_metric": (lambda: depth_anything("metric"), Meaning.METRIC),
    "dpt": (dpt, Meaning.AFFINE),
    "glpn": (glpn, Meaning.METRIC),
    "zoedepth": (zoedepth, Meaning.METRIC),
    "depth_pro": (depth_pro, Meaning.METRIC),
}


def save(model, processor, folder):
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


def image(seed=0, size=(64, 96)):
    coarse = np.random.default_rng(seed).integers(0, 255, (8, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", FAMILIES)
def test_maps_are_those_of_the_librarys_pipeline(family, tmp_path):
    make, meaning = FAMILIES[family]
    transformers.set_seed(0)
    folder = save(*make(), tmp_path / family)
    teacher = open_teacher(folder)
    assert (teacher.meaning, teacher.metres_per_unit) == (meaning, 1.0 if meaning == Meaning.METRIC else None)
    images = [image(0), image(1)]
    maps = teacher.maps(images, (64, 96))
    assert maps.shape == (2, 64, 96)
    assert np.isfinite(maps).all()
    pipeline = transformers.pipeline("depth-estimation", model=folder)
    for found, expected in zip(maps, pipeline(images), strict=True):
        values = np.asarray(expected["predicted_depth"])
        values = 1 / np.maximum(values, 1e-3) if meaning == Meaning.METRIC else values
        np.testing.assert_allclose(found, values, rtol=2e-3, atol=1e-4 * np.abs(values).max())
    assert open_teacher(folder).digest() == teacher.digest()


@pytest.mark.filterwarnings("ignore")
def test_the_licence_of_the_model_card_is_carried(tmp_path):
    folder = save(*dpt(), tmp_path / "dpt")
    assert open_teacher(folder).licence is None
    (tmp_path / "dpt" / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n")
    assert open_teacher(folder).facts()["licence"] == "apache-2.0"


def test_models_that_are_not_there_or_of_another_kind_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="the teacher nobody/nothing cannot be loaded as a depth model"):
        open_teacher("nobody/nothing")
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(InputError, match="cannot be loaded as a depth model of transformers"):
        open_teacher(str(tmp_path / "bert"))


@pytest.mark.filterwarnings("ignore")
def test_nothing_that_can_run_code_is_loaded(tmp_path, monkeypatch):
    import torch

    folder = save(*dpt(), tmp_path / "dpt")
    weights = tmp_path / "dpt" / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="cannot be loaded as a depth model of transformers"):
        open_teacher(folder)
    weights.unlink()
    model, _ = dpt()
    torch.save(model.state_dict(), tmp_path / "dpt" / "pytorch_model.bin")  # pickled
    with pytest.raises(InputError, match="give the name of one on the Hugging Face Hub with safetensors"):
        open_teacher(folder)
    ran = tmp_path / "ran"
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "code.py").write_text(f"open({str(ran)!r}, 'w')\n")
    config = {"model_type": "own", "auto_map": {"AutoConfig": "code.Config", "AutoModelForDepthEstimation": "code.M"}}
    (tmp_path / "own" / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(InputError, match="cannot be loaded as a depth model"):
        open_teacher(str(tmp_path / "own"))
    assert not ran.exists()


def test_without_a_network_one_sentence_says_so(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    waits = []  # the Hub's library waits 23 s in all before its last try
    monkeypatch.setattr("huggingface_hub.utils._http.time", SimpleNamespace(sleep=waits.append))
    with pytest.raises(
        InputError, match="the teacher nobody/nothing cannot be loaded .* check the connection"
    ) as error:
        open_teacher("nobody/nothing")
    assert "\n" not in str(error.value)
    assert waits


@pytest.mark.filterwarnings("ignore")
def test_a_kind_whose_output_is_not_known_is_refused(tmp_path, monkeypatch):
    folder = save(*dpt(), tmp_path / "dpt")
    monkeypatch.setattr("hrdepth.teachers.huggingface.MEANINGS", {})
    with pytest.raises(InputError, match="a model of kind 'dpt', and what its output means is not known"):
        open_teacher(folder)


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(InputError, match=r"pip install 'hrdepth\[teachers\]'"):
        open_teacher("some/model")


@pytest.mark.filterwarnings("ignore")
def test_the_digest_is_that_of_the_model_wherever_it_lies(tmp_path):
    transformers.set_seed(0)
    model = dpt()
    first = open_teacher(save(*model, tmp_path / "a"))
    second = open_teacher(save(*model, tmp_path / "b"))
    earlier = first._digest(first._model.config.to_json_string(use_diff=False))
    second._model.config.transformers_version = "9"
    assert first.digest() == second.digest() != earlier
    assert first.has_digest(earlier)
    assert not first.has_digest("0")
