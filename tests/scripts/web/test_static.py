"""The browser's files: what a module imports is there, and what is vendored is as published."""

import hashlib
import json
import re

from tests.support import ROOT

STATIC = ROOT / "scripts" / "web" / "static"
IMPORT = re.compile(r'import \{ ([\w, ]+) \} from "([\w./]+)";\n')


def test_what_a_module_imports_is_what_the_other_one_exports():
    files = [file for file in STATIC.rglob("*.js") if file.parent.name != "vendor"]
    assert len(files) > 30
    for file in files:
        for names, other in IMPORT.findall(file.read_text()):
            text = (file.parent / other).read_text()
            for name in names.split(", "):
                exported = rf"^export (?:async )?(?:function\*?|const|let|class) {name}\b"
                assert re.search(exported, text, re.M), f"{file.name}: {name} of {other}"


def test_what_is_vendored_is_as_it_was_published_with_its_licence():
    vendor = STATIC / "vendor"
    noted = json.loads((vendor / "vendor.json").read_text())
    sums = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in vendor.iterdir()
        if path.name != "vendor.json"
    }
    assert sums == noted["sha256"]
    assert noted["version"] in (vendor / "uPlot.iife.min.js").read_text()[:80]
    assert "MIT License" in (vendor / "uPlot.LICENSE").read_text()
    assert noted["licence"] == "MIT"
