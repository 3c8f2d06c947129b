"""Tests of networks/dispnet.py, dualnets.py, fastdepth.py, packnet.py, pydnet.py and pose.py.

Networks of other systems: layers, shapes and counts as their sources have them.
"""

import pytest
import torch
from torch import nn
from torch.utils.data import default_collate
from torch.utils.flop_counter import FlopCounterMode

import fake_datasets
from hrdepth.config import DatasetConfig, NetworkConfig, ObjectiveConfig
from hrdepth.data import build_mix
from hrdepth.errors import InputError
from hrdepth.geometry import disparity_to_depth, pose_matrix
from hrdepth.networks import build_network, build_pose_network
from hrdepth.networks.pose import euler_to_axis_angle
from hrdepth.objectives import build_objective

SIZE = 128  # divisible by the largest stride: every shape is the published one

# Poggi et al. 2018, Figure 2: kernel, channels in and out, stride of the map that comes out. Then for each level the
# decoder of four convolutions and the 2x2 deconvolution to the next.
PYDNET = [
    (3, 3, 16, 2), (3, 16, 16, 2), (3, 16, 32, 4), (3, 32, 32, 4), (3, 32, 64, 8), (3, 64, 64, 8),
    (3, 64, 96, 16), (3, 96, 96, 16), (3, 96, 128, 32), (3, 128, 128, 32), (3, 128, 192, 64), (3, 192, 192, 64),
    (3, 192, 96, 64), (3, 96, 64, 64), (3, 64, 32, 64), (3, 32, 8, 64), (2, 8, 8, 32),
    (3, 136, 96, 32), (3, 96, 64, 32), (3, 64, 32, 32), (3, 32, 8, 32), (2, 8, 8, 16),
    (3, 104, 96, 16), (3, 96, 64, 16), (3, 64, 32, 16), (3, 32, 8, 16), (2, 8, 8, 8),
    (3, 72, 96, 8), (3, 96, 64, 8), (3, 64, 32, 8), (3, 32, 8, 8), (2, 8, 8, 4),
    (3, 40, 96, 4), (3, 96, 64, 4), (3, 64, 32, 4), (3, 32, 8, 4), (2, 8, 8, 2),
    (3, 24, 96, 2), (3, 96, 64, 2), (3, 64, 32, 2), (3, 32, 8, 2),
]  # fmt: skip

# Guizilini et al. 2020, Table 1 (channels at each stride, residual blocks) and PackNet01 (kernels): 2D convolutions;
# a residual block is 3x3, 3x3 and the 1x1 beside them. The 3D convolutions stand before a packing's 2D one and behind
# an unpacking's, at the coarser stride.
CUBE = ((3, 3, 3), 1, 8)
PACKNET = [
    (5, 3, 64, 1), (7, 64, 64, 1), (*CUBE, 2), (5, 2048, 64, 2),
    *[(3, 64, 64, 2), (3, 64, 64, 2), (1, 64, 64, 2)] * 2, (*CUBE, 4), (3, 2048, 64, 4),
    (3, 64, 128, 4), (3, 128, 128, 4), (1, 64, 128, 4), (3, 128, 128, 4), (3, 128, 128, 4), (1, 128, 128, 4),
    (*CUBE, 8), (3, 4096, 128, 8),
    (3, 128, 256, 8), (3, 256, 256, 8), (1, 128, 256, 8), *[(3, 256, 256, 8), (3, 256, 256, 8), (1, 256, 256, 8)] * 2,
    (*CUBE, 16), (3, 8192, 256, 16),
    (3, 256, 512, 16), (3, 512, 512, 16), (1, 256, 512, 16),
    *[(3, 512, 512, 16), (3, 512, 512, 16), (1, 512, 512, 16)] * 2,
    (*CUBE, 32), (3, 16384, 512, 32),
    (3, 512, 256, 32), (*CUBE, 32), (3, 768, 512, 16),
    (3, 512, 128, 16), (*CUBE, 16), (3, 384, 256, 8), (3, 256, 1, 8),
    (3, 256, 64, 8), (*CUBE, 8), (3, 193, 128, 4), (3, 128, 1, 4),
    (3, 128, 32, 4), (*CUBE, 4), (3, 129, 64, 2), (3, 64, 1, 2),
    (3, 64, 32, 2), (*CUBE, 2), (3, 129, 64, 1), (3, 64, 1, 1),
]  # fmt: skip

# Godard et al. 2017, supplement, table of layers (conv1 to conv7b, upconv7 to disp1), with one disparity a scale;
# SuperDepth's sub-pixel layers make four times upconv's maps at the coarser stride.
SUPERDEPTH = [
    (7, 3, 32, 2), (7, 32, 32, 2), (5, 32, 64, 4), (5, 64, 64, 4), (3, 64, 128, 8), (3, 128, 128, 8),
    (3, 128, 256, 16), (3, 256, 256, 16), (3, 256, 512, 32), (3, 512, 512, 32), (3, 512, 512, 64), (3, 512, 512, 64),
    (3, 512, 512, 128), (3, 512, 512, 128),
    (3, 512, 2048, 128), (3, 1024, 512, 64), (3, 512, 2048, 64), (3, 1024, 512, 32), (3, 512, 1024, 32),
    (3, 512, 256, 16), (3, 256, 512, 16), (3, 256, 128, 8), (3, 128, 1, 8),
    (3, 128, 256, 8), (3, 129, 64, 4), (3, 64, 1, 4), (3, 64, 128, 4), (3, 65, 32, 2), (3, 32, 1, 2),
    (3, 32, 64, 2), (3, 17, 16, 1), (3, 16, 1, 1),
]  # fmt: skip

# Wofk et al. 2019: MobileNet without its last two layers, five depthwise 5x5 and 1x1, a 1x1 to depth. Here as pairs:
# kernel and stride of the depthwise convolution, channels in and out of the 1x1, stride of the map.
FASTDEPTH = [
    (3, 32, 64, 2), (3, 64, 128, 4), (3, 128, 128, 4), (3, 128, 256, 8), (3, 256, 256, 8), (3, 256, 512, 16),
    *[(3, 512, 512, 16)] * 5, (3, 512, 1024, 32), (3, 1024, 1024, 32),
    (5, 1024, 512, 32), (5, 512, 256, 16), (5, 256, 128, 8), (5, 128, 64, 4), (5, 64, 32, 2),
]  # fmt: skip
# The pairs of conv2d and depthwise_conv2d that the authors tuned for the pruned network.
FASTDEPTH_PRUNED = [
    (3, 16, 56, 2), (3, 56, 88, 4), (3, 88, 120, 4), (3, 120, 144, 8), (3, 144, 256, 8), (3, 256, 408, 16),
    (3, 408, 376, 16), (3, 376, 272, 16), (3, 272, 288, 16), (3, 288, 296, 16), (3, 296, 328, 16), (3, 328, 480, 32),
    (3, 480, 512, 32),
    (5, 512, 200, 32), (5, 200, 256, 16), (5, 256, 120, 8), (5, 120, 56, 4), (5, 56, 16, 2),
]  # fmt: skip

# Zhou et al. 2017, Figure 4a: kernels 3 but for the first four, channels from 32 to 512; as SuperDepth's table, but
# 3x3 deconvolutions double.
SFMLEARNER = [
    *SUPERDEPTH[:14],
    (3, 512, 512, 64), (3, 1024, 512, 64), (3, 512, 512, 32), (3, 1024, 512, 32), (3, 512, 256, 16),
    (3, 512, 256, 16), (3, 256, 128, 8), (3, 256, 128, 8), (3, 128, 1, 8),
    (3, 128, 64, 4), (3, 129, 64, 4), (3, 64, 1, 4), (3, 64, 32, 2), (3, 65, 32, 2), (3, 32, 1, 2),
    (3, 32, 16, 1), (3, 17, 16, 1), (3, 16, 1, 1),
]  # fmt: skip


def separable(pairs):
    """The convolutions of a network of pairs, between the first 3x3 and the last 1x1."""
    layers = [(3, 3, pairs[0][1], 2)]
    for kernel, before, after, stride in pairs:
        layers += [(kernel, before, before, stride), (1, before, after, stride)]
    return [*layers, (1, pairs[-1][2], 1, 1)]


SYSTEMS = [
    ("packnet", {}, PACKNET),
    ("pydnet", {}, PYDNET),
    ("superdepth", {}, SUPERDEPTH),
    ("sfmlearner", {}, SFMLEARNER),
    ("sfmlearner", {"batch_norm": True}, SFMLEARNER),
    ("fastdepth", {}, separable(FASTDEPTH)),
    ("fastdepth", {"widths": "pruned"}, separable(FASTDEPTH_PRUNED)),
]


@pytest.mark.parametrize(("name", "options", "layers"), SYSTEMS, ids=lambda value: str(value)[:20])
def test_layers_and_shapes_are_those_of_the_source(name, options, layers):
    with torch.device("meta"):
        network = build_network(NetworkConfig(name, options)).eval()
    found = []

    def note(module, inputs, output):
        kernel = module.kernel_size if isinstance(module, nn.Conv3d) else module.kernel_size[0]
        found.append((kernel, module.in_channels, module.out_channels, SIZE // output.shape[-1]))

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d):
            module.register_forward_hook(note)
    network(torch.empty(1, 3, SIZE, SIZE, device="meta"))
    assert found == layers


# Millions. PackNet-SfM: HR-Depth's introduction; DispNet of Godard et al.: PyD-Net's abstract and "31 million" in their
# own; FastDepth: its own paper, 1.34M also HR-Depth's.
@pytest.mark.parametrize(
    ("name", "options", "published"),
    [
        ("packnet", {}, 127.0),
        ("superdepth", {"upsampling": "resize"}, 31.6),
        ("sfmlearner", {}, 31.6),  # the same table; its own paper has no count
        ("sfmlearner", {"batch_norm": True}, 31.6),
        ("fastdepth", {}, 3.93),
        ("fastdepth", {"widths": "pruned"}, 1.34),
    ],
)
def test_parameters_are_as_many_as_published(name, options, published):
    assert count(name, options) / 1e6 == pytest.approx(published, rel=0.02)


def test_parameter_counts_without_a_published_match_are_those_of_the_documentation():
    assert count("pydnet") == 1_971_624  # 3.8 % above 1.9M, which is 1.97M cut off; docs/systems.md
    assert count("superdepth") == 50_471_220  # none is published
    assert count("dualnets") == 15_223_220  # none is published


def test_the_parameter_count_of_godards_network_is_exact():
    # With a second disparity at each of four scales, and read by three of them.
    heads = sum(9 * width + 1 for width in (16, 32, 64, 128))
    assert (
        count("superdepth", {"upsampling": "resize"}) + heads + sum(9 * width for width in (16, 32, 64)) == 31_600_072
    )


@pytest.mark.parametrize(("widths", "weights", "macs"), [("dense", 3.93, 0.74), ("pruned", 1.34, 0.37)])
def test_fastdepth_weights_and_operations_are_the_published_ones(widths, weights, macs):
    with torch.device("meta"):
        network = build_network(NetworkConfig("fastdepth", {"widths": widths})).eval()
    kernels = sum(module.weight.numel() for module in network.modules() if isinstance(module, nn.Conv2d))
    assert round(kernels / 1e6, 2) == weights
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, 224, 224, device="meta"))
    assert round(counter.get_total_flops() / 2e9, 2) == macs


def count(name, options=None):
    with torch.device("meta"):
        network = build_network(NetworkConfig(name, options or {}))
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("packnet", {"width": 48}, "multiple of 32"),
        ("superdepth", {"upsampling": "subpixle"}, "did you mean 'subpixel'"),
        ("fastdepth", {"widths": "prunned"}, "did you mean 'pruned'"),
        ("dualnets", {"reduction": 1}, "a whole number from 2"),
        ("hrdepth", {"min_depth": "x"}, "the option min_depth 'x' of network 'hrdepth' must be a number"),
        ("fastdepth", {"widths": 3}, "the option widths 3 of network 'fastdepth' must be text"),
        ("superdepth", {"upsampling": None}, "the option upsampling None of network 'superdepth' must be text"),
        ("dualnets", {"backbone": 3}, "the option backbone 3 of network 'dualnets' must be text"),
        ("packnet", {"width": True}, "the option width True of network 'packnet' must be a whole number"),
        ("lite_hrdepth", {"widths": [8, "x", 40, 80]}, "must be a list of which each is a whole number or null"),
    ],
)
def test_wrong_options_are_refused_with_the_valid_ones(name, options, message):
    with pytest.raises(InputError, match=message):
        build_network(NetworkConfig(name, options))


def test_a_pose_networks_options_are_checked_too():
    with pytest.raises(InputError, match="explainability 'no' of pose network 'posecnn' must be true or false"):
        build_pose_network(NetworkConfig("posecnn", {"explainability": "no"}))


# PackNet at half its width, for time; the layers are the same.
SMALL = [
    ("pydnet", {}),
    ("packnet", {"width": 32}),
    ("superdepth", {}),
    ("fastdepth", {}),
    ("sfmlearner", {}),
    ("sfmlearner", {"batch_norm": True}),
    ("dualnets", {}),
    ("fastdepth", {"widths": "pruned"}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), SMALL, ids=lambda value: str(value))
def test_the_loss_falls_in_a_few_steps(name, options, tmp_path):
    fake_datasets.drive(tmp_path)
    dataset = DatasetConfig("folder", str(tmp_path), str(tmp_path / "train.txt"), options={"baseline": 0.1})
    data = build_mix([dataset], ["s"], (64, 64))
    batch = default_collate([data[0], data[1]])
    torch.manual_seed(0)
    network = build_network(NetworkConfig(name, {**options, "min_depth": 0.5}))
    network.start_at(1.0)  # the truth is 55 * 0.1 / 3 units
    pose_network = build_pose_network(NetworkConfig("posenet", {"backbone": "test_resnet"}))
    objective = build_objective(ObjectiveConfig("view_synthesis", ["s"]), network, pose_network)
    optimiser = torch.optim.Adam(network.parameters(), 2e-4, fused=True)
    losses = []
    for _ in range(10):
        loss = objective(batch).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-3:]) < 0.97 * sum(losses[:3]), losses


@pytest.mark.slow  # and tests/contracts/test_exports.py
@pytest.mark.parametrize(("name", "options"), SMALL[:-1], ids=lambda value: str(value))
def test_an_exported_program_gives_equal_outputs(name, options):
    torch.manual_seed(0)
    network = build_network(NetworkConfig(name, options)).eval()
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        program = torch.export.export(network, (image,)).module()
        torch.testing.assert_close(program(image)[0], network(image)[0], atol=1e-5, rtol=1e-5)


def test_sub_pixel_upsampling_interleaves_four_maps():
    network = build_network(NetworkConfig("superdepth"))
    layer = network.raise_[0]
    features = torch.rand(1, 32, 4, 4)
    maps = nn.functional.elu(layer.conv(features))
    torch.testing.assert_close(layer(features)[:, :, 1::2, 0::2], maps[:, 2::4])


def test_packing_loses_nothing_and_unpacking_mirrors_it():
    network = build_network(NetworkConfig("packnet", {"width": 32}))
    seen = {}
    network.pack[0].conv3d.register_forward_hook(lambda module, inputs, output: seen.update(packed=inputs[0]))
    features = torch.rand(1, 32, 8, 8)
    assert network.pack[0](features).shape == (1, 32, 4, 4)
    torch.testing.assert_close(nn.functional.pixel_shuffle(seen["packed"], 2), features)
    assert network.unpack[0](torch.rand(1, 32, 4, 4)).shape == (1, 32, 8, 8)


def test_fastdepths_coarser_scales_are_means_of_the_finest():
    disparities = build_network(NetworkConfig("fastdepth", {"widths": "pruned"})).eval()(torch.rand(1, 3, 64, 64))
    torch.testing.assert_close(disparities[2][..., 0, 0], disparities[0][..., :4, :4].mean((-2, -1)))


@pytest.mark.parametrize(
    ("build", "name", "options"),
    [(build_network, "sfmlearner", {}), (build_pose_network, "posecnn", {"explainability": True})],
)
def test_batch_norm_stands_behind_all_but_the_outputs(build, name, options):
    # Zhou et al. 2017, section 4: "for all the layers except for the output layers".
    network = build(NetworkConfig(name, {**options, "batch_norm": True}))
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    outputs = [layer for layer in layers if layer.bias is not None]
    assert {layer.out_channels for layer in outputs} == ({1} if name == "sfmlearner" else {1, 6})
    assert len(norms) == len(layers) - len(outputs)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in build(NetworkConfig(name, options)).modules())


def test_sfmlearner_has_its_own_depth_formula():
    network = build_network(NetworkConfig("sfmlearner"))
    disparity = torch.linspace(0, 1, 11)
    depth = disparity_to_depth(disparity, network.min_depth, network.max_depth)
    torch.testing.assert_close(depth, 1 / (10 * disparity + 0.01))


def test_dual_networks_see_the_whole_at_a_third_and_the_detail_at_full_size():
    network = build_network(NetworkConfig("dualnets")).eval()
    sizes = {}
    network.low.encoder.register_forward_hook(lambda module, inputs, output: sizes.update(low=inputs[0].shape[2:]))
    network.high[0].register_forward_hook(lambda module, inputs, output: sizes.update(high=inputs[0].shape[2:]))
    with torch.no_grad():
        network(torch.rand(1, 3, 96, 192))
    assert sizes == {"low": (32, 64), "high": (96, 192)}


def test_a_reduction_that_leaves_nothing_of_the_image_is_refused():
    with pytest.raises(InputError, match=r"reduction 64 of dualnets leaves 1x3 .* of an image of 64x192"):
        build_network(NetworkConfig("dualnets", {"reduction": 64}))(torch.rand(1, 3, 64, 192))


def test_attention_gathers_from_the_whole_map():
    torch.manual_seed(0)
    attention = build_network(NetworkConfig("dualnets")).low.attention
    features = torch.rand(1, 512, 2, 3, requires_grad=True)
    attention(features)[0, 0, 0, 0].backward()
    assert features.grad[0, :, 1, 2].abs().max() > 0


# Zhou et al. 2017, Figure 4b: kernels 3 but for the first two convolutions and the last two deconvolutions and masks.
POSECNN = [
    (7, 6, 16, 2), (5, 16, 32, 4), (3, 32, 64, 8), (3, 64, 128, 16), (3, 128, 256, 32),
    (3, 256, 256, 64), (3, 256, 256, 128), (1, 256, 6, 128),
]  # fmt: skip
EXPLAINABILITY = [
    (3, 256, 256, 16), (3, 256, 128, 8), (3, 128, 1, 8), (3, 128, 64, 4), (3, 64, 1, 4), (5, 64, 32, 2), (5, 32, 1, 2),
    (7, 32, 16, 1), (7, 16, 1, 1),
]  # fmt: skip


@pytest.mark.parametrize("batch_norm", [False, True])
def test_posecnns_layers_and_masks_are_those_of_the_source(batch_norm):
    options = {"explainability": True, "batch_norm": batch_norm}
    network = build_pose_network(NetworkConfig("posecnn", options)).eval()
    found = []

    def note(module, inputs, output):
        found.append((module.kernel_size[0], module.in_channels, module.out_channels, SIZE // output.shape[-1]))

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(note)
    pair = torch.rand(1, 6, SIZE, SIZE)
    network(pair)
    assert found == POSECNN
    masks = network.explain(pair)
    assert found == [*POSECNN, *POSECNN[:5], *EXPLAINABILITY]
    assert {scale: mask.shape[-1] for scale, mask in masks.items()} == {s: SIZE >> s for s in range(4)}
    assert all(mask.min() > 0 and mask.max() < 1 for mask in masks.values())
    with pytest.raises(InputError, match="option explainability"):
        build_pose_network(NetworkConfig("posecnn")).explain(pair)


def test_euler_angles_become_the_same_rotation():
    angles = torch.tensor([[0.3, -0.5, 0.2], [0.0, 0.0, 0.0], [1e-4, -2e-4, 3e-4]])
    zero, still = torch.zeros(3), torch.zeros(3, 3)
    about = [pose_matrix(torch.stack([a if i == axis else zero for i in range(3)], 1), still)
             for axis, a in enumerate(angles.T)]  # fmt: skip
    found = pose_matrix(euler_to_axis_angle(angles), still)
    torch.testing.assert_close(found, about[0] @ about[1] @ about[2], atol=1e-6, rtol=1e-5)
