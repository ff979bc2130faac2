"""Hooks run as root: what somebody else could change is refused, and the reason is said."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support.hooks import seen, write_script
from support.loop import require_root

from vmtpy.config import HooksConfig
from vmtpy.hooks import HookError, Hooks
from vmtpy.hooks.trust import distrust

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = 65534


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / "hooks.d"
    directory.mkdir(mode=0o755)
    return directory


def refusal(place: Path, **config: object) -> str:
    hooks = Hooks(HooksConfig(directory=str(place), **config))
    with pytest.raises(HookError) as raised:
        hooks.freeze()
    assert seen(place) == []
    return str(raised.value)


def test_what_only_root_can_change_is_trusted(place: Path) -> None:
    script = write_script(place / "a")
    assert distrust(str(script)) == ""
    assert distrust("/bin/sh") == ""
    assert distrust("/proc/self/../../bin/./sh") == ""


@pytest.mark.parametrize(("mode", "who"), [(0o775, "its group"), (0o757, "everybody")])
def test_a_file_that_others_can_write_is_refused(place: Path, mode: int, who: str) -> None:
    script = write_script(place / "a", mode=mode)
    assert refusal(place) == f"hook {script} is refused: {script} is writable by {who}"


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o1777])
def test_a_directory_that_others_can_write_is_refused_even_if_it_is_empty(
    place: Path, mode: int
) -> None:
    place.chmod(mode)
    assert refusal(place).startswith(f"the hooks directory {place} is refused: {place} is writable")


def test_a_directory_above_that_others_can_write_is_refused(place: Path) -> None:
    write_script(place / "a")
    place.parent.chmod(0o770)
    assert f"{place.parent} is writable by its group" in refusal(place)


def test_a_file_of_somebody_else_is_refused(place: Path) -> None:
    require_root()
    script = write_script(place / "a")
    os.chown(script, NOBODY, -1)
    assert f"{script} belongs to user {NOBODY}, not to root" in refusal(place)


def test_a_directory_of_somebody_else_is_refused(place: Path) -> None:
    require_root()
    os.chown(place, NOBODY, -1)
    assert f"{place} belongs to user {NOBODY}, not to root" in refusal(place)


def test_a_link_is_followed_through_every_directory(place: Path, tmp_path: Path) -> None:
    target = write_script(place / "real")
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.mkdir()
    bad.mkdir()
    (good / "link").symlink_to("../hooks.d/real")
    (bad / "link").symlink_to(target)
    (tmp_path / "fine").symlink_to("good/link")
    (tmp_path / "turned").symlink_to("bad/link")
    assert distrust(str(tmp_path / "fine")) == ""
    bad.chmod(0o777)
    assert distrust(str(tmp_path / "turned")) == f"{bad} is writable by everybody"
    assert os.path.realpath(tmp_path / "turned") == str(target)  # which alone would be trusted


def test_a_link_of_somebody_else_is_refused(place: Path, tmp_path: Path) -> None:
    require_root()
    link = tmp_path / "link"
    link.symlink_to(write_script(place / "a"))
    os.lchown(link, NOBODY, -1)
    assert distrust(str(link)) == f"{link} belongs to user {NOBODY}, not to root"


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert "too many symbolic links" in distrust(str(tmp_path / "a"))


def test_an_untrusted_optional_hook_is_not_run_and_the_backup_goes_on(place: Path) -> None:
    write_script(place / "a", mode=0o777)
    write_script(place / "b")
    log: list[str] = []
    hooks = Hooks(HooksConfig(directory=str(place), optional=("a",)), log=log.append)
    hooks.freeze()
    hooks.thaw(aborted=False)
    assert seen(place) == ["b freeze", "b thaw"]
    assert len(log) == 1
    assert "is refused" in log[0]


def test_a_hook_that_lost_its_trust_while_frozen_is_not_run(place: Path) -> None:
    script = write_script(place / "a")
    log: list[str] = []
    hooks = Hooks(HooksConfig(directory=str(place)), log=log.append)
    hooks.freeze()
    script.chmod(0o777)
    hooks.thaw(aborted=False)
    assert seen(place) == ["a freeze"]
    assert log == [f"hook {script} is refused: {script} is writable by everybody"]
