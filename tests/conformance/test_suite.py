"""The suite asks all that it has: no claim is left out, hidden by one of its name, or skipped where a store lasts."""

import importlib
import inspect
import pkgutil
from collections import Counter

import pytest

from penstock.testing import conformance
from penstock.testing.conformance import AsyncStoreConformance, StoreConformance
from penstock.testing.conformance.kit import StoreClaims
from tests.conformance import test_sqlite, test_wire

MODULES = [
    importlib.import_module(f"{conformance.__name__}.{one.name}") for one in pkgutil.iter_modules(conformance.__path__)
]
CLAIMS = [
    one
    for module in MODULES
    for one in vars(module).values()
    if inspect.isclass(one) and one.__module__ == module.__name__ and any(name.startswith("test") for name in vars(one))
]
LASTING = [
    test_sqlite.TestSqliteStore,
    test_wire.TestEngineBehindTheWire,
    test_wire.TestEngineBehindAWireThatIsCut,
]


def test_no_claim_is_left_out():
    assert len(CLAIMS) > 60
    assert [
        one for one in CLAIMS if not issubclass(StoreConformance, one) and not issubclass(AsyncStoreConformance, one)
    ] == []


@pytest.mark.parametrize("suite", [StoreConformance, AsyncStoreConformance])
def test_no_claim_is_hidden_by_another_of_its_name(suite):
    names = Counter(name for one in CLAIMS if issubclass(suite, one) for name in vars(one) if name.startswith("test"))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("suite", LASTING)
def test_a_store_that_lasts_is_asked_what_it_leaves(suite):
    """`StoreClaims.reopen` skips a claim; nothing else does."""
    assert suite.reopen is not StoreClaims.reopen
    skipping = [module.__name__ for module in MODULES if "pytest.skip(" in inspect.getsource(module)]
    assert skipping == [StoreClaims.__module__]
    assert inspect.getsource(inspect.getmodule(StoreClaims)).count("pytest.skip(") == 1
