"""Cross-checks cannot be skipped in silence."""

import re
from pathlib import Path

import pytest

from tests.peers import peer

MISSING = "a_peer_that_nobody_has_installed"


def test_a_missing_peer_skips_at_the_desk_and_fails_on_the_build_server(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=f"{MISSING} is not installed"):
        peer(f"{MISSING}.part")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="has failed"):
        peer(MISSING)


def test_a_peer_that_breaks_is_not_taken_for_missing(tmp_path, monkeypatch):
    (tmp_path / "broken_peer.py").write_text(f"import {MISSING}")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match=MISSING):
        peer("broken_peer")


@pytest.mark.parametrize("file", sorted(Path(__file__).parent.rglob("test_*.py")), ids=lambda file: file.name)
def test_no_test_skips_a_peer_by_itself(file):
    """importorskip would skip on the build server, too."""
    peers = r"captum|pytorch_grad_cam|lucent|pyvene|nnsight|zennit|quantus|timm|transformers"
    assert not re.search(rf"importorskip\(\s*[\"'](?:{peers})", file.read_text(encoding="utf-8"))
