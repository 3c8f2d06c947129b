"""Tests of data/augment.py."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as F

import fake_datasets
from hrdepth import geometry
from hrdepth.config import AugmentConfig, DatasetConfig
from hrdepth.data import build_mix
from hrdepth.data.augment import augment_colours, degrade, draw_window, flip_sample, shift_hue
from hrdepth.data.sample import WHOLE, Window
from hrdepth.errors import InputError

SIZE = (64, 96)
STILL = AugmentConfig(flip=0.0, jitter=0.0)
ZOOMED = AugmentConfig(flip=0.0, jitter=0.0, zoom=2.0)
MIRRORED = AugmentConfig(flip=1.0, jitter=0.0, zoom=2.0)


def build(root, augment=None, frames=(-1, 1, "s"), seed=0):
    return build_mix([DatasetConfig("folder", str(root), str(root / "train.txt"))], frames, SIZE, augment, seed)


def draws(root, augment, count=6, **settings):
    data = build(root, augment, **settings)
    return [data[1 + draw * len(data)] for draw in range(count)]


@pytest.fixture
def drive(tmp_path):
    return fake_datasets.drive(tmp_path)


def synthesis_error(wall, sample, *, mirror=1.0, intrinsics=None):
    """Mean error of the views synthesised by true depth and motion, where the source shows the point."""
    wall = fake_datasets.Wall((mirror * wall.slope[0], wall.slope[1]), wall.distance, wall.motion * [mirror, 1, 1])
    place = 2 * wall.motion  # of sample 1, frame 2
    poses = torch.eye(4).repeat(3, 1, 1)
    poses[:2, :3, 3] = torch.tensor(np.stack([wall.motion, -wall.motion]))  # of frames 1 and 3
    poses[2] = sample["stereo_pose"]
    true_k = sample["intrinsics"]
    depth = torch.tensor(wall.depth(true_k.numpy(), SIZE, place), dtype=torch.float32)[None, None]
    k = (true_k if intrinsics is None else intrinsics)[None]
    errors = []
    for source, pose in zip(sample["sources"], poses, strict=True):
        pixels = geometry.project(geometry.backproject(depth, k), k, pose[None])
        inside = ((pixels > 0) & (pixels < torch.tensor([SIZE[1] - 1, SIZE[0] - 1])[None, :, None, None])).all(dim=1)
        error = (geometry.sample(source[None], pixels) - sample["target"]).abs().mean(dim=1)
        errors.append(error[inside].mean())
    return torch.stack(errors)


@pytest.mark.parametrize(("augment", "mirror"), [(ZOOMED, 1.0), (MIRRORED, -1.0)])
def test_views_are_synthesised_as_exactly_from_zoomed_images(tmp_path, augment, mirror):
    wall = fake_datasets.Wall()
    wall.drive(tmp_path)
    whole = build(tmp_path)[1]
    exact = synthesis_error(wall, whole)
    assert exact.max() < 0.01
    unfollowed = whole["intrinsics"] if mirror > 0 else geometry.flip_intrinsics(whole["intrinsics"], SIZE[1])
    samples = draws(tmp_path, augment)
    assert all((synthesis_error(wall, sample, mirror=mirror) < 1.1 * exact).all() for sample in samples)
    most = max(samples, key=lambda sample: sample["intrinsics"][0, 0])
    assert (synthesis_error(wall, most, mirror=mirror, intrinsics=unfollowed) > 3 * exact).all()


@pytest.mark.parametrize(("augment", "mirror"), [(ZOOMED, 1.0), (MIRRORED, -1.0)])
def test_a_point_lands_where_k_projects_it(tmp_path, augment, mirror):
    root = fake_datasets.Wall().drive(tmp_path)
    point = np.array([0.4, -0.3, 6.0])
    x, y = 200 * point[0] / point[2] + 0.46 * 288, 190 * point[1] / point[2] + 0.55 * 192
    rows, columns = np.mgrid[:192, :288]
    dot = np.uint8(255 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 50))
    fake_datasets.save(fake_datasets.Image.fromarray(dot).convert("RGB"), root / "wall" / "left" / "000002.png")
    inside = 0
    for sample in draws(root, augment, count=12, frames=(-1,)):
        expected = sample["intrinsics"].double().numpy() @ (point * [mirror, 1, 1])
        expected = expected[:2] / expected[2]
        if not ((expected > 10) & (expected < [85, 53])).all():
            continue
        weight = sample["target"][0].double().numpy()
        found = [(weight.sum(axis=axis) * np.arange(SIZE[1 - axis])).sum() / weight.sum() for axis in (0, 1)]
        # K is scaled plainly, so that pixel centres lie half the change of a pixel's size beside it.
        half = (float(sample["intrinsics"][0, 0]) / 200 - 1) / 2
        np.testing.assert_allclose(found, np.add(expected, (mirror * half, half)), atol=0.05)
        inside += 1
    assert inside >= 4


def test_zoom_is_uniform_in_its_logarithm_and_stays_in_the_image():
    random = np.random.default_rng(0)
    windows = [draw_window(ZOOMED, random, (375, 1242), (64, 96)) for _ in range(2000)]
    zooms = np.log([1 / window.extent for window in windows])
    assert 0 <= zooms.min() < zooms.max() <= np.log(2)
    assert np.median(zooms) == pytest.approx(np.log(2) / 2, abs=0.02)
    boxes = np.array([window.box((375, 1242)) for window in windows])
    assert (boxes >= 0).all()
    assert (boxes <= [1242, 375, 1242, 375]).all()
    np.testing.assert_allclose((boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1]), 1242 / 375)
    assert Window(0.1, 1 - 0.7, 0.7 + 1e-12).box((10, 10))[3] == 10


def test_a_crop_has_the_aspect_ratio_of_the_sample_and_any_place():
    random = np.random.default_rng(0)
    for zoom in (1.0, 2.0):
        config = AugmentConfig(crop=True, zoom=zoom)
        for size in ((64, 96), (64, 640)):  # flatter, and longer, than the image
            boxes = np.array([draw_window(config, random, (375, 1242), size).box((375, 1242)) for _ in range(200)])
            width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
            np.testing.assert_allclose(height / width, size[0] / size[1])
            assert (boxes >= -1e-9).all()
            assert (boxes <= [1242, 375, 1242, 375]).all()
            assert np.ptp(boxes[:, 0] + boxes[:, 1]) > 50
    assert draw_window(AugmentConfig(crop=True), random, (64, 96), (128, 192)) is WHOLE


def test_a_zoom_is_cut_from_the_full_resolution_image(tmp_path):
    """Cut before the one resize: the zoomed image has detail that the small one has lost."""
    stripes = np.uint8(255 * (np.arange(384) // 2 % 2))[None, :, None].repeat(256, axis=0).repeat(3, axis=2)
    root = fake_datasets.drive(tmp_path, stereo=False, size=(256, 384))
    for file in (root / "drive" / "left").iterdir():
        fake_datasets.save(fake_datasets.Image.fromarray(stripes), file)
    change = {"fx": 220.0, "fy": 240.0, "cx": 190.0, "cy": 125.0, "width": 384, "height": 256}
    (root / "drive" / "camera.yaml").write_text(fake_datasets.yaml.safe_dump(change))
    contrast = [float(s["target"].std()) for s in (build(root, frames=(-1,))[1], *draws(root, AugmentConfig(
        flip=0.0, jitter=0.0, zoom=8.0), count=12, frames=(-1,)))]  # fmt: skip
    assert contrast[0] < 0.1
    assert max(contrast) > 0.4


def test_disabled_augmentations_draw_no_random_numbers(drive):
    clean, data = build(drive), build(drive, AugmentConfig(), seed=3)
    for item in range(2 * len(clean)):
        random = np.random.default_rng((3, item))
        sample = clean[item]
        if random.random() < 0.5:
            sample = flip_sample(sample)
        expected = augment_colours(sample, AugmentConfig(), random)
        assert all(torch.equal(data[item][key], expected[key]) for key in expected)


def test_all_augmentations_together_depend_on_seed_and_item_only(drive):
    strong = AugmentConfig(zoom=1.5, grey=0.5, blur=0.5, noise=0.1)
    one, two = draws(drive, strong, seed=2), draws(drive, strong, seed=2)
    assert all(torch.equal(a[key], b[key]) for a, b in zip(one, two, strict=True) for key in a)
    assert len({float(sample["target_augmented"].sum()) for sample in one}) == len(one)


def roughness(images):
    return images.diff(dim=-1).abs().mean(dim=(-1, -2, -3))


@pytest.mark.parametrize("what", ["grey", "blur", "noise"])
def test_networks_see_degraded_images_and_the_loss_the_originals(drive, what):
    clean = build(drive)[1]
    torch.manual_seed(0)
    for images, twins in (("target", "target_augmented"), ("sources", "sources_augmented")):
        clean[images] = clean[twins] = torch.rand_like(clean[images])
    augment = AugmentConfig(blur_sigma=(1.0, 1.5), **{what: 1.0})
    before = torch.cat([clean["target"][None], clean["sources"]])
    changed = degrade(clean, augment, np.random.default_rng(0))
    assert torch.equal(torch.cat([changed["target"][None], changed["sources"]]), before)
    after = torch.cat([changed["target_augmented"][None], changed["sources_augmented"]])
    assert after.shape == before.shape
    assert after.min() >= 0
    assert after.max() <= 1
    if what == "grey":
        assert (after.amax(dim=1) - after.amin(dim=1)).max() < 1e-6
        assert (after.mean() - before.mean()).abs() < 0.05
    elif what == "blur":
        assert (roughness(after) < 0.3 * roughness(before)).all()
        assert (after.mean(dim=(1, 2, 3)) - before.mean(dim=(1, 2, 3))).abs().max() < 0.02
    else:
        difference = (after - before).flatten(1)
        assert (difference.std(dim=1) > 0.05).all()
        assert torch.corrcoef(difference).fill_diagonal_(0).abs().max() < 0.3


def test_noise_stays_below_its_bound(drive):
    clean = build(drive)[1]
    clean["target_augmented"] = torch.full_like(clean["target"], 0.5)
    deviations = [
        float(degrade(clean, AugmentConfig(noise=0.1), np.random.default_rng(n))["target_augmented"].std())
        for n in range(30)
    ]
    assert 0 < min(deviations) < 0.03
    assert 0.07 < max(deviations) < 0.102


@pytest.mark.parametrize("what", ["grey", "blur"])
def test_each_degradation_is_applied_with_its_probability(drive, what):
    clean = build(drive)[1]
    augment = AugmentConfig(**{what: 0.3})
    changed = [
        not torch.equal(degrade(clean, augment, np.random.default_rng(n))["target_augmented"], clean["target"])
        for n in range(100)
    ]
    assert 15 < sum(changed) < 45


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"zoom": 0.5}, r"augment\.zoom 0\.5"),
        ({"zoom": float("nan")}, r"augment\.zoom"),
        ({"grey": 1.5}, r"augment\.grey 1\.5 is a probability"),
        ({"blur": -0.1}, r"augment\.blur -0\.1"),
        ({"blur_sigma": (2.0, 1.0)}, r"blur_sigma 2 to 1"),
        ({"blur_sigma": (0.0, 1.0)}, "blur_sigma 0 to 1"),
        ({"noise": 2.0}, r"augment\.noise 2"),
    ],
)
def test_invalid_settings_are_refused(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        AugmentConfig(**settings)


def extreme_images():
    seed = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 32, 48), generator=seed).float() / 255
    images[0, :, :4] = torch.rand(4, 48, generator=seed)  # grey
    images[0, :, 4:6] = 0
    images[0, :, 6:8] = 1
    for row, (a, b) in enumerate([(0, 1), (1, 2), (0, 2)], start=8):  # ties, of the largest as of the smallest
        images[0, a, row] = images[0, b, row]
    return images


@pytest.mark.parametrize("shift", [-0.5, -0.1, 0.0, 0.03, 1 / 3, 0.5])
def test_the_fast_hue_shift_agrees_with_torchvision_within_rounding(shift):
    images = extreme_images()
    # The float64 result is exact to 1e-15: it shows that what is left is torchvision's own rounding.
    exact = shift_hue(images.double(), shift)
    assert (shift_hue(images, shift) - exact).abs().max() < 1e-6
    assert (F.adjust_hue(images, shift) - exact).abs().max() < 2e-6
    assert torch.equal(images, extreme_images())
