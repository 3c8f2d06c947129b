"""Tests of losses.py."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from hrdepth import losses


@pytest.fixture
def images():
    torch.manual_seed(1)
    return torch.rand(2, 3, 20, 24), torch.rand(2, 3, 20, 24)


def test_ssim_agrees_with_scikit_image(images):
    a, b = images
    found = losses.ssim(a, b)[0, 0].numpy()
    _, reference = structural_similarity(
        a[0, 0].numpy().astype(np.float64), b[0, 0].numpy().astype(np.float64),
        win_size=3, data_range=1.0, use_sample_covariance=False, full=True,
    )  # fmt: skip
    np.testing.assert_allclose(found[1:-1, 1:-1], reference[1:-1, 1:-1], atol=1e-5)


def test_photometric_error_is_zero_on_itself_and_grows_with_difference(images):
    a, b = images
    assert losses.photometric_error(a, a).abs().max() < 1e-5
    near, far = losses.photometric_error(0.9 * a + 0.1 * b, a).mean(), losses.photometric_error(b, a).mean()
    assert 0 < near < far


def test_without_ssim_the_error_is_the_l1_norm(images):
    a, b = images
    torch.testing.assert_close(losses.photometric_error(a, b, 0.0), (a - b).abs().mean(1, keepdim=True))


def test_minimum_takes_the_best_source_and_the_mask_stops_gradients():
    errors = torch.tensor([[[[0.1, 0.5]], [[0.3, 0.4]]]], requires_grad=True)  # (1,2,1,2)
    identity = torch.tensor([[[[0.2, 0.2]], [[0.9, 0.9]]]])
    best = losses.minimum_reprojection(errors, identity)
    assert best.flatten().tolist() == pytest.approx([0.1, 0.2])
    best.sum().backward()
    assert errors.grad.flatten().tolist() == [1, 0, 0, 0]


def test_smoothness_ignores_scale_and_spares_edges():
    disparity = torch.ones(1, 1, 8, 8)
    disparity[..., 4:] = 2
    flat, edge = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    edge[..., 4:] = 1
    on_flat = losses.edge_aware_smoothness(disparity, flat)
    torch.testing.assert_close(on_flat, losses.edge_aware_smoothness(7 * disparity, flat))
    torch.testing.assert_close(losses.edge_aware_smoothness(disparity, edge), on_flat * torch.exp(torch.tensor(-1.0)))
    assert losses.edge_aware_smoothness(torch.ones(1, 1, 8, 8), edge) == 0
    # In numbers: a step of 1 over a mean of 1.5 in one of seven columns.
    assert on_flat.item() == pytest.approx(1 / 1.5 / 7, rel=1e-5)


def test_an_affine_alignment_finds_scale_and_shift_beside_outliers():
    reference = torch.rand(2, 1, 20, 30, generator=torch.Generator().manual_seed(0))
    values = torch.stack([4 * reference[0] - 0.5, 0.3 * reference[1] + 7])
    values[:, :, :3, :] += 2  # 15 % of the pixels
    found = losses.align_affine(values, reference)
    torch.testing.assert_close(found[:, :, 3:], reference[:, :, 3:], rtol=0, atol=1e-4)


def test_the_affine_invariant_error_ignores_scale_and_shift_of_each_image():
    torch.manual_seed(0)
    target = torch.rand(2, 1, 16, 16) + 0.5
    known = torch.ones_like(target)
    factors = torch.tensor([3.0, 0.2])[:, None, None, None]
    predicted = (factors * target + 5).requires_grad_()
    error, gradients = losses.affine_invariant_error(predicted, target, known)
    assert error.item() == pytest.approx(0, abs=1e-5)
    assert gradients.item() == pytest.approx(0, abs=1e-4)
    error, _ = losses.affine_invariant_error(-predicted, target, known)
    assert error.item() > 0.5
    error.backward()
    assert predicted.grad.isfinite().all()


def test_the_relative_affine_invariant_error_pulls_a_flat_prediction_no_harder_and_leaves_its_scale():
    torch.manual_seed(0)
    target, known = torch.rand(1, 1, 16, 16), torch.ones(1, 1, 16, 16)
    pulls = {}
    for contrast in (0.5, 0.001):
        logarithm = (contrast * torch.randn(1, 1, 16, 16)).requires_grad_()
        for relative in (False, True):
            error, _ = losses.affine_invariant_error(logarithm.exp(), target, known, relative=relative)
            (gradient,) = torch.autograd.grad(error, logarithm)
            pulls[contrast, relative] = gradient.abs().sum().item()
            assert gradient.sum().item() == pytest.approx(0, abs=1e-3 * pulls[contrast, relative])
    assert pulls[0.001, False] > 100 * pulls[0.5, False]
    assert 0.3 < pulls[0.001, True] / pulls[0.5, True] < 3


def test_the_affine_invariant_error_trims_the_worst_pixels_and_leaves_out_unknown_ones():
    target = torch.linspace(0, 1, 100).view(1, 1, 10, 10)
    known = torch.ones_like(target)
    wrong = target.clone()
    wrong[0, 0, 0, ::4] += 30  # three of a hundred pixels
    trimmed, _ = losses.affine_invariant_error(wrong, target, known, trim=0.2)
    whole, _ = losses.affine_invariant_error(wrong, target, known, trim=0.0)
    assert trimmed < whole / 2
    known[0, 0, 0] = 0
    error, gradients = losses.affine_invariant_error(wrong, target, known)
    assert error.item() == pytest.approx(0, abs=1e-5)
    assert gradients.item() == pytest.approx(0, abs=1e-5)
    error, gradients = losses.affine_invariant_error(wrong, target, known * 0)
    assert (error.item(), gradients.item()) == (0.0, 0.0)
