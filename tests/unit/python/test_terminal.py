"""What `vmtpy demo` shows, on a terminal and elsewhere."""

from __future__ import annotations

import io
from typing import TextIO

import pytest

from vmtpy.cli.demo import tell
from vmtpy.demo.result import DemoResult, Moment
from vmtpy.demo.terminal import Terminal


class Screen(io.TextIOWrapper):
    """A stream that says what it is."""

    def __init__(self, *, tty: bool, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty

    def text(self) -> str:
        self.flush()
        bytes_: io.BytesIO = self.buffer  # type: ignore[assignment]
        return bytes_.getvalue().decode(self.encoding)


def result() -> DemoResult:
    moments = [Moment("start", 5.0, "the host asks"), Moment("done", 6.2345, "req.done")]
    findings = [(True, "e2fsck: clean"), (False, "[bold]a path ü[/bold] is missing")]
    return DemoResult(moments=moments, snapshot=0.25, longest_wait=0.2556, findings=findings)


def shown(stream: TextIO) -> None:
    terminal = Terminal(stream)
    with terminal.progress() as progress:
        progress("writing")
    tell(terminal, result())


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_without_a_terminal_it_is_plain_text() -> None:
    screen = Screen(tty=False)
    shown(screen)
    assert screen.text() == (
        "    ms\n"
        "   0.0  start  the host asks\n"
        "1234.5  done   req.done\n"
        "\n"
        "Longest wait of any write: 255.6 ms (the host's snapshot took 250.0 ms of it, "
        "the guest 5.6 ms)\n"
        "\n"
        "✓ e2fsck: clean\n"
        "✗ [bold]a path ü[/bold] is missing\n"
        "\n"
        "The snapshot is not clean and complete; the lines marked above say why.\n"
    )


def test_a_terminal_is_told_what_is_going_on_and_forgets_it() -> None:
    screen = Screen(tty=True)
    shown(screen)
    assert screen.text().startswith("\r\x1b[2K\x1b[2mwriting …\x1b[0m\r\x1b[2K")
    assert "\x1b[32m✓\x1b[0m e2fsck: clean\n" in screen.text()


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_who_wants_no_colours_gets_none(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    screen = Screen(tty=True)
    shown(screen)
    assert "\x1b[3" not in screen.text()
    assert "✓ e2fsck: clean\n" in screen.text()


def test_an_encoding_without_ticks_gets_words() -> None:
    screen = Screen(tty=True, encoding="ascii")
    shown(screen)
    assert "writing ..." in screen.text()
    assert "ok:\x1b[0m e2fsck: clean\n" in screen.text()
    assert "WRONG:\x1b[0m [bold]a path \\xfc[/bold] is missing\n" in screen.text()
