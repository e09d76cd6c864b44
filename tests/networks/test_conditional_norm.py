import torch

from lightning_gans.networks.conditional_norm import ConditionalBatchNorm


def test_each_class_has_a_scale_and_a_shift():
    norm = ConditionalBatchNorm(2, 3, dims=2)
    with torch.no_grad():
        norm.scale[2], norm.shift[2] = torch.tensor([3.0, 4.0]), torch.tensor([-1.0, 5.0])
    x, label = torch.randn(2, 2, 4, 4), torch.eye(3)[[0, 2]]
    plain = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    y = norm(x, label)
    torch.testing.assert_close(y[0], plain[0])
    torch.testing.assert_close(y[1, 0], 3 * plain[1, 0] - 1)
    torch.testing.assert_close(y[1, 1], 4 * plain[1, 1] + 5)


def test_half_of_each_of_two_classes():
    norm = ConditionalBatchNorm(1, 2, dims=1).eval()
    with torch.no_grad():
        norm.shift[0] = 6.0
    x = torch.zeros(1, 1, 4)
    assert norm(x, torch.tensor([[0.5, 0.5]])).unique().tolist() == [3.0]
