"""The command line: vizcourse doctor | check | new | train | study | solutions | report.

Every command imports what it needs when it is called, so that `vizcourse --help` is there at once.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from vizcourse import __version__


def parser() -> argparse.ArgumentParser:
    main_parser = argparse.ArgumentParser(
        prog="vizcourse",
        description="See inside vision models: the course's commands for learners, teachers and authors.",
    )
    main_parser.add_argument("--version", action="version", version=f"vizcourse {__version__}")
    commands = main_parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("doctor", help="what is installed, what is missing, and how to mend it")
    command.set_defaults(run=_doctor)

    command = commands.add_parser("check", help="are the exercises' own checks right?")
    command.add_argument("lesson", nargs="*", help="number or name of a lesson; all by default")
    command.add_argument("--mutants", action="store_true", help="hand in slightly changed references: are they refused?")
    command.add_argument("--jobs", type=int, default=1, metavar="N", help="so many processes at once")
    command.set_defaults(run=_check)

    command = commands.add_parser("train", help="make a network of the course again, from its recipe")
    command.add_argument("name", help="the network's name, such as resnet18-shapes")
    command.add_argument("--check", action="store_true", help="measure the shipped network again; do not train")
    command.set_defaults(run=_train)

    command = commands.add_parser("new", help="the skeleton of a lesson, for authors")
    command.add_argument("number", help="of the lesson, such as 08")
    command.add_argument("name", help="of its room: lower-case words joined by underscores, such as activation_atlas")
    command.set_defaults(run=_new)

    command = commands.add_parser("study", help="measure again what a lesson measured in advance")
    command.add_argument("lesson", help="number or name of the lesson")
    command.add_argument("parts", nargs="*", metavar="PART", help="these parts only; what is stored already is left alone")
    command.add_argument("--quick", action="store_true", help="a small trial that stores nothing")
    command.add_argument("--again", action="store_true", help="also what is stored already")
    command.add_argument("--check", action="store_true", help="measure a few of the stored numbers afresh, and compare")
    command.add_argument("--cache", type=Path, metavar="FOLDER", help="keep there what is worked out on the way")
    command.set_defaults(run=_study)

    command = commands.add_parser("solutions", help="write a lesson's solved notebook, for teachers")
    command.add_argument("lesson", help="number or name of the lesson")
    command.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="folder to write it to")
    command.set_defaults(run=_solutions)

    command = commands.add_parser("report", help="a teacher's table from many learners' progress files")
    command.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="a learner's progress file; the file's name is taken as the learner's",
    )
    command.add_argument("--csv", type=Path, metavar="FILE", help="write one row per learner and exercise, too")
    command.set_defaults(run=_report)
    return main_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code: 0 when all is right, 1 when not, 2 for a call that cannot be meant."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show ✓ gets another sign instead of an error.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    options = parser().parse_args(arguments)
    try:
        return options.run(options)
    except ValueError as error:
        print(f"vizcourse {options.command}: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"vizcourse {options.command}: {error}; `vizcourse doctor` says what is missing.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130


def _doctor(options: argparse.Namespace) -> int:
    from vizcourse.doctor import doctor

    return 0 if doctor() else 1


def _check(options: argparse.Namespace) -> int:
    from vizcourse.course import LESSONS, lesson
    from vizcourse.exercises.check import check
    from vizcourse.exercises.mutants import check_mutants

    checking = check_mutants if options.mutants else check
    return 0 if checking([lesson(name) for name in options.lesson] or LESSONS, jobs=options.jobs) else 1


def _train(options: argparse.Namespace) -> int:
    from vizcourse.models import recipes

    recipes.train(options.name, check=options.check)
    return 0


def _new(options: argparse.Namespace) -> int:
    from vizcourse import new

    for path in new.new(options.number, options.name):
        print(path.relative_to(new.ROOT))
    print(f"Next: `make notebooks` builds it, `vizcourse check {options.number}` judges its exercises, `make test` all of it.")
    return 0


def _study(options: argparse.Namespace) -> int:
    import os

    from vizcourse.course import lesson
    from vizcourse.studies import CACHE

    module = lesson(options.lesson).part("study")
    if module is None:
        raise ValueError(f"lesson {options.lesson} has no study: there is nothing to measure in advance.")
    if options.cache:
        os.environ[CACHE] = str(options.cache)
    if options.check:
        return 0 if module.STUDY.check(options.parts) else 1
    module.STUDY.run(options.parts, quick=options.quick, again=options.again)
    return 0


def _solutions(options: argparse.Namespace) -> int:
    from vizcourse import notebooks

    print(notebooks.solutions(options.lesson, options.output))
    return 0


def _report(options: argparse.Namespace) -> int:
    from vizcourse.exercises.report import report

    return report(options.files, options.csv)


if __name__ == "__main__":
    sys.exit(main())
