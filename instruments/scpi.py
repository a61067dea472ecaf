"""SCPI, device side: one interpreter for every twin that speaks it; a twin brings a table of commands.

What a table says: headers in long form with the short form in capitals, optional nodes in brackets, numeric
suffixes as `<n>`, and for each the type of its parameters. What the interpreter does: short and long forms in
any case, `;` and `:` paths, units and multipliers, MIN, MAX and DEF, error queue and IEEE 488.2 commands.
It also is what the bus has beside messages: status byte, device clear, trigger (`bench.wires.twin.Ieee488`).
Left out: blocks, macros, `*SAV` and `*RCL`.
"""

from __future__ import annotations

import inspect
import itertools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from instruments.scpi_parameters import Channel, Number, Parameter, forms
from instruments.scpi_status import ScpiError, Status, StatusGroup

# A channel list may follow without a blank.
_UNIT = re.compile(r"(:?)(\*?[A-Za-z][\w:]*)(\??)(?:\s+(.*)|(\(@.*))?\Z", re.DOTALL)
_GLUED = re.compile(r"([^(]*[^(\s])\s*(\(@[^)]*\))\Z", re.DOTALL)
_DIGITS = re.compile(r"(?<=[A-Z])\d+(?=:|\Z)")
# A string or a channel list, whole or not, or the sign itself: one pass, however long the message is.
_SEMICOLON, _COMMA = (re.compile(rf"""\"[^\"]*\"?|'[^']*'?|\(@[^);]*\)?|({sign})""") for sign in ";,")
_MOST_SUFFIX_DIGITS = 9
_MOST_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Command:
    """One row of a table.

    Parameters
    ----------
    header
        `[SOURce:]VOLTage[:LEVel]`, without question mark; `*LANG` for a common command of this family alone.
    setting
        Name under which the interpreter keeps the value; the query form answers it. One parameter.
    parameters
        Types of the parameters of the command.
    required
        How many of them must be there; default all.
    run
        Method of the twin for the command form; called with the values. With `setting` it is called before
        the value is stored and may raise `ScpiError`.
    query
        Method of the twin for the query form; called with the texts of the parameters, returns the answer.
    group
        Method of the twin that returns a `StatusGroup`; the command is then about its `register`.
    register
        "condition", "event", "enable", "positive" or "negative".
    bound
        Passed to `run` and `query` before everything else, so that one method can serve many headers.
    """

    header: str
    setting: str = ""
    parameters: tuple[Parameter, ...] = ()
    required: int | None = None
    run: str = ""
    query: str = ""
    group: str = ""
    register: str = ""
    bound: tuple[Any, ...] = ()

    @property
    def is_setting(self) -> bool:
        return bool(self.setting)


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """What one family of instruments says its own way.

    `missing_suffix` stands for a numeric suffix that is left out; with 0 the twin can put in the channel
    that is selected. `reset_settings`: whether `*RST` gives the settings their defaults. `glued_lists`:
    whether a channel list may follow the last parameter without a comma, as in `VOLT 3.7(@1,2)`. `no_query`,
    `no_command`: error for the query form of what has none, and for the command form of a query.
    """

    commands: tuple[Command, ...]
    number: Callable[[float], str]
    off_on: tuple[str, str] = ("0", "1")
    no_error: str = '+0,"No error"'
    error_sign: str = ""
    questionable_groups: int = 1
    missing_suffix: int = 1
    reset_settings: bool = True
    glued_lists: bool = False
    no_query: int = -113
    no_command: int = -113


@dataclass(frozen=True, slots=True)
class _Call:
    """One program message unit, ready to run; `error` instead if it cannot be."""

    header: str
    command: Command | None
    is_query: bool
    suffixes: tuple[int, ...] = ()
    arguments: tuple[str, ...] = ()
    error: int = 0


def expand(header: str) -> list[str]:
    """Every spelling of `header` in capitals: short and long forms, optional nodes in and out; `<n>` as `#`.

    >>> expand("OUTPut[:STATe]")
    ['OUTP:STAT', 'OUTP:STATE', 'OUTP', 'OUTPUT:STAT', 'OUTPUT:STATE', 'OUTPUT']
    """
    if header.startswith("*"):
        return [header]
    choices: list[tuple[str, ...]] = []
    for optional, mnemonic, suffix in re.findall(r"(\[?):?([A-Za-z][A-Za-z0-9]*)(<n>)?", header):
        spelled = tuple(dict.fromkeys(forms(mnemonic)))
        if suffix:
            spelled = (*(form + "#" for form in spelled), *spelled)
        choices.append((*spelled, "") if optional else spelled)
    return [":".join(filter(None, nodes)) for nodes in itertools.product(*choices)]


@lru_cache(maxsize=64)
def _table(dialect: Dialect) -> dict[str, Command]:
    return {spelling: command for command in dialect.commands for spelling in expand(command.header)}


def status_commands(header: str, group: str) -> tuple[Command, ...]:
    """The rows of one status group: condition, event, enable and both transition filters.

    Parameters
    ----------
    header
        `STATus:OPERation`.
    group
        Method of the twin that returns the group; called with the numeric suffixes of `header`.
    """
    bits = (Number("", 0, 65535, integer=True),)
    return (
        Command(f"{header}:CONDition", group=group, register="condition"),
        Command(f"{header}[:EVENt]", group=group, register="event"),
        Command(f"{header}:ENABle", parameters=bits, group=group, register="enable"),
        Command(f"{header}:PTRansition", parameters=bits, group=group, register="positive"),
        Command(f"{header}:NTRansition", parameters=bits, group=group, register="negative"),
    )


def _find(
    table: dict[str, Command], header: str, missing_suffix: int
) -> tuple[Command | None, tuple[int, ...]]:
    """The command that `header` names, and its numeric suffixes."""
    if (command := table.get(header)) is not None:
        return command, (missing_suffix,) * command.header.count("<n>")
    command = table.get(_DIGITS.sub("#", header))
    # What is longer is out of every range; to convert it would only cost time.
    suffixes = (int(digits[:_MOST_SUFFIX_DIGITS]) for digits in _DIGITS.findall(header))
    return command, tuple(suffixes)


def _split(sign: re.Pattern[str], text: str) -> list[str]:
    """The parts of `text` between signs that are not in a string, blanks around them removed."""
    cuts = [match.start() for match in sign.finditer(text) if match[1]]
    return [text[a + 1 : b].strip() for a, b in zip([-1, *cuts], [*cuts, len(text)], strict=True)]


@lru_cache(maxsize=4096)
def _parse(dialect: Dialect, message: str) -> tuple[_Call, ...]:
    """The units of a program message. A command error ends it: what follows is not executed."""
    calls: list[_Call] = []
    path = ""
    for unit in filter(None, _split(_SEMICOLON, message)):
        match = _UNIT.match(unit)
        if match is None:
            return (*calls, _Call(unit, None, False, error=-102))
        root, header, mark, rest = match[1], match[2].upper(), bool(match[3]), match[4] or match[5] or ""
        arguments = tuple(_split(_COMMA, rest)) if rest else ()
        if dialect.glued_lists and arguments and (glued := _GLUED.match(arguments[-1])):
            arguments = (*arguments[:-1], glued[1], glued[2])
        if header.startswith("*"):
            calls.append(_Call(header, _table(dialect).get(header), mark, arguments=arguments))
            continue
        full = header if root or not path else f"{path}:{header}"
        command, suffixes = _find(_table(dialect), full, dialect.missing_suffix)
        if command is None:
            return (*calls, _Call(full, None, mark, error=-113))
        path = full.rpartition(":")[0]
        calls.append(_Call(full, command, mark, suffixes, arguments))
    return tuple(calls)


@lru_cache(maxsize=1024)
def _arity(twin: type, method: str) -> tuple[int, float]:
    """Fewest and most positional parameters of a twin's method, besides itself."""
    parameters = list(inspect.signature(getattr(twin, method)).parameters.values())[1:]
    fewest = sum(p.default is p.empty and p.kind is not p.VAR_POSITIONAL for p in parameters)
    most = math.inf if any(p.kind is p.VAR_POSITIONAL for p in parameters) else len(parameters)
    return fewest, most


class Interpreter:
    """Runs program messages on a twin.

    Parameters
    ----------
    dialect
        The family's table.
    twin
        Has the methods that the table names, `identification: str`, `reset()`, `trigger()` if it can be
        triggered, `admit(command)` if it declines commands in some state (with `ScpiError`, before their
        parameters are looked at), and is told of nothing else.
    """

    def __init__(self, dialect: Dialect, twin: Any) -> None:
        self.dialect, self.twin = dialect, twin
        self.status = Status(dialect.questionable_groups)
        self.settings: dict[str, Any] = {}
        self.restore_defaults()

    def restore_defaults(self) -> None:
        """Give every setting its *RST value."""
        for command in self.dialect.commands:
            if command.is_setting:
                parameter = command.parameters[0]
                default: Any = getattr(parameter, "default", None)
                if isinstance(parameter, Number):
                    default = parameter.bound("DEF", self.twin)
                self.settings[command.setting] = default

    def execute(self, message: bytes) -> bytes | None:
        """Run one program message; the response with its line feed, None if there is nothing to say."""
        answers: list[str] = []
        text = message.decode("latin-1")
        parse = _parse if len(text) <= _MOST_REMEMBERED else _parse.__wrapped__
        for call in parse(self.dialect, text):
            try:
                if call.error:
                    raise ScpiError(call.error)
                answer = self._common(call, bool(answers)) if call.command is None else self._run(call)
            except ScpiError as error:
                self.status.add(error)
                if error.event_bit == 5:  # a command error: the rest of the message is not trusted
                    break
                continue
            if answer is not None:
                answers.append(answer)
        return ";".join(answers).encode("latin-1") + b"\n" if answers else None

    # What the bus has beside messages.

    def status_byte(self, *, message_available: bool) -> int:
        """The status byte. Bit 6 is what `*STB?` says, the summary; a poll does not reset it."""
        return self.status.byte(message_available=message_available)

    def device_clear(self) -> None:
        """Nothing is half in and nothing waits here: messages run whole. Settings and errors stay."""

    def trigger(self) -> None:
        """Do what `*TRG` does; what the instrument declines is in its error queue."""
        try:
            self._trigger()
        except ScpiError as error:
            self.status.add(error)

    def query_error(self, code: int) -> None:
        """Queue -410 or -420: a response was not read, or there was none."""
        self.status.add(ScpiError(code))

    def _trigger(self) -> None:
        trigger: Callable[[], object] | None = getattr(self.twin, "trigger", None)
        if trigger is None:
            raise ScpiError(-211)
        trigger()

    def _run(self, call: _Call) -> str | None:
        command = call.command
        assert command is not None
        if call.is_query:
            return self._query(call, command)
        if not command.parameters and not command.run:
            raise ScpiError(self.dialect.no_command)
        if (admit := getattr(self.twin, "admit", None)) is not None:
            admit(command)
        values = self._values(command, call.arguments)
        if command.group:
            setattr(self._group(call, command), command.register, int(values[0]))
        if command.run:
            getattr(self.twin, command.run)(*command.bound, *call.suffixes, *values)
        if command.is_setting:
            self.settings[command.setting] = values[0]
        return None

    def _values(self, command: Command, arguments: tuple[str, ...]) -> list[Any]:
        """The arguments as the table's types; a channel in front may be left out."""
        first = command.parameters[0] if command.parameters else None
        if isinstance(first, Channel) and not (arguments and first.names(arguments[0])):
            arguments = ("", *arguments)
        required = len(command.parameters) if command.required is None else command.required
        if len(arguments) < required:
            raise ScpiError(-109)
        if len(arguments) > len(command.parameters):
            raise ScpiError(-108)
        return [
            parameter.read(text, self.twin)
            for parameter, text in zip(command.parameters, arguments, strict=False)
        ]

    def _group(self, call: _Call, command: Command) -> StatusGroup:
        group: StatusGroup = getattr(self.twin, command.group)(*call.suffixes)
        return group

    def _query(self, call: _Call, command: Command) -> str:
        if command.group:
            if call.arguments:
                raise ScpiError(-108)
            group = self._group(call, command)
            return str(
                group.read_event() if command.register == "event" else getattr(group, command.register)
            )
        if command.query:
            fewest, most = _arity(self.twin.__class__, command.query)
            given = len(command.bound) + len(call.suffixes) + len(call.arguments)
            if not fewest <= given <= most:
                raise ScpiError(-109 if given < fewest else -108)
            return str(getattr(self.twin, command.query)(*command.bound, *call.suffixes, *call.arguments))
        if not command.is_setting:
            raise ScpiError(self.dialect.no_query)
        parameter = command.parameters[0]
        value = self.settings[command.setting]
        if call.arguments:
            word = call.arguments[0].upper()[:3]
            if not isinstance(parameter, Number) or word not in ("MIN", "MAX", "DEF"):
                raise ScpiError(-108)
            value = parameter.bound(word, self.twin)
        return parameter.write(value, self.dialect)

    def next_error(self, *_: Any) -> str:
        """`SYSTem:ERRor?`: the oldest error, or that there is none."""
        if not self.status.errors:
            return self.dialect.no_error
        error = self.status.errors.popleft()
        sign = self.dialect.error_sign if error.code > 0 else ""
        return f'{sign}{error.code},"{error.text}"'

    def _common(self, call: _Call, message_available: bool) -> str | None:
        status, mark = self.status, "?" if call.is_query else ""
        queries: dict[str, Callable[[], object]] = {
            "*IDN?": lambda: self.twin.identification,
            "*OPC?": lambda: 1,
            "*TST?": lambda: 0,
            "*OPT?": lambda: 0,
            "*ESR?": status.read_standard_event,
            "*ESE?": lambda: status.standard_enable,
            "*SRE?": lambda: status.request_enable,
            "*STB?": partial(status.byte, message_available=message_available),
        }
        actions: dict[str, Callable[[], object]] = {
            "*CLS": status.clear,
            "*RST": self._reset,
            "*TRG": self._trigger,
            "*WAI": lambda: None,
            "*OPC": lambda: setattr(status, "standard_event", status.standard_event | 1),
            "*ESE": lambda: setattr(status, "standard_enable", self._register(call)),
            "*SRE": lambda: setattr(status, "request_enable", self._register(call)),
        }
        if (query := queries.get(call.header + mark)) is not None:
            return str(query())
        if (action := actions.get(call.header + mark)) is None:
            raise ScpiError(-113)
        action()
        return None

    def _register(self, call: _Call) -> int:
        if not call.arguments:
            raise ScpiError(-109)
        return int(Number("", 0, 255, integer=True).read(call.arguments[0], self.twin))

    def _reset(self) -> None:
        if self.dialect.reset_settings:
            self.restore_defaults()
        self.twin.reset()
