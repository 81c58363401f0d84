"""The root command, and how errors leave it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from typing import Any

import typer

from thrifty.cli import common, demo, exam, pairconnect, rambo, scaling, slide, specdec, throttle
from thrifty.errors import ThriftyError

__all__ = ["app", "main"]

app = typer.Typer(
    help="The same answers for less compute, energy and bandwidth. --debug anywhere shows the traceback of an error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(exam.app, name="exam")
app.add_typer(pairconnect.app, name="pairconnect")
app.add_typer(rambo.app, name="rambo")
app.add_typer(scaling.app, name="scaling")
app.add_typer(slide.app, name="slide")
app.add_typer(specdec.app, name="specdec")
app.add_typer(throttle.app, name="throttle")
app.command("demo")(demo.demo)


@app.command()
def info(json_: common.Json = False) -> None:
    """Show versions, SIMD path, threads, torch and CUDA, data folder."""
    values = describe()
    if json_:
        common.emit(values)
    else:
        common.table("thrifty", [(name, str(value)) for name, value in values.items()])


#: Exit status after Ctrl-C, as shells have it.
INTERRUPTED = 130


def describe() -> dict[str, Any]:
    """Collect what ``thrifty info`` shows."""
    from thrifty import _core
    from thrifty._torch import require_torch
    from thrifty.pipeline.data import folder

    try:
        torch_version: str | None = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        torch_version = None
    cuda = None
    if torch_version is not None:
        torch: Any = require_torch()
        cuda = torch.version.cuda if torch.cuda.is_available() else None
    return {
        "thrifty": importlib.metadata.version("thrifty"),
        "python": platform.python_version(),
        "numpy": importlib.metadata.version("numpy"),
        "machine": platform.machine(),
        "simd": _core.simd_path(),
        "threads": _core.threads(),
        "torch": torch_version,
        "cuda": cuda,
        "data": str(folder()),
    }


def main() -> None:
    """Run the command line: exit 0 done, 1 failed on data or environment, 2 wrong usage, 130 stopped by Ctrl-C."""
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    if arguments[:2] == ["rambo", "query"]:
        arguments = common.repeat_option(arguments, "--exact", after=4)
    try:
        status = app(arguments, prog_name="thrifty", standalone_mode=False)
        if status == INTERRUPTED:
            fail("stopped", INTERRUPTED)  # the parser catches Ctrl-C itself and says nothing
    except typer.Exit as stop:
        status = stop.exit_code
    except (KeyboardInterrupt, typer.Abort):
        status = fail("stopped", INTERRUPTED)
    except BrokenPipeError:
        # The reader went away, as `head` does; nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except Exception as error:
        if interrupted(error):
            status = fail("stopped", INTERRUPTED)
        elif debug:
            raise
        else:
            status = fail(message_of(error), status_of(error))
    sys.exit(status or 0)


def interrupted(error: BaseException | None) -> bool:
    """Whether an error came of Ctrl-C: a lock that it took apart raises one of its own."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def status_of(error: Exception) -> int:
    """Tell wrong usage from what data or the environment did not allow."""
    data = isinstance(error, (ThriftyError, OSError, MemoryError))
    usage = isinstance(error, (typer.TyperException, ValueError, TypeError))
    return 2 if usage and not data else 1


def message_of(error: Exception) -> str:
    """Say an error in one line; nothing where the help was printed."""
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        hint = f" (see: {context.command_path} --help)" if context is not None else ""
        message = error.format_message().strip()
        return f"{message}{hint}" if message else ""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    if isinstance(error, (ThriftyError, OSError, MemoryError, ValueError, TypeError)):
        return " ".join(str(error).split()) or type(error).__name__
    return f"unexpected {type(error).__name__}: {error} (--debug shows where)"


def fail(message: str, status: int) -> int:
    """Write an error to stderr and return the exit status."""
    if message:
        sys.stderr.write(f"thrifty: error: {message}\n")
    return status
