"""docs/settings.md: what the script writes, which is what `train` takes."""

import dataclasses
import re

from scripts.developer import settings_page
from scripts.flags import train
from scripts.terminal import console
from training.config import RunConfig

TEXT = settings_page.PAGE.read_text()


def test_the_page_is_what_the_script_writes():
    assert settings_page.page() == TEXT, "run python -m scripts.developer.settings_page"


def test_every_setting_of_the_page_is_a_flag_and_has_its_preset_s_default():
    rows = re.findall(r"^\| `(.*?)` \| (.*?) \| (.*?) \| (.*?) \| .+ \|$", TEXT, re.MULTILINE)
    for column, preset in ((1, "quick"), (2, "gpu"), (3, "gpu-small")):
        argv = ["--preset", preset, "--game", "breakthrough"]  # which has no preset of its own
        for name, value in ((row[0], row[column]) for row in rows if row[0] != "game"):
            part, _, last = name.rpartition(".")
            no = f"{part}.no-{last}".lstrip(".")
            switch = {"on": [f"--{name}"], "off": [f"--{no}"], "none": [f"--{name}", ""]}
            argv += switch.get(value, [f"--{name}", value])
        default = train.defaults(["--preset", preset, "--game", "breakthrough"])
        assert console.parse(train.Args, argv, "train", default) == default


def test_the_page_has_a_row_for_each_field():
    def count(config):
        values = [getattr(config, field.name) for field in dataclasses.fields(config)]
        return sum(count(v) if dataclasses.is_dataclass(v) else 1 for v in values)

    assert len(re.findall(r"^\| `", TEXT, re.MULTILINE)) == count(RunConfig()) > 60
