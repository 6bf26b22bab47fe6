"""The house's order: which part may import which, and what importing costs."""

import ast
import functools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import networkx
import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "vizcourse"

# What each part may import of the course, besides itself. `course` is the table alone; what it names is imported when asked.
LIBRARY = {"worlds", "hooks", "plotting", "models", "methods"}
ALLOWED = {
    "course": set(),
    "worlds": set(),
    "layers": set(),
    "hooks": {"layers"},
    "plotting": {"worlds", "hooks"},
    "models": {"worlds", "hooks", "methods"},  # of the methods the intervals alone, for the figures on a card
    "methods": {"hooks"},
    "exercises": {"course", "hooks", "plotting"},
    "widgets": {"plotting"},
    "studies": {"course"},
    "lessons": {*LIBRARY, "exercises", "widgets", "studies"},
}
# Whatever else there is (the commands, the builder) stands on top: it may import all parts, and no part imports it.

# Parts that work on tensors and know nothing of a screen.
WITHOUT_SCREEN = {"worlds", "layers", "hooks", "models", "methods"}
SCREEN = {"ipywidgets", "IPython", "matplotlib"}

# The skeleton of a lesson brings the skeleton of its tests.
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if not path.name.startswith("test_"))
PARTS = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES}
every_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@functools.cache
def imports(path: Path) -> set[str]:
    """All absolute names that a module imports, anywhere in it: ``from a import b`` gives ``a`` and ``a.b``."""
    package = ("vizcourse", *path.relative_to(PACKAGE).parts[:-1])
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join((*package[: len(package) - node.level + 1], *filter(None, [node.module])))
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return names


def third_party(path: Path) -> set[str]:
    top = {name.partition(".")[0] for name in imports(path)}
    return top - set(sys.stdlib_module_names) - {"vizcourse", "__future__"}


@every_module
def test_imports_run_one_way(path):
    used = {name.split(".")[1] for name in imports(path) if name.startswith("vizcourse.")}
    # A name that is no part is an attribute of the package itself, such as __version__.
    forbidden = (used & PARTS) - ALLOWED.get(part(path), PARTS) - {part(path)}
    assert not forbidden, f"{path.relative_to(ROOT)} must not import {', '.join(sorted(forbidden))}"


def test_models_take_nothing_from_the_methods_but_intervals():
    taken = {name for path in MODULES if part(path) == "models" for name in imports(path)}
    taken = {name for name in taken if name.startswith("vizcourse.methods")}
    assert taken <= {"vizcourse.methods.intervals", "vizcourse.methods.intervals.wilson"}


def named(path: Path) -> str:
    return ".".join(("vizcourse", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def test_no_file_imports_itself_round_a_corner():
    """File by file, imports inside functions included: a circle that is only put off is one, too."""
    files = {named(path): path for path in MODULES}
    graph = networkx.DiGraph()
    for name, path in files.items():
        used = imports(path) & set(files) - {name, "vizcourse"}
        # `from package import module` is an import of the module; a name that the package hands on, one of the package.
        parents = {other.rpartition(".")[0] for other in used}
        handed_on = {other for other in imports(path) if other.rpartition(".")[0] in files and other not in files}
        packages = {other.rpartition(".")[0] for other in handed_on}
        graph.add_edges_from((name, other) for other in used if other not in parents or other in packages)
    circles = [" → ".join(sorted(circle)) for circle in networkx.strongly_connected_components(graph) if len(circle) > 1]
    assert not circles, circles


@every_module
def test_a_lesson_knows_no_other_lesson(path):
    if part(path) == "lessons" and len(path.relative_to(PACKAGE).parts) > 2:
        room = path.relative_to(PACKAGE).parts[1]
        others = {name.split(".")[2] for name in imports(path) if name.startswith("vizcourse.lessons.")} - {room}
        assert not others, f"{path.relative_to(ROOT)} takes from another lesson's room: move that down a floor"


@every_module
def test_methods_and_worlds_know_no_screen(path):
    if part(path) in WITHOUT_SCREEN:
        assert not third_party(path) & SCREEN


@every_module
def test_comm_is_never_imported(path):
    # Colab has no package of that name.
    assert "comm" not in third_party(path)


@every_module
def test_only_declared_packages_are_imported(path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.match(r"[\w-]+", line)[0] for line in project["dependencies"]}
    modules = {{"pillow": "PIL", "scikit-image": "skimage", "scikit-learn": "sklearn"}.get(name, name) for name in declared}
    modules |= {"IPython"}  # ipywidgets cannot be without it
    if path.name == "notebooks.py":
        modules |= {"jupytext", "nbclient", "nbformat", "jupyter_client"}  # for authors only, imported when used
    if path.name == "interventions.py":
        modules |= {"diffusers"}  # imported when used; without it, a clear error
    if path.name == "imagenet.py":
        modules |= {"timm"}  # the extra `imagenet`; imported when used, likewise
    assert third_party(path) <= modules


def fresh(code: str) -> str:
    """What a new interpreter prints."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.strip()


@pytest.mark.parametrize("module", ["vizcourse", "vizcourse.cli", "vizcourse.course", "vizcourse.notebooks"])
def test_the_package_and_its_commands_start_without_the_heavy_packages(module):
    heavy = "('torch', 'torchvision', 'matplotlib', 'ipywidgets', 'jupytext', 'skimage', 'IPython')"
    assert fresh(f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])") == "[]"


def test_importing_everything_changes_no_global_state():
    names = [named(path) for path in MODULES]
    code = (
        "import importlib, torch, random, numpy as np, matplotlib\n"
        "style = dict(matplotlib.rcParams)\n"
        "def state():\n"
        "    return (torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype(),\n"
        "            torch.random.get_rng_state().tolist(), random.getstate(),\n"
        "            str(np.random.get_state()), torch.are_deterministic_algorithms_enabled())\n"
        "before = state()\n"
        f"for name in {names}:\n"
        "    importlib.import_module(name)\n"
        "    assert state() == before, name\n"
        "    assert dict(matplotlib.rcParams) == style, name\n"
        "print('same')"
    )
    assert fresh(code) == "same"
