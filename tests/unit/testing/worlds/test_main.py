from penstock.testing.worlds.__main__ import main


def test_the_figures_are_told(capsys):
    assert main(["--jobs", "1", "--workers", "1"]) == 0
    told = capsys.readouterr().out
    assert "states (all of them)" in told
    assert "no breach" in told


def test_a_breach_is_told_step_by_step(capsys):
    assert main(["--without", "fence", "--states-max", "300"]) == 1
    told = capsys.readouterr().out
    assert "breach: worker 0 could settle (succeed) job 0" in told
    assert "  1. a producer enqueues job 0\n" in told
    assert "  2. worker 0 leases\n" in told
