"""Tests of networks/backbones.py and networks/backbone_weights.py.

Any timm network becomes a backbone, or says why not; local weights come from three kinds of files.
"""

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from hrdepth.config import NetworkConfig
from hrdepth.errors import InputError
from hrdepth.io.files import file_sha256
from hrdepth.networks import build_network, build_pose_network
from hrdepth.networks.backbones import build_backbone, initial_weights


@pytest.mark.parametrize("name", ["resnet50", "tf_efficientnet_lite0", "convnext_tiny", "vgg11"])
def test_five_maps_from_stride_2_to_32(name):
    backbone = build_backbone(name).eval()
    with torch.no_grad():
        shapes = [tuple(feature.shape[1:]) for feature in backbone(torch.rand(1, 3, 64, 96))]
    assert shapes == [(width, 64 // s, 96 // s) for width, s in zip(backbone.channels, (2, 4, 8, 16, 32), strict=True)]


@pytest.mark.parametrize("network", ["hrdepth", "lite_hrdepth", "monodepth2"])
@pytest.mark.parametrize("backbone", ["test_convnext", "test_efficientnet"])
def test_every_network_takes_another_backbone_and_learns_all_of_it(network, backbone):
    torch.manual_seed(0)
    built = build_network(NetworkConfig(network, {"backbone": backbone}))
    sum(d.square().sum() for d in built(torch.rand(2, 3, 64, 64)).values()).backward()
    assert [key for key, p in built.named_parameters() if p.grad is None] == []


def test_the_stem_sees_what_the_backbone_does_not():
    backbone = build_backbone("test_convnext").eval()
    with torch.no_grad():
        one, other = backbone(torch.zeros(1, 3, 64, 64))[0], backbone(torch.ones(1, 3, 64, 64))[0]
    assert backbone.channels[0] == backbone.channels[1] // 2
    assert not torch.allclose(one, other)


def test_a_pose_network_reads_the_coarsest_map_and_needs_no_stem():
    network = build_pose_network(NetworkConfig("posenet", {"backbone": "test_convnext"}))
    axis_angle, translation = network(torch.rand(2, 6, 64, 64))
    (axis_angle.sum() + translation.sum()).backward()
    assert [key for key, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("vit_tiny_patch16_224", "strides"),
        ("swin_tiny_patch4_window7_224", "cannot read an image of 64x96"),
        ("inception_v3", "cannot read an image|feature maps"),
        ("resnet18x", "unknown backbone"),
    ],
)
def test_unsuitable_backbones_are_refused_with_the_reason(name, reason):
    with pytest.raises(InputError, match=reason):
        build_backbone(name)


def test_unpublished_weights_are_not_downloaded():
    with pytest.raises(InputError, match="no ImageNet weights"):
        build_backbone("efficientnet_b6", weights="imagenet")


@pytest.mark.parametrize(
    ("name", "weights", "asked", "started"),
    [
        ("resnet18", "imagenet:tv_in1k", "resnet18.tv_in1k", "timm resnet18.tv_in1k"),
        ("resnet18.a1_in1k", "imagenet:tv_in1k", "resnet18.tv_in1k", "timm resnet18.tv_in1k"),
        ("resnet18.tv_in1k", "imagenet", "resnet18.tv_in1k", "timm resnet18.tv_in1k"),
        # timm's own default, which it may change: the tag is written down.
        ("resnet18", "imagenet", "resnet18", f"timm resnet18.{timm.get_pretrained_cfg('resnet18').tag}"),
    ],
)
def test_imagenet_weights_are_those_of_the_tag_and_are_named(monkeypatch, name, weights, asked, started):
    seen, create = [], timm.create_model

    def offline(name, pretrained=False, **options):
        seen.append((name, pretrained))
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    for given in ({}, {"in_channels": 6, "coarsest": True}):
        assert initial_weights(build_backbone(name, weights=weights, **given)) == started
    assert seen == [(asked, True)] * 2


@pytest.mark.parametrize(
    ("weights", "asked"), [("imagenet:IMAGENET1K_V1", "IMAGENET1K_V1"), ("imagenet", "IMAGENET1K_V2"), (None, None)]
)
def test_mobilenets_weights_are_those_of_torchvisions_tag(monkeypatch, weights, asked):
    seen, create = [], torchvision.models.mobilenet_v3_large

    def offline(weights=None):
        seen.append(None if weights is None else weights.name)
        return create()

    monkeypatch.setattr(torchvision.models, "mobilenet_v3_large", offline)
    started = initial_weights(build_backbone("mobilenet_v3_large", weights=weights))
    assert seen == [asked]
    assert started == (None if asked is None else f"torchvision mobilenet_v3_large.{asked}")


@pytest.mark.parametrize(
    ("name", "tag", "message"),
    [("resnet18", "tv2", "resnet18.tv2.*resnet18.tv_in1k"), ("mobilenet_v3_large", "V1", "'V1'.*IMAGENET1K_V1")],
)
def test_an_unknown_tag_is_refused_with_those_that_there_are(name, tag, message):
    with pytest.raises(InputError, match=message):
        build_backbone(name, weights=f"imagenet:{tag}")


def test_a_failed_download_is_one_message(monkeypatch):
    def fail(*args, **kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(InputError, match=r"'resnet18' could not be downloaded.*weights null"):
        build_backbone("resnet18", weights="imagenet")


def whole(name):
    """A classifier away from its start, so that no two tensors are alike."""
    torch.manual_seed(1)
    network = timm.create_model(name)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.uniform_(0.1, 1.0)
    return network.eval()


def features(name, network):
    """What the maps of a classifier are, taken by hooks from the network itself."""
    extractor = timm.create_model(name, features_only=True)
    found = []
    for module in extractor.feature_info.module_name():
        network.get_submodule(module).register_forward_hook(lambda *args: found.append(args[-1]))
    return found


def save(tensors, path):
    torch.save(tensors, path)
    return str(path)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext"])
@pytest.mark.parametrize("kind", ["classifier", "wrapped", "safetensors", "renamed"])
def test_a_local_file_gives_the_classifiers_own_features(name, kind, tmp_path):
    network = whole(name)
    tensors = network.state_dict()
    if kind == "classifier":
        path = save(tensors, tmp_path / "net.pth")
    elif kind == "wrapped":
        parallel = {f"module.{key}": value for key, value in tensors.items()}
        path = save({"epoch": 3, "state_dict": parallel}, tmp_path / "net.pth")
    elif kind == "safetensors":
        path = str(tmp_path / "net.safetensors")
        save_file(tensors, path)
    else:
        kept = [(key, value) for key, value in tensors.items() if not key.endswith("num_batches_tracked")]
        others = {f"foreign.{i}.{key.rpartition('.')[2]}": value for i, (key, value) in enumerate(kept)}
        path = save(others, tmp_path / "net.pth")
    backbone = build_backbone(name, weights=path).eval()
    image = torch.rand(1, 3, 64, 64)
    coarsest = features(name, network)
    with torch.no_grad():
        network(image)
        found = backbone(image)[-len(coarsest) :]
    for own, expected in zip(found, coarsest, strict=True):
        torch.testing.assert_close(own, expected)


def test_a_file_of_the_extractor_itself(tmp_path):
    extractor = timm.create_model("test_convnext", features_only=True)
    path = save(extractor.state_dict(), tmp_path / "net.pth")
    backbone = build_backbone("test_convnext", weights=path)
    assert initial_weights(backbone) == f"net.pth, SHA-256 {file_sha256(path)}"
    assert initial_weights(build_backbone("test_convnext")) is None
    assert all(torch.equal(backbone.network.state_dict()[key], value) for key, value in extractor.state_dict().items())


def test_weights_for_images_start_a_pose_network(tmp_path):
    network = whole("test_resnet")
    path = save(network.state_dict(), tmp_path / "net.pth")
    images = build_backbone("test_resnet", weights=path).eval()
    pairs = build_backbone("test_resnet", weights=path, in_channels=6, coarsest=True).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(pairs(torch.cat([image, image], dim=1))[-1], images(image)[-1])


def other_names(change):
    tensors = [(key, v) for key, v in whole("test_resnet").state_dict().items() if not key.endswith("tracked")]
    return change({f"foreign.{i}.{key.rpartition('.')[2]}": value for i, (key, value) in enumerate(tensors)})


def misshapen(tensors):
    return {key: value[1:] if key == "foreign.5.weight" else value for key, value in tensors.items()}


def swapped(tensors):
    keys = list(tensors)
    first = keys.index("foreign.1.weight")
    keys[first : first + 2] = keys[first + 1], keys[first]  # a batch norm's bias before its weight
    return {key: tensors[key] for key in keys}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (misshapen, r"'foreign.5.weight'"),
        (swapped, r"'foreign.2.bias'"),
        (lambda tensors: tensors | {"more.weight": torch.zeros(3)}, "it has .* tensors"),
        (lambda tensors: dict(list(tensors.items())[:-9]), "it has .* tensors"),
    ],
)
def test_tensors_of_other_names_load_only_if_all_shapes_match(change, message, tmp_path):
    path = save(other_names(change), tmp_path / "net.pth")
    with pytest.raises(InputError, match=message):
        build_backbone("test_resnet", weights=path)


def test_a_safetensors_file_with_other_names_has_no_order(tmp_path):
    save_file(other_names(dict), tmp_path / "net.safetensors")
    with pytest.raises(InputError, match="keeps no order"):
        build_backbone("test_resnet", weights=str(tmp_path / "net.safetensors"))


def test_a_tensor_of_another_shape_is_named(tmp_path):
    tensors = whole("test_resnet").state_dict()
    key = next(key for key in tensors if key.startswith("layer2") and key.endswith("weight"))
    path = save(tensors | {key: tensors[key][1:]}, tmp_path / "net.pth")
    with pytest.raises(InputError, match=f"'{key}' has shape"):
        build_backbone("test_resnet", weights=path)


class Surprise:
    def __reduce__(self):
        return print, ("code ran",)


@pytest.mark.parametrize("content", [nn.Linear(2, 2), Surprise(), {"epoch": 3}, [1, 2]], ids=type)
def test_a_pickle_runs_no_code_and_a_file_without_tensors_is_refused(content, tmp_path, capsys):
    path = save(content, tmp_path / "net.pth")
    with pytest.raises(InputError, match=r"net\.pth"):
        build_backbone("test_resnet", weights=path)
    assert "code ran" not in capsys.readouterr().out
