"""One key of a configuration is changed; comments, order and everything else stay."""

from __future__ import annotations

import pytest

from vmtpy.config_edit import remove_key, set_key
from vmtpy.errors import ConfigError

TEXT = """\
# mine
[quiesce]  # what is frozen
timeout = 20   # short
exclude = [
    "/mnt/*",  # removable
    "/srv",
]

[hooks]
legacy = true
"""


def test_a_value_is_replaced_where_it_stands() -> None:
    made = set_key(TEXT, "quiesce", "timeout", 25.5)
    assert made == TEXT.replace("timeout = 20   # short", "timeout = 25.5")


def test_a_list_over_several_lines_is_replaced_as_one() -> None:
    made = set_key(TEXT, "quiesce", "exclude", ["/a"])
    assert made.splitlines()[:5] == [*TEXT.splitlines()[:3], 'exclude = ["/a"]', ""]
    assert made.endswith(TEXT[TEXT.index("\n[hooks]") :])


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("", '[poll]\nmax = "x"\n'),
        ("[poll]\n", '[poll]\nmax = "x"\n'),
        ("[poll]", '[poll]\nmax = "x"\n'),
        ("[a]\nmax = 1\n", '[a]\nmax = 1\n\n[poll]\nmax = "x"\n'),
        ("[poll]\nmaximum = 1\n[a]\nmax = 2\n", '[poll]\nmax = "x"\nmaximum = 1\n[a]\nmax = 2\n'),
    ],
)
def test_what_is_not_there_is_added_to_its_table(text: str, made: str) -> None:
    assert set_key(text, "poll", "max", "x") == made


def test_a_key_is_removed_and_its_absence_is_no_error() -> None:
    made = remove_key(TEXT, "quiesce", "exclude")
    assert made == TEXT[: TEXT.index("exclude")] + TEXT[TEXT.index("\n[hooks]") :]
    assert remove_key(made, "quiesce", "exclude") == made
    assert remove_key(made, "none", "key") == made


@pytest.mark.parametrize("text", ["quiesce.timeout = 1\n", "quiesce = {timeout = 1}\n"])
def test_another_way_of_writing_is_left_to_people(text: str) -> None:
    with pytest.raises(ConfigError, match="edit the file by hand"):
        set_key(text, "quiesce", "timeout", 2)


def test_what_is_not_toml_is_named() -> None:
    with pytest.raises(ConfigError, match="not valid TOML"):
        set_key("[a\n", "a", "b", 1)
