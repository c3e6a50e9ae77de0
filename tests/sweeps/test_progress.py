"""What a running sweep shows, as text."""

import io

import pytest

from sweeps.progress import Display, RunningTrial, Snapshot, clock, ended_line, headline, running_line
from sweeps.record.rows import Ending, EndReason, TrialState

TRIAL = RunningTrial(
    name="tau_base=0.99, seed 1", step=40, steps_planned=100, loss=0.5123, representation_std=0.8331
)
NOW = Snapshot(
    planned=48, done=12, collapsed=5, failed=1, running=(TRIAL,), elapsed_seconds=62, seconds_left=190
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(text: str) -> list[str]:
    """The lines on a terminal after `text`, which moves the cursor up and erases what it redraws."""
    screen: list[str] = []
    for number, part in enumerate(text.split("\x1b[J")):
        part, _, up = part.partition("\x1b[")
        screen += part.splitlines()
        assert (number == text.count("\x1b[J")) == (not up)
        screen = screen[: len(screen) - int(up.removesuffix("F"))] if up else screen
    return screen


def test_the_headline_counts_everything() -> None:
    assert headline(NOW) == (
        "12/48 done · 1 running · 35 left · 5 collapsed · 1 failed · 1:02 elapsed, about 3:10 left"
    )
    at_start = Snapshot(
        planned=8, done=0, collapsed=0, failed=0, running=(), elapsed_seconds=0, seconds_left=None
    )
    assert headline(at_start) == "0/8 done · 0 running · 8 left · 0 collapsed · 0:00 elapsed"


def test_a_running_trial_shows_loss_and_std() -> None:
    assert running_line(TRIAL) == "step 40/100  loss 0.512  std 0.833  tau_base=0.99, seed 1"
    started = RunningTrial(name="x", steps_planned=10)
    assert running_line(started) == "step 0/10  loss     -  std     -  x"


def test_the_line_of_an_ended_trial_says_how_it_ended() -> None:
    finished = Ending(state=TrialState.COMPLETE, end_reason=EndReason.FINISHED, collapsed=True)
    assert ended_line("x", TRIAL, finished) == "collapsed: x: loss 0.512, std 0.833 at step 40"
    failed = Ending(state=TrialState.FAIL, end_reason=EndReason.ERROR, error="ValueError: no")
    assert ended_line("x", TRIAL, failed) == "failed: x: ValueError: no"


@pytest.mark.parametrize(
    ("seconds", "text"), [(7, "0:07"), (59.6, "1:00"), (750, "12:30"), (11100, "3:05:00")]
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_a_log_file_gets_plain_lines_and_no_control_codes() -> None:
    stream, now = io.StringIO(), [0.0]
    display = Display(stream, now=lambda: now[0], interval=30)
    for now[0] in (1.0, 29.0, 30.0, 45.0, 61.0):
        display.tick(lambda: NOW)
    display.ended("finished: x", NOW)
    display.close()
    lines = stream.getvalue().splitlines()
    assert lines == [f"{headline(NOW)} · {running_line(TRIAL)}"] * 2 + [f"{headline(NOW)} · finished: x"]
    assert "\x1b" not in stream.getvalue()
    assert "\r" not in stream.getvalue()


def test_a_note_from_another_thread_is_shown_above_the_redrawn_block() -> None:
    stream, now = Terminal(), [0.0]
    display = Display(stream, now=lambda: now[0])
    for now[0], note in ((1.0, "the store fails"), (2.0, ""), (3.0, "the last word")):
        display.tick(lambda: NOW)
        if note:
            display.note(note)
    display.close()
    state = [headline(NOW), f"  {running_line(TRIAL)}"]
    assert shown(stream.getvalue()) == ["the store fails", *state, "the last word"]


def test_a_terminal_is_redrawn_in_place_within_its_width() -> None:
    stream, now = Terminal(), [0.0]
    display = Display(stream, columns=60, now=lambda: now[0])
    for now[0] in (1.0, 1.2, 2.0):
        display.tick(lambda: NOW)
    first, second = stream.getvalue().split("\x1b[2F\x1b[J")
    assert first == second
    assert [len(line) for line in first.splitlines()] == [59, 59]
    display.ended("failed: x: boom", NOW, failed=True)
    assert "failed: x: boom\n" in stream.getvalue()
