"""The engine inside IPython: what is displayed, how errors look, and that cells of every sort work."""

import pytest

IPython = pytest.importorskip("IPython")


@pytest.fixture
def shell(toys, monkeypatch):
    """An IPython shell that keeps what is displayed."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()

    def run(cell):
        with capture_output() as captured:
            result = shell.run_cell(cell, store_history=True)
        return captured, result

    run("import torch\nfrom vizcourse.exercises import *")
    yield run
    InteractiveShell.clear_instance()


def test_feedback_is_a_bundle_of_text_and_html(shell, toys):
    from vizcourse.exercises.core import expected_bundle

    captured, _ = shell('answer("99.2", 11)')
    assert [output.data for output in captured.outputs] == [expected_bundle("99.2")]
    assert captured.stdout == "" and captured.stderr == ""


def test_function_cells(shell):
    captured, _ = shell('@attempt("99.1")\ndef max_pool(image, size=2):\n    """Doc."""\n    ...  # your turn')
    assert captured.outputs[0].data["text/plain"].startswith("○ 99.1 not started")
    captured, _ = shell("max_pool(torch.ones(1, 2, 2)).shape")
    assert "[1, 1, 1]" in captured.stdout
    captured, result = shell('@attempt("99.1")\ndef max_pool(image, size=2):\n    return imag')
    assert "stopped at line 3 of `max_pool`" in captured.outputs[0].data["text/plain"] and result.success


def test_cells_with_magic_commands(shell):
    captured, _ = shell('%matplotlib --list\n@attempt("99.1")\ndef max_pool(image, size=2):\n    ...')
    assert captured.outputs[-1].data["text/plain"].startswith("○ 99.1")


def test_classes_are_found_in_cells(shell):
    cell = '@attempt("99.5")\nclass Doubler(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n'
    captured, _ = shell(cell + "        ...\n    def forward(self, x):\n        ...")
    assert captured.outputs[0].data["text/plain"].startswith("○ 99.5")


def test_an_unknown_exercise_is_one_sentence(shell):
    captured, result = shell('answer("99.22", 3)')
    assert not result.success and "Traceback" not in captured.stdout
    assert captured.stdout.strip().splitlines()[0] == '✗ There is no exercise "99.22". Did you mean 99.2?'


def test_progress_is_a_table(shell):
    captured, _ = shell("progress()")
    assert "<table " in captured.outputs[-1].data["text/html"] and "99.1" in captured.outputs[-1].data["text/plain"]
