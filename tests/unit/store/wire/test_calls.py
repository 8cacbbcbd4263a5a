"""Every call of the port goes over the wire, and what is asked is what arrives."""

import asyncio
import enum
import inspect
import types
from typing import Union, get_args, get_origin

import msgspec
import pytest

from penstock.ports import AsyncStore, BlockingStore, Store
from penstock.store.wire import protocol
from penstock.store.wire.calls import BY_KIND, CALLS, KIND_MIN
from penstock.store.wire.client.surface import AsyncStoreCalls, StoreCalls

CALLS_OF_STORES = [call for call in CALLS.values() if hasattr(BlockingStore, call.name)]
APPLIED = [call for call in CALLS.values() if call.apply is not None]


def by_name(call):
    return call.name


def test_every_call_of_the_port_is_in_the_table():
    port = {name for name, value in inspect.getmembers(Store, inspect.isfunction) if name[0] != "_"}
    assert {call.name for call in CALLS_OF_STORES} == (port | {"wait", "wait_workflow"}) - {"close"}


def test_each_call_has_a_kind_of_its_own_beside_those_of_frames_that_are_no_calls():
    assert len(BY_KIND) == len(CALLS)
    assert all(KIND_MIN <= kind < 1 << 16 for kind in BY_KIND)
    assert max(protocol.ANSWER, protocol.FAILURE, protocol.CLOSING, protocol.HELLO, protocol.FORGET) < KIND_MIN


def test_a_kind_comes_from_the_name_alone():
    """Were one of these numbers another, two versions would take each other's calls for something else."""
    assert (CALLS["enqueue"].kind, CALLS["lease"].kind, CALLS["settle"].kind) == (61032, 9365, 9162)


def test_what_changes_the_store_is_recorded_unless_repeating_it_is_harmless():
    unrecorded = {call.name for call in CALLS.values() if call.mutating and not call.recorded}
    assert unrecorded == {"lease", "extend"}


def test_what_only_reads_needs_no_transaction():
    reading = {call.name for call in CALLS_OF_STORES if not call.mutating}
    assert reading >= {"get", "query", "stats", "tasks", "capabilities", "health", "wait"}
    assert not reading & {"enqueue", "settle", "cancel", "tick"}


class Recorder:
    """A store that notes how it is called."""

    def __init__(self):
        self.asked = []

    def __getattr__(self, name):
        return lambda *arguments, **named: self.asked.append((name, arguments, named))


def some(hint):
    """A value of this type that is not a default."""
    if get_origin(hint) in (Union, types.UnionType):
        return some(get_args(hint)[0])
    if hint is bool:
        return True
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint(*[some(field.type) for field in msgspec.structs.fields(hint) if field.required])
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return next(iter(hint))
    for value in [b"bytes", "text", 7, 7.5, []]:
        try:
            msgspec.convert(value, hint)
        except msgspec.ValidationError:
            continue
        return value
    pytest.fail(f"no value for {hint}")


def arguments_of(call):
    return {field.name: some(field.type) for field in msgspec.structs.fields(call.shape)}


@pytest.mark.parametrize("call", APPLIED, ids=by_name)
def test_a_store_is_called_as_the_client_was(call):
    arguments = arguments_of(call)
    query = call.request(protocol.encode_request(call.shape(**arguments)))
    recorder = Recorder()
    call.apply(recorder, query)
    ((name, by_place, named),) = recorder.asked
    bound = inspect.signature(call.port).bind(None, *by_place, **named)
    assert name == call.name
    assert {each: value for each, value in bound.arguments.items() if each != "self"} == arguments


@pytest.mark.parametrize("call", CALLS.values(), ids=by_name)
def test_a_request_may_lack_what_an_older_client_does_not_know(call):
    fields = msgspec.structs.fields(call.shape)
    required = [some(field.type) for field in fields if field.required]
    query = call.request(protocol.encode(required))
    signature = inspect.signature(call.port)
    assert all(getattr(query, f.name) == signature.parameters[f.name].default for f in fields if not f.required)


@pytest.mark.parametrize("call", CALLS.values(), ids=by_name)
def test_a_client_s_method_asks_what_the_port_says(call):
    class Asked(StoreCalls):
        def ask(self, call, request, *, wait_s=0.0):
            return call, request

    arguments = arguments_of(call)
    method = getattr(Asked(), call.name)
    assert method(**arguments) == (call, call.shape(**arguments))
    assert inspect.signature(method) == inspect.signature(call.port.__get__(Asked()))
    assert method.__doc__ == call.port.__doc__


@pytest.mark.parametrize("call", CALLS.values(), ids=by_name)
def test_an_event_loop_s_method_asks_the_same(call):
    class Asked(AsyncStoreCalls):
        async def ask(self, call, request, *, wait_s=0.0):
            return call, request

    arguments = arguments_of(call)
    assert asyncio.run(getattr(Asked(), call.name)(**arguments)) == (call, call.shape(**arguments))


def test_a_method_refuses_what_the_port_does_not_take():
    class Asked(StoreCalls):
        def ask(self, call, request, *, wait_s=0.0):
            return call, request

    with pytest.raises(TypeError, match="ids"):
        Asked().cancel()
    with pytest.raises(TypeError, match="reason"):
        Asked().cancel([], reason="none")


def test_what_can_be_gone_through_goes_as_a_list():
    call = CALLS["reconcile"]
    payload = protocol.encode_request(call.shape(b"h" * 16, range(2, 5)))
    assert call.request(payload).fences == [2, 3, 4]


def test_an_async_client_has_every_call_of_an_async_store():
    assert all(hasattr(AsyncStoreCalls, name) for name in vars(AsyncStore) if name[0] != "_")
