"""The progress file: whole at every moment, shared by kernels, never fatal."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from vizcourse.exercises import answer
from vizcourse.exercises.feedback import collecting
from vizcourse.exercises.progress import (
    DamagedProgress,
    NewerProgress,
    Store,
    default_path,
    empty,
    in_memory,
    load,
    parse,
    record_attempt,
    record_hint,
    store,
)


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("VIZCOURSE_PROGRESS", str(tmp_path / "folder" / "progress.json"))
    return tmp_path / "folder" / "progress.json"


def test_where_it_stands(monkeypatch, tmp_path):
    monkeypatch.setenv("VIZCOURSE_PROGRESS", str(tmp_path / "mine.json"))
    assert default_path() == tmp_path / "mine.json"
    monkeypatch.delenv("VIZCOURSE_PROGRESS")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert default_path() == tmp_path / ".local/share/vizcourse/progress.json"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_path() == tmp_path / "data/vizcourse/progress.json"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_path() == tmp_path / "Library/Application Support/vizcourse/progress.json"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("APPDATA", str(tmp_path / "roaming"))
    assert default_path() == tmp_path / "roaming/vizcourse/progress.json"


def test_round_trip_and_schema(path):
    record_attempt("1.2", solved=False, mistake="average", submission="a")
    record_hint("1.2", 3)
    data = load(path)
    assert data["schema"] == 1 and data["exercises"]["1.2"]["mistakes"] == {"average": 1}
    assert data["exercises"]["1.2"]["hints"] == 1 and data == store().read()
    assert sorted(item.name for item in path.parent.iterdir() if item.suffix != ".lock") == ["progress.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        '"text"',
        "{}",
        '{"schema": "1"}',
        '{"schema": 1}',
        "\0\0\0\0",
        '{"schema": 1, "exercises": [], "predictions": {}}',
        '{"schema": 1, "exercises": {"1.1": 3}, "predictions": {}}',
        '{"schema": 1, "exercises": {"1.1": {"attempts": "many"}}, "predictions": {}}',
        '{"schema": 1, "exercises": {"1.1": {"mistakes": {"a": null}}}, "predictions": {}}',
        '{"schema": 1, "exercises": {}, "predictions": {"p1": 4}}',
        "[" * 100_000,
    ],
)
def test_damaged_file_is_set_aside_with_one_message(path, toys, monkeypatch, text):
    monkeypatch.setenv("VIZCOURSE_PROGRESS", str(path))
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(DamagedProgress):
        parse(text)
    with collecting() as messages:
        answer("99.2", 12)
        answer("99.2", 13)
    told = [message.plain for message in messages if message.id == "progress"]
    aside = [item for item in path.parent.iterdir() if ".damaged-" in item.name]
    assert len(told) == 1 and len(aside) == 1 and aside[0].name in told[0]
    assert aside[0].read_text() == text and load(path)["exercises"]["99.2"]["attempts"] == 2


def test_bytes_that_are_no_text(path):
    path.parent.mkdir()
    path.write_bytes(b"\xff\xfe\x00\x80")
    assert store().read() == empty()
    assert len(store().take_messages()) == 1


def test_two_damaged_files_in_one_second_do_not_overwrite_each_other(path):
    path.parent.mkdir()
    for text in ("one", "two"):
        path.write_text(text)
        store().update(lambda data: None)
    assert sorted(item.read_text() for item in path.parent.glob("*.damaged-*")) == ["one", "two"]


def test_newer_file_is_left_alone(path):
    path.parent.mkdir()
    text = '{"schema": 2, "exercises": {}, "predictions": {}, "more": 1}'
    path.write_text(text)
    with pytest.raises(NewerProgress):
        load(path)
    mine = Store(path)
    mine.update(lambda data: data["predictions"].update(p={}))
    assert path.read_text() == text and mine.read()["predictions"] == {"p": {}}
    assert "newer version" in mine.take_messages()[0]


def test_unwritable_goes_to_memory_with_one_message(tmp_path, toys, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("VIZCOURSE_PROGRESS", str(tmp_path / "file" / "progress.json"))
    with collecting() as messages:
        for value in (12, 13, 11):
            answer("99.2", value)
    told = [message.plain for message in messages if message.id == "progress"]
    assert len(told) == 1 and "kept in memory" in told[0] and "VIZCOURSE_PROGRESS" in told[0]
    assert store().read()["exercises"]["99.2"]["attempts"] == 3


def test_a_folder_in_the_place_of_the_file(tmp_path):
    mine = Store(tmp_path)
    mine.update(lambda data: None)
    assert mine.path is None and len(mine.take_messages()) == 1


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_read_only_folder_keeps_what_was_there(path):
    record_hint("1.1", 3)
    path.parent.chmod(0o500)
    try:
        mine = Store(path)
        mine.update(lambda data: None)
        assert mine.path is None and mine.read()["exercises"]["1.1"]["hints"] == 1
    finally:
        path.parent.chmod(0o700)


def test_lock_that_is_never_given_back(path, monkeypatch):
    from filelock import FileLock

    from vizcourse.exercises import core  # noqa: F401  (the module `progress` is hidden by the function of that name)

    module = sys.modules["vizcourse.exercises.progress"]
    monkeypatch.setattr(module, "_LOCK_SECONDS", 0.1)
    path.parent.mkdir()
    with FileLock(f"{path}.lock"):
        mine = Store(path)
        mine.update(lambda data: None)
    assert "another program holds its lock" in mine.take_messages()[0]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    Store(tmp_path / "link.json").update(lambda data: None)
    assert (tmp_path / "link.json").is_symlink() and load(tmp_path / "real.json") == empty()


def test_in_memory_leaves_the_file_alone(path):
    with in_memory() as inner:
        record_hint("1.1", 3)
        assert store() is inner and inner.read()["exercises"]["1.1"]["hints"] == 1
    assert not path.exists() and store().read() == empty()


def test_entries_of_an_older_kind_are_completed():
    data = parse('{"schema": 1, "exercises": {"1.1": {"status": "solved"}}, "predictions": {}}')
    assert data["exercises"]["1.1"]["attempts"] == 0 and data["exercises"]["1.1"]["status"] == "solved"


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        check=True,
        timeout=120,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ).stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_two_kernels_at_once_lose_nothing(path):
    run("""
        import os
        from vizcourse.exercises.progress import record_hint
        children = []
        for kernel in range(2):
            child = os.fork()
            if not child:
                for _ in range(60):
                    record_hint("1.1", 1000)
                    record_hint(f"2.{kernel}", 1000)
                os._exit(0)
            children.append(child)
        assert all(os.waitpid(child, 0)[1] == 0 for child in children)
        """)
    hints = {name: entry["hints"] for name, entry in load(path)["exercises"].items()}
    assert hints == {"1.1": 120, "2.0": 60, "2.1": 60}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_killed_in_the_middle_of_a_write_the_file_is_always_whole(path):
    # One process imports everything once; its children write without end and are killed at odd moments. The file is
    # large, so that many of those moments lie in the middle of a write.
    output = run("""
        import os, random, signal, time
        from vizcourse.exercises.progress import default_path, load, record_hint, store
        random.seed(0)
        store().update(lambda data: data["predictions"].update(large={"value": "x" * 3_000_000}))
        half_written = seen = 0
        for kill in range(50):
            child = os.fork()
            if not child:
                while True:
                    record_hint("1.1", 10**9)
            time.sleep(random.uniform(0.01, 0.08))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            half_written += default_path().with_name("progress.json.tmp").exists()
            hints = load(default_path())["exercises"].get("1.1", {"hints": 0})["hints"]
            assert hints >= seen, (hints, seen)
            seen = hints
        record_hint("1.1", 10**9)
        assert store().take_messages() == []
        assert load(default_path())["exercises"]["1.1"]["hints"] == seen + 1
        print(half_written, seen)
        """)
    half_written, hints = map(int, output.split())
    assert half_written and hints, "no kill fell into a write: the test proves nothing"
    assert sorted(item.name for item in path.parent.iterdir()) == ["progress.json", "progress.json.lock"]
    assert json.loads(path.read_text())["exercises"]["1.1"]["hints"] == hints + 1
