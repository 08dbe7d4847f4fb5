"""The two lists of commands, for make and for Windows: alike, and without a name that leads nowhere."""

import re

from scripts import setup
from tests.support.server import ROOT


def test_the_makefile_and_start_bat_name_files_that_exist() -> None:
    windows = (ROOT / "start.bat").read_text()
    for text in (windows.replace("\\", "/"), (ROOT / "Makefile").read_text()):
        paths = set(re.findall(r"(?<![\w/.-])(?:[\w-]+/)*[\w-]+\.(?:py|txt)\b", text))
        paths |= {name.replace(".", "/") + ".py" for name in re.findall(r"-m (scripts[\w.]+)", text)}
        assert {"scripts/setup.py", "scripts/npm_ci.py", "scripts/demo/run.py", "main.py"} <= paths
        assert [path for path in paths if not (ROOT / path).exists()] == []


def test_both_ask_for_the_same_parts_and_each_exists() -> None:
    windows = re.findall(r"(?m)^%SETUP% ([a-z -]+?)(?: \|\||$)", (ROOT / "start.bat").read_text())
    targets = dict(re.findall(r"(?m)^(\w+):.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text()))
    unix = {
        target: re.findall(r"\$\(SETUP\) ([a-z -]+?)(?: \|\||$)", lines, re.MULTILINE)
        for target, lines in targets.items()
    }
    assert windows == [*unix["run"], *unix["demo"], *unix["test"]]
    named = {part for parts in unix.values() for words in parts for part in words.split()}
    assert named | {"tests-chroma"} == set(setup.PARTS)


def test_every_part_has_a_lock_file() -> None:
    locks = {lock for _, lock in setup.PARTS.values()} | {setup.UV}
    assert [lock for lock in locks if not (ROOT / lock).exists()] == []
