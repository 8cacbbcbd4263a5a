#!/bin/sh
# The tests: `make test` calls this. They run in three parts beside each other: those with real processes
# (tests/acceptance), which wait more than they work and go first where all want the processor; the conformance suite over
# each store; and all others. The output of the first two comes when all are done. With a path, only what is there runs.
set -u
cd "$(dirname "$0")/.."
python=.venv/bin/python

if [ "${1:-tests}" != tests ]; then
    exec "$python" -m pytest "$1"
fi

mkdir -p .cache
"$python" -m pytest -o cache_dir=.cache/pytest-acceptance tests/acceptance >.cache/acceptance-tests.log 2>&1 &
acceptance=$!
nice -n 5 "$python" -m pytest -o cache_dir=.cache/pytest-conformance tests/conformance \
    >.cache/conformance-tests.log 2>&1 &
conformance=$!
trap 'kill "$acceptance" "$conformance" 2>/dev/null; exit 130' INT TERM
echo "tests/acceptance and tests/conformance run beside the others; their output is in .cache/*-tests.log, and at the end."
failed=
nice -n 5 "$python" -m pytest --ignore=tests/acceptance --ignore=tests/conformance || failed="$failed others"
wait "$conformance" || failed="$failed tests/conformance"
wait "$acceptance" || failed="$failed tests/acceptance"
for part in conformance acceptance; do
    echo
    cat ".cache/$part-tests.log"
done
if [ -n "$failed" ]; then
    echo "FAILED:$failed; see above."
    exit 1
fi
