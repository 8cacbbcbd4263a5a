from penstock.model.version import UNKNOWN, installed_version


def test_an_installed_distribution_has_its_version():
    assert installed_version("msgspec")[0].isdigit()


def test_sources_that_were_never_installed_have_an_unknown_version():
    assert installed_version("penstock-that-nobody-made") == UNKNOWN
