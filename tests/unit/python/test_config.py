"""The configuration: what is accepted, and what an error says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vmtpy.config import Config, HooksConfig, load, parse
from vmtpy.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "vmtpy.toml"
    file.write_text("")
    assert load(file) == Config()
    assert load(file).quiesce.timeout == 30


def test_every_key_is_read(tmp_path: Path) -> None:
    file = tmp_path / "vmtpy.toml"
    file.write_text(
        "[quiesce]\ntimeout = 12\nfilesystem_timeout = 1.5\ninclude = ['/srv']\n"
        "exclude = ['/srv/tmp*']\nexpedite_rcu = false\n"
        "[poll]\nmin = 0.02\nmax = 1\nbusy = 0.001\n"
        "[hooks]\ndirectory = '/srv/hooks'\nlegacy = true\nentry_points = true\ntimeout = 5\n"
        "optional = ['10-cache']\n"
        "[postgresql]\ndsn = 'host=/run/postgresql'\n"
    )
    config = load(file)
    assert config.quiesce.timeout == 12.0
    assert config.quiesce.filesystem_timeout == 1.5
    assert config.quiesce.include == ("/srv",)
    assert config.quiesce.exclude == ("/srv/tmp*",)
    assert config.quiesce.expedite_rcu is False
    assert (config.poll.min, config.poll.max, config.poll.busy) == (0.02, 1.0, 0.001)
    assert config.hooks == HooksConfig("/srv/hooks", True, True, 5.0, ("10-cache",))
    assert config.postgresql.dsn == "host=/run/postgresql"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[quiesce]\ntimeot = 3", r"\[quiesce\] has no key 'timeot'; allowed: timeout, "),
        ("[quiesce]\ntimeout = 0", r"\[quiesce\] timeout = 0: .*seconds from 0.1 to 240"),
        ("[quiesce]\ntimeout = 'x'", r"\[quiesce\] timeout = 'x': .*number of seconds"),
        ("[quiesce]\ntimeout = true", r"timeout = True: .*number of seconds"),
        ("[quiesce]\ntimeout = nan", r"timeout = nan: .*number of seconds"),
        ("[quiesce]\ninclude = '/srv'", r"include = '/srv': the value must be a list of absolute"),
        ("[quiesce]\ninclude = ['']", r"include = \[''\]: the value must be a list of absolute"),
        ("[quiesce]\nexclude = ['/a', 'b']", r"'b'\]: the value must be a list of absolute paths"),
        ("[quiesce]\nexpedite_rcu = 1", r"expedite_rcu = 1: the value must be true or false"),
        ("[poll]\nbusy = 0.01", r"busy = 0.01: .*seconds from 0.0005 to 0.005"),
        ("[poll]\nmin = 0.9", r"\[poll\] min = 0.9 must not be more than max = 0.6"),
        ("quiesce = 1", r"quiesce must be a table: write \[quiesce\]"),
        ("[pol]", r"unknown key 'pol'; allowed: \[quiesce\], \[host\], \[poll\], \[guest_info\]"),
        ("[poll", r"not valid TOML"),
        (
            "[hooks]\ndirectory = 'x'",
            r"directory = 'x': the value must be an absolute path, or \"\" for none",
        ),
        ("[hooks]\ntimeout = 0", r"\[hooks\] timeout = 0: .*seconds from 0.1 to 600"),
        (
            "[hooks]\noptional = 'a'",
            r"optional = 'a': the value must be a list of names, like \[\"10-cache",
        ),
        (
            "[postgresql]\ndsn = 5",
            r"\[postgresql\] dsn = 5: the value must be a connection string like",
        ),
        (
            "[power]\nhalt = []",
            r"halt = \[\]: the value must be a list of a program and its arguments",
        ),
        ('[power]\nhalt = ["a\\u0000b"]', r"b'\]: the value must be a list of a program"),
        ('[hooks]\ndirectory = "/a\\u0000b"', r"b': the value must be an absolute path"),
        ("[power]\nhalt = 'off'", r"halt = 'off': the value must be a list of a program"),
        (
            "[tools]\nversion = -1",
            r"version = -1: the value must be a whole number from 0 to 2147483647",
        ),
        ("[tools]\nversion = 1.5", r"version = 1.5: the value must be a whole number"),
        ("[tools]\nversion = true", r"version = True: the value must be a whole number"),
        ("[time]\nsynchronize = 1", r"synchronize = 1: the value must be true or false"),
        (
            "[host]\ntransport = 'tcp'",
            r"'tcp': the value must be \"auto\", \"vsock\", \"port\" or \"hyper",
        ),
        ("[guest_info]\ninterval = 0", r"interval = 0: .*seconds from 1 to 3600"),
    ],
)
def test_a_bad_file_is_refused_by_name_key_and_what_is_allowed(
    text: str, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message) as raised:
        load(file)
    assert str(file) in str(raised.value)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"/nowhere/vmtpy\.toml: No such file or directory"):
        load("/nowhere/vmtpy.toml")


def test_bytes_that_are_no_text_are_an_error(tmp_path: Path) -> None:
    file = tmp_path / "binary.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(file)


def test_parse_names_the_source() -> None:
    with pytest.raises(ConfigError, match=r"^here: unknown key 'x'"):
        parse({"x": {}}, "here")
