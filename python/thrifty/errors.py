"""What thrifty raises beside Python's own ValueError, TypeError and OSError."""

__all__ = [
    "CalibrationUndefined",
    "CapacityError",
    "CounterFault",
    "DeviceBusy",
    "DeviceLost",
    "DuplicateName",
    "EndpointError",
    "FormatError",
    "Infeasible",
    "JournalCorrupt",
    "LockedError",
    "MismatchError",
    "MissingExtra",
    "NotIdentifiable",
    "NotPermitted",
    "NotRestored",
    "OutOfBlocks",
    "ResumeMismatch",
    "StalePlan",
    "ThriftyError",
    "UnknownDocument",
    "WorkerLost",
]


class ThriftyError(Exception):
    """Root of the errors that are thrifty's own."""


class FormatError(ThriftyError):
    """A file is not what its format says; the message names the file and the place in it."""


class DatasetError(FormatError):
    """A data set can't be read: the message names file, line and field."""


class CounterFault(FormatError):  # noqa: N818 - says what is wrong
    """A counter of energy tells what can't be, or nothing; the message names the counter and what it told."""


class JournalCorrupt(FormatError):  # noqa: N818 - the name that the design gives
    """A journal of values found on a device is damaged; the message names the file and what could not be read."""


class ModelError(ThriftyError):
    """A model can't be used or trained further."""


class MismatchError(ThriftyError):
    """Two things that must agree do not; the message names the field and both values."""


class ResumeMismatch(MismatchError):  # noqa: N818 - the name that the design gives
    """An unfinished piece of work is there and was started with something else."""


class CapacityError(ThriftyError):
    """More was asked for than a plan or the memory holds."""


class OutOfBlocks(CapacityError):  # noqa: N818 - the name that the design gives
    """A request alone needs more blocks of the cache than there are."""


class StalePlan(MismatchError):  # noqa: N818 - the name that the design gives
    """A plan was committed or aborted before, or another one was made since."""


class DuplicateName(ThriftyError, ValueError):  # noqa: N818 - says what is wrong
    """Two documents have one name; the message names both places."""


class UnknownDocument(ThriftyError, ValueError):  # noqa: N818 - says what is wrong
    """No document has the name that was given."""


class WorkerLost(ThriftyError):  # noqa: N818 - the name that the design gives
    """A rank of a distributed piece of work no longer answers.

    Attributes
    ----------
    rank : int or None
        Which; None where nobody can tell, as when the network is down.
    step : int
        The step that could not be done.
    """

    def __init__(self, message: str, rank: int | None = None, step: int = 0) -> None:
        super().__init__(message)
        self.rank, self.step = rank, step

    @classmethod
    def of(cls, lost: list[int] | None, step: int, why: str) -> "WorkerLost":
        """Make one from the ranks that give no sign of life; ``lost`` is None where nobody can tell."""
        if lost:
            who = f"rank {lost[0]} is lost" if len(lost) == 1 else f"ranks {', '.join(map(str, lost))} are lost"
        else:
            who = "a rank does not answer, or the network is down"
        message = f"{who} in step {step}; the same command goes on from its checkpoint ({why.splitlines()[0][:200]})"
        return cls(message, lost[0] if lost else None, step)


class DeviceLost(WorkerLost):
    """A device no longer answers; what was found on it stays in its journal."""


class NotPermitted(ThriftyError):  # noqa: N818 - the name that the design gives
    """A setting can't be changed; the message names the file or call that refuses, and the fix."""


class DeviceBusy(NotPermitted):
    """Somebody else holds the device; the message names the process where it is known."""


class NotRestored(NotPermitted):
    """A value that was found could not be put back; the journal that has it is kept."""


class LockedError(ThriftyError):
    """Another process is writing the same file."""


class Infeasible(ThriftyError):  # noqa: N818 - the name that the design gives
    """No plan meets the wish; the message names the binding limit and the nearest value that can be had."""


class NotIdentifiable(ThriftyError):  # noqa: N818 - the name that the design gives
    """The data can't tell what was asked; the message says what is missing."""


class CalibrationUndefined(NotIdentifiable):
    """A calibration error has no meaning for so few answers; the message says how many it takes."""


class EndpointError(ThriftyError):
    """A model's endpoint refuses, or does not answer as it should; the message names status and address."""


class MissingExtra(ThriftyError, ImportError):  # noqa: N818 - says what is missing
    """An optional dependency is not installed; the message names the command that installs it."""
