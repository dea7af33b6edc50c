"""Peaks of cards: by the names that jax gives, and none for what is another card."""

import pytest

from training import cards
from training.metrics import IterationLine
from training.report.text import describe_iteration


@pytest.mark.parametrize(
    ("kind", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H200", 989),
        ("NVIDIA GH200 480GB", 989),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A10G", 70),
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", 362),
        ("NVIDIA GeForce RTX 4090", 165),
        ("TPU v5 lite", 197),
        ("TPU v5", 459),
        ("TPU v6 lite", 918),
    ],
)
def test_a_card_has_the_peak_of_its_data_sheet(kind, tera):
    assert cards.peak(kind) == pytest.approx(tera * 1e12)


@pytest.mark.parametrize(
    "kind",
    [
        "cpu",
        "NVIDIA T4",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 3080 Ti",
        "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
        "NVIDIA B300",
    ],
)
def test_what_is_another_card_or_a_part_of_one_has_no_peak(kind):
    assert cards.peak(kind) is None


def test_the_drivers_version_is_read_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr(cards, "DRIVER", tmp_path / "version")
    assert cards.driver() == ""
    told = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024"
    (tmp_path / "version").write_text(told)
    assert cards.driver() == "550.54.15"


def test_the_live_line_shows_the_share_of_the_peak_since_the_line_before():
    def line(seconds, flops):
        return IterationLine(
            **dict.fromkeys(("iteration", "step", "games", "positions", "examples"), 1),
            seconds=seconds,
            **{"kl": 0.0, "flops": flops, "flops_measured": 0},
        )

    before, now = line(10.0, 10**15), line(12.0, 3 * 10**15)
    assert "| 50.0% of the peak |" in describe_iteration(now, before, 8, peak=2e15)
    assert "peak" not in describe_iteration(now, before, 8)
