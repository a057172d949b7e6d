"""A pickle read as data: its opcodes are followed, and nothing that it names is imported, built or called.

``pickle.Unpickler`` with a strict ``find_class`` still calls whatever that returns and sets attributes of whatever
lies on its stack. Here there is nothing to call: a global is a :class:`Stub` that remembers its name, and so is
all that a pickle makes of one. Only ``construct`` and ``persistent``, which the caller gives, turn names into
values.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from typing import Any, Protocol

Construct = Callable[[str, tuple[Any, ...]], Any]
"""Called with ``"module.name"`` and the arguments of a call in the pickle; returns the value or ``NotImplemented``."""
Persistent = Callable[[Any], Any]
"""Called with a persistent id; returns the value."""


class Stream(Protocol):
    """Bytes that are read from the front: ``io.BytesIO`` or ``mmap.mmap``."""

    def read(self, n: int = -1, /) -> bytes:
        """Return up to ``n`` bytes."""

    def readline(self) -> bytes:
        """Return the bytes up to the end of the line."""


class Stub:
    """Stands for a class, a function, or an object made by one: the name, and what the pickle put into it."""

    __slots__ = ("args", "elements", "entries", "kind", "state")

    def __init__(self, kind: str, args: Any = ()) -> None:
        self.kind = kind
        self.args = args
        self.state: Any = None
        self.entries: dict[Any, Any] = {}
        self.elements: list[Any] = []

    def __repr__(self) -> str:
        return f"<{self.kind}>"


class PickleError(ValueError):
    """The bytes are not a pickle, or one that no program writes."""


def _no_persistent(_: Any) -> Any:
    raise PickleError("a persistent id stands where no tensor can be")


def read_pickle(stream: Stream | bytes, construct: Construct, persistent: Persistent = _no_persistent) -> Any:
    """Return the value of one pickle; the stream is left behind its last byte.

    Raises ``ValueError``, ``LookupError``, ``TypeError`` or ``ArithmeticError`` for damaged bytes, and what
    ``construct`` and ``persistent`` raise.
    """
    machine = _Machine(construct, persistent)
    source = io.BytesIO(stream) if isinstance(stream, bytes) else stream
    # pickletools parses the arguments of opcodes and does nothing else.
    for opcode, argument, _ in pickletools.genops(source):  # type: ignore[arg-type]
        if opcode.name == "STOP":
            return machine.pop()
        machine.step(opcode.name, argument)
    raise PickleError("the pickle has no end")


_ANY = pickletools.anyobject
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set, "EMPTY_TUPLE": tuple}
# Opcodes that push a number or a text that stands behind them.
_LITERALS = frozenset(
    op.name for op in pickletools.opcodes if op.arg and not op.stack_before and op.stack_after not in ([], [_ANY])
)
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_SKIPPED = frozenset({"PROTO", "FRAME"})


class _Machine:
    """The stack machine of the pickle format."""

    def __init__(self, construct: Construct, persistent: Persistent) -> None:
        self._construct = construct
        self._persistent = persistent
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def pop(self) -> Any:
        """Return the top of the stack."""
        # A mark shields what lies below it: a damaged pickle cannot reach over it.
        if self._marks and len(self._stack) <= self._marks[-1]:
            raise PickleError("damaged pickle (nothing on the stack)")
        return self._stack.pop()

    def step(self, name: str, argument: Any) -> None:
        """Follow one opcode."""
        if name in _SKIPPED:
            return
        if name in _LITERALS:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self._stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            values = [self.pop() for _ in range(_TUPLES[name])]
            self._stack.append(tuple(reversed(values)))
        elif (action := getattr(self, f"_on_{name.lower()}", None)) is not None:
            action(argument)
        else:
            raise PickleError(f"the opcode {name} does not occur in files of weights")

    def _above_mark(self) -> list[Any]:
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    # The stack and the memo.

    def _on_mark(self, _: Any) -> None:
        self._marks.append(len(self._stack))

    def _on_pop(self, _: Any) -> None:
        # The format lets POP take a mark.
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self.pop()

    def _on_pop_mark(self, _: Any) -> None:
        self._above_mark()

    def _on_dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def _on_put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    _on_binput = _on_long_binput = _on_put

    def _on_memoize(self, _: Any) -> None:
        # MEMOIZE numbers by how much is there, PUT by what it says.
        self._memo[len(self._memo)] = self._stack[-1]

    def _on_get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    _on_binget = _on_long_binget = _on_get

    # Containers.

    def _on_list(self, _: Any) -> None:
        self._stack.append(self._above_mark())

    def _on_tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._above_mark()))

    def _on_dict(self, _: Any) -> None:
        self._stack.append(dict(_pairs(self._above_mark())))

    def _on_frozenset(self, _: Any) -> None:
        self._stack.append(frozenset(map(_key, self._above_mark())))

    def _on_append(self, _: Any) -> None:
        self._extend([self.pop()])

    def _on_appends(self, _: Any) -> None:
        self._extend(self._above_mark())

    def _extend(self, values: list[Any]) -> None:
        target = self._stack[-1]
        # A list subclass is a stub: what is appended stays with it.
        if isinstance(target, Stub):
            target.elements.extend(values)
        elif isinstance(target, list):
            target.extend(values)
        else:
            raise PickleError(f"damaged pickle (a {type(target).__name__} is not a list)")

    def _on_additems(self, _: Any) -> None:
        values = self._above_mark()
        target = self._stack[-1]
        if isinstance(target, Stub):
            target.elements.extend(values)
        elif isinstance(target, set):
            target.update(map(_key, values))
        else:
            raise PickleError(f"damaged pickle (a {type(target).__name__} is not a set)")

    def _on_setitem(self, _: Any) -> None:
        value, key = self.pop(), self.pop()
        self._update([key, value])

    def _on_setitems(self, _: Any) -> None:
        self._update(self._above_mark())

    def _update(self, flat: list[Any]) -> None:
        target = self._stack[-1]
        entries = target.entries if isinstance(target, Stub) else target
        if not isinstance(entries, dict):
            raise PickleError(f"damaged pickle (a {type(target).__name__} is not a dict)")
        entries.update(_pairs(flat))

    # Names, and what a pickle makes of them.

    def _on_global(self, both: str) -> None:
        # `module name` in one line, of old protocols.
        self._stack.append(Stub(both.replace(" ", ".", 1)))

    def _on_stack_global(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        self._stack.append(Stub(f"{module}.{name}"))

    def _on_inst(self, both: str) -> None:
        self._stack.append(self._made(Stub(both.replace(" ", ".", 1)), tuple(self._above_mark())))

    def _on_obj(self, _: Any) -> None:
        maker, *args = self._above_mark()
        self._stack.append(self._made(maker, tuple(args)))

    def _on_reduce(self, _: Any) -> None:
        args, maker = self.pop(), self.pop()
        self._stack.append(self._made(maker, args))

    _on_newobj = _on_reduce

    def _on_newobj_ex(self, _: Any) -> None:
        # Keywords are thrown away: no class is called here.
        _keywords, args, maker = self.pop(), self.pop(), self.pop()
        self._stack.append(self._made(maker, args))

    def _on_ext1(self, code: int) -> None:
        self._stack.append(Stub(f"extension {code}"))

    _on_ext2 = _on_ext4 = _on_ext1

    def _made(self, maker: Any, args: Any) -> Any:
        if not isinstance(maker, Stub):
            # What is not a name cannot be called; the value is dropped, its type stays as a label.
            return Stub(type(maker).__name__, args)
        # Only a bare name is called: what was made by one is not a function of the caller's.
        if isinstance(args, tuple) and not maker.args and maker.state is None:
            made = self._construct(maker.kind, args)
            if made is not NotImplemented:
                return made
        return Stub(maker.kind, args)

    def _on_build(self, _: Any) -> None:
        state = self.pop()
        if isinstance(self._stack[-1], Stub):
            self._stack[-1].state = state
        # The attributes of a dict (``_metadata`` of a state dict) and of a tensor are not weights.

    def _on_persid(self, text: str) -> None:
        self._stack.append(self._persistent(text))

    def _on_binpersid(self, _: Any) -> None:
        self._stack.append(self._persistent(self.pop()))


def _pairs(flat: list[Any]) -> list[tuple[Any, Any]]:
    # Strict: an odd number of values is a damaged pickle.
    return [(_key(key), value) for key, value in zip(flat[::2], flat[1::2], strict=True)]


def _key(value: Any) -> Any:
    """Return a value that may be hashed: hashing tuples of the same tuples of tuples can take for ever."""
    parts = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(part, str | bytes | int | float | Stub | None) for part in parts):
        raise PickleError("an unusual key of a dict")
    return value
