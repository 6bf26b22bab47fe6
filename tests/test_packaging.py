"""The package's own promises: what it needs, what it ships, and that its address stands in one place."""

import hashlib
import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import vizcourse
from vizcourse import notebooks

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEPENDENCIES = {one.name: one for one in map(Requirement, PROJECT["dependencies"])}
COLAB = {
    one.name: one
    for one in map(
        Requirement,
        re.findall(r"^[a-zA-Z].*$", (ROOT / "tests" / "colab-requirements.txt").read_text(), re.MULTILINE),
    )
}


def tracked() -> list[Path]:
    """The files that git holds."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def test_installed_version_and_command_are_these():
    installed = metadata.distribution("vizcourse")
    assert installed.version == vizcourse.__version__
    assert {"vizcourse": "vizcourse.cli:main"} == {
        entry.name: entry.value for entry in installed.entry_points if entry.group == "console_scripts"
    }


@pytest.mark.parametrize("name", sorted(DEPENDENCIES))
def test_what_colab_has_is_enough(name):
    """On Colab the course is installed without its dependencies, so each must be there in a fitting version."""
    assert name in COLAB, f"Colab has no {name}: the set-up cell must install it"
    for pin in COLAB[name].specifier:
        assert pin.version in DEPENDENCIES[name].specifier


def test_older_runtimes_of_colab_fit_too():
    assert "2.6.0" in DEPENDENCIES["torch"].specifier
    assert "2.13.0" not in DEPENDENCIES["torch"].specifier


def test_checks_are_no_requirement_of_learners():
    for_tests = {"pytest", "nbval", "playwright", "ruff", "jupytext", "nbclient", "captum"}
    assert not for_tests & set(DEPENDENCIES)


def test_the_address_stands_in_one_place():
    slug = PROJECT["urls"]["Repository"].partition("://")[2].partition("/")[2]
    generated = {notebooks.notebook_path(entry) for entry in notebooks.LESSONS}
    for path in tracked():
        content = text(path)
        if path in generated or path.name == "pyproject.toml":
            continue
        if path.name == "README.md":
            # The build writes these two.
            content = re.sub(r"<!-- lessons.*?<!-- /lessons -->|git clone \S+", "", content, flags=re.DOTALL)
        assert not re.search(rf"{re.escape(slug)}\b", content), f"{path.name} repeats the repository's address"


def test_the_readme_has_the_address_and_the_lessons_of_now():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "<!-- lessons" in readme and f"git clone {notebooks.repository()} vizcourse" in readme
    current = notebooks.stamp_readme(readme) == readme
    assert current, "the lessons or the address have changed: run `make notebooks`"


def test_nothing_names_a_folder_of_this_machine():
    here = {f"{ROOT}/", f"{Path.home()}/"} - {"//"}
    for path in tracked():
        found = [folder for folder in here if folder in text(path)]
        assert not found, f"{path.relative_to(ROOT)} names {found}"


def test_weights_stay_small_and_are_committed_whole():
    files = sorted((ROOT / "vizcourse" / "models" / "weights").glob("*.safetensors"))
    assert sum(path.stat().st_size for path in files) <= 80_000_000
    committed = set(tracked())
    assert all(path in committed for path in files)


def test_licences_are_there():
    assert "Redistribution and use in source and binary forms" in (ROOT / "LICENSE").read_text()
    assert "https://creativecommons.org/licenses/by/4.0/legalcode" in (ROOT / "LICENSE-TEXT").read_text()


def test_scripts_are_executable_and_sound():
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o100
    for script, shell in ((".ci/run", "bash"), ("tests/offline.sh", "sh")):
        assert subprocess.run([shell, "-n", ROOT / script]).returncode == 0


def test_conda_gets_the_same_package():
    environment = (ROOT / "environment.yml").read_text()
    assert "-e .[lab,test]" in environment
    repeated = [name for name in DEPENDENCIES if re.search(rf"^\s*- {name}\b", environment, re.MULTILINE)]
    assert not repeated, "what to install stands in pyproject.toml"


def test_no_two_committed_files_are_the_same():
    seen: dict[str, Path] = {}
    for path in tracked():
        content = path.read_bytes()
        if len(content) > 200:
            other = seen.setdefault(hashlib.sha256(content).hexdigest(), path)
            assert other == path, f"{path.relative_to(ROOT)} repeats {other.relative_to(ROOT)}"
