#!/bin/sh
# The tests: `make test` calls this. Those with real processes (tests/acceptance) wait more than they work, so they run
# beside all others. Their output comes when both are done. With a path, only what is there runs.
set -u
cd "$(dirname "$0")/.."
python=.venv/bin/python

if [ "${1:-tests}" != tests ]; then
    exec "$python" -m pytest "$1"
fi

mkdir -p .cache
log=.cache/acceptance-tests.log
"$python" -m pytest -o cache_dir=.cache/pytest-acceptance tests/acceptance >"$log" 2>&1 &
beside=$!
trap 'kill "$beside" 2>/dev/null; exit 130' INT TERM
echo "tests/acceptance runs beside the others; its output is in $log, and here at the end."
"$python" -m pytest --ignore=tests/acceptance
others=$?
wait "$beside"
acceptance=$?
echo
cat "$log"
if [ "$others" -ne 0 ]; then
    echo "FAILED: tests other than tests/acceptance; see above."
fi
[ "$others" -eq 0 ] && [ "$acceptance" -eq 0 ]
