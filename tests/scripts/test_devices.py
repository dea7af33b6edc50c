"""Memory of cards: more than usual of those that nobody else uses, and never against a user."""

import os
from types import SimpleNamespace

import jax
import pytest

from scripts.terminal import console, devices
from training import cards


@pytest.mark.parametrize(
    ("told", "free"),
    [
        ("4, 81559\n", True),
        ("4, 81559\n20000, 81559\n", False),
        ("600, 12288\n", True),
        ("700, 12288\n", False),
        ("[N/A], [N/A]\n", False),
        ("", False),
        ("No devices were found\n", False),
    ],
)
def test_cards_are_free_if_each_is_next_to_empty(told, free):
    assert devices.are_free(told) == free


@pytest.mark.parametrize("own", [None, *devices.USERS_OWN])
def test_the_share_of_a_free_card_is_set_unless_the_user_has_said_something(
    own, tmp_path, monkeypatch, capsys
):
    (tmp_path / "version").write_text("driver")
    monkeypatch.setattr(cards, "DRIVER", tmp_path / "version")
    monkeypatch.setattr(devices, "QUERY", ["echo", "4, 81559"])
    for name in devices.USERS_OWN:
        monkeypatch.setenv(name, "")  # so that what is set below is taken back
        monkeypatch.delenv(name)
    if own:
        monkeypatch.setenv(own, "0.5")
    devices.take_free_cards()
    expected = "0.92" if own is None else "0.5" if own == devices.SHARE_FLAG else None
    assert os.environ.get(devices.SHARE_FLAG) == expected
    assert ("92% of each card" in capsys.readouterr().err) == (own is None)


def test_without_a_driver_or_its_program_nothing_is_set(tmp_path, monkeypatch):
    monkeypatch.setattr(cards, "DRIVER", tmp_path / "absent")
    devices.take_free_cards()
    monkeypatch.setattr(cards, "DRIVER", tmp_path)
    monkeypatch.setattr(devices, "QUERY", [str(tmp_path / "no-such-program")])
    devices.take_free_cards()
    assert devices.SHARE_FLAG not in os.environ


@pytest.mark.parametrize(
    ("platform", "kind", "said"),
    [
        (
            "gpu",
            "NVIDIA H100 80GB HBM3",
            "2 x gpu (NVIDIA H100 80GB HBM3), driver 550.54.15, "
            "peak in bfloat16 989 TFLOP/s each, jax",
        ),
        ("gpu", "NVIDIA T4", "2 x gpu (NVIDIA T4), driver 550.54.15, peak in bfloat16 not known"),
        ("tpu", "TPU v5 lite", "2 x tpu (TPU v5 lite), peak in bfloat16 197 TFLOP/s each, jax"),
        ("cpu", "cpu", "2 x cpu (cpu), jax"),
    ],
)
def test_the_first_line_names_card_driver_and_peak(
    platform, kind, said, tmp_path, monkeypatch, capsys
):
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX Kernel Module  550.54.15  Tue")
    monkeypatch.setattr(cards, "DRIVER", tmp_path / "version")
    two = [SimpleNamespace(platform=platform, device_kind=kind)] * 2
    monkeypatch.setattr(jax, "devices", lambda: two)
    console.announce_devices()
    assert capsys.readouterr().err.startswith(f"devices: {said}")
