"""Help, versions, usage errors, and what becomes of exceptions, without fitting anything."""

import pytest

import amortis
from amortis._errors import ArgumentError
from amortis.cli import main
from amortis.cli.exit_codes import ExitCode, exit_code
from amortis.optimise import Status


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["demo", "fit", "reproduce", "Exit codes"]),
        (["--help"], ["demo", "fit", "reproduce"]),
        (["--version"], [amortis.__version__]),
        (["fit", "--help"], ["--data", "--inference", "polynomial[:DEGREE]", "--out"]),
        (["demo", "--help"], ["--out"]),
        (["reproduce", "--help"], ["--as", "--seeds"]),
    ],
)
def test_help_goes_to_the_output(capsys, arguments, words) -> None:
    assert main(arguments) == ExitCode.DONE
    out, err = capsys.readouterr()
    assert [word for word in words if word not in out] == []
    assert err == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fti"], "No such command 'fti'"),
        (["fit"], "Missing argument 'FILE.py:MODEL'"),
        (["fit", "m.py:model"], "Missing option '--data'"),
        (["fit", "m.py:model", "--data", "a.csv", "--inferense", "table"], "--inferense"),
        (["fit", "m.py:model", "--data", "a.csv", "--seed", "x"], "--seed"),
        (["fit", "m.py:model", "--data", "a.csv", "--seed", "-1"], "--seed is -1; expected 0 to"),
        (["fit", "m.py:model", "--data", "a.csv", "--draws", "0"], "--draws is 0; expected at le"),
        (["fit", "m.py:model", "--data", "a.csv", "--restarts", "0"], "--restarts is 0; expected"),
        (["reproduce", "lineer"], "no experiment 'lineer'; expected linear, nonlinear, saw, hmm,"),
        (["reproduce", "linear", "--as", "papr"], "--as is 'papr'; expected paper, code: did"),
        (["reproduce", "linear", "--seeds", "0"], "--seeds is 0; expected at least 1"),
        (["demo", "--out", "/dev/null/x"], "--out is '/dev/null/x', which cannot be made"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(capsys, arguments, words) -> None:
    assert main(arguments) == ExitCode.REFUSED == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("amortis: ") and err.count("\n") == 1
    assert words in err


def raising(error: BaseException):
    def load_model(where: str) -> None:
        raise error

    return load_model


ARGUMENTS = ["fit", "m.py:model", "--data", "a.csv"]


def test_several_lines_of_a_message_become_one(capsys, monkeypatch) -> None:
    monkeypatch.setattr("amortis.cli.fit_options.load_model", raising(ArgumentError("one\n  two")))
    assert main(ARGUMENTS) == 2
    assert capsys.readouterr().err == "amortis: one two\n"


@pytest.mark.parametrize("arguments", [["--debug", *ARGUMENTS], [*ARGUMENTS, "--debug"]])
def test_debug_shows_the_traceback_too(capsys, monkeypatch, arguments) -> None:
    monkeypatch.setattr("amortis.cli.fit_options.load_model", raising(ArgumentError("one")))
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err and err.endswith("\namortis: one\n")


def test_what_was_not_raised_on_purpose_keeps_its_traceback(monkeypatch) -> None:
    monkeypatch.setattr("amortis.cli.fit_options.load_model", raising(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        main(ARGUMENTS)


def test_an_interruption_before_there_is_anything_says_so(capsys, monkeypatch) -> None:
    monkeypatch.setattr("amortis.cli.fit_options.load_model", raising(KeyboardInterrupt()))
    assert main(ARGUMENTS) == 130
    assert capsys.readouterr().err == "amortis: interrupted before there was a result\n"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (Status.CONVERGED, 0),
        (Status.STALLED, 4),
        (Status.DRAWS_EXHAUSTED, 4),
        (Status.ITERATIONS_EXHAUSTED, 4),
        (Status.DIVERGED, 4),
        (Status.INTERRUPTED, 130),
    ],
)
def test_the_exit_code_says_how_a_fit_ended(status, code) -> None:
    assert exit_code(status) == code
