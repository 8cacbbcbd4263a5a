"""Which resource a path names."""

import pytest

from penstock.gate.routing import Route, Routes

JOBS, JOB, RESULT = Route("jobs", {"POST": None}), Route("job", {"GET": None}), Route("result", {"GET": None})
STEP, STEPS, RESULTS = Route("step", {"GET": None}), Route("steps", {"GET": None}), Route("results", {"GET": None})
ROUTES = Routes(
    {"/v1/jobs": JOBS},
    {
        ("jobs", ""): JOB,
        ("jobs", "result"): RESULT,
        ("flows", "steps"): STEPS,
        ("flows", "steps/"): STEP,
        ("flows", "steps//results"): RESULTS,
    },
)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/v1/jobs", (JOBS, "")),
        ("/v1/jobs/a", (JOB, "a")),
        ("/v1/jobs/a/result", (RESULT, "a")),
        ("/v1/jobs/result", (JOB, "result")),
        ("/v1/jobs/", (None, "")),
        ("/v1/jobs//result", (None, "")),
        ("/v1/jobs/a/", (None, "")),
        ("/v1/jobs/a/result/", (None, "")),
        ("/v1/jobs/a/result/b", (None, "")),
        ("/v1/flows/a/steps", (STEPS, "a")),
        ("/v1/flows/a/steps/b", (STEP, "a/b")),
        ("/v1/flows/a/steps/b/c", (STEP, "a/b/c")),
        ("/v1/flows/a/steps/b/results", (RESULTS, "a/b")),
        ("/v1/flows/a/steps/b/c/results", (RESULTS, "a/b/c")),
        ("/v1/flows/a/steps/results", (STEP, "a/results")),
        ("/v1/flows/a/steps//results", (None, "")),
        ("/v1/flows/a/steps/b/results/", (None, "")),
        ("/v1/other/a", (None, "")),
        ("/v2/jobs/a", (None, "")),
        ("jobs", (None, "")),
        ("", (None, "")),
    ],
)
def test_a_path_names_a_resource_or_none(path, found):
    assert ROUTES.find(path) == found


def test_head_is_answered_where_get_is():
    assert (JOB.allow, JOBS.allow) == ("GET, HEAD", "POST")
