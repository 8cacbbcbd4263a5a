#!/bin/sh
# The tests: `make test` calls this. They run in four parts beside each other: the tests with real processes
# (tests/acceptance) in two halves and the suites of NSQ's clients, which wait more than they work and go first where all
# want the processor; and all others, the conformance suite over each store last. The output of the first three comes when
# all are done. With a path, only what is there runs.
set -u
cd "$(dirname "$0")/.."
python=.venv/bin/python

# Processes by the thousand import the package. Where the environment forbids Python to keep what it has compiled
# (PYTHONDONTWRITEBYTECODE, as in many images), each of them would compile it anew: half of what its start costs.
"$python" -m compileall -q src tests benchmarks examples

if [ "${1:-tests}" != tests ]; then
    exec "$python" -m pytest "$1"
fi

# These files take about half of the time that the acceptance tests take. Any other file, a new one too, is in the second half.
in_first="bench cli consumers demo gates ground nsq_directory nsq_kills nsq_tools poison schedules streams torture workflow_kills workflows_cli"
suites=tests/acceptance/test_nsq_suites.py
first=
not_first="--ignore=$suites"
for name in $in_first; do
    first="$first tests/acceptance/test_$name.py"
    not_first="$not_first --ignore=tests/acceptance/test_$name.py"
done

# part NAME ARGUMENTS: run these tests, with a cache and a log of their own.
part() {
    name=$1
    shift
    exec "$python" -m pytest -o "cache_dir=.cache/pytest-acceptance-$name" "$@" >".cache/acceptance-$name-tests.log" 2>&1
}

mkdir -p .cache
# The lists are words without spaces.
part 1 $first &
half_1=$!
part 2 tests/acceptance $not_first &
half_2=$!
part suites "$suites" &
suites=$!
trap 'kill "$half_1" "$half_2" "$suites" 2>/dev/null; exit 130' INT TERM
echo "tests/acceptance runs beside the others, in three parts; their output is in .cache/acceptance-*-tests.log, and at the end."
failed=
nice -n 5 "$python" -m pytest --ignore=tests/acceptance --ignore=tests/conformance || failed="$failed others"
nice -n 5 "$python" -m pytest -o cache_dir=.cache/pytest-conformance tests/conformance || failed="$failed tests/conformance"
wait "$half_1" || failed="$failed tests/acceptance(1)"
wait "$half_2" || failed="$failed tests/acceptance(2)"
wait "$suites" || failed="$failed tests/acceptance(suites)"
for name in suites 1 2; do
    echo
    cat ".cache/acceptance-$name-tests.log"
done
if [ -n "$failed" ]; then
    echo "FAILED:$failed; see above."
    exit 1
fi
