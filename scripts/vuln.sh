#!/bin/sh
# Runs govulncheck, and goes on where its database (vuln.go.dev) cannot be reached: what a machine without a network
# cannot know must not keep it from testing. $GOVULNCHECK is the command.
set -u

report=$(mktemp)
trap 'rm -f "$report"' EXIT
$GOVULNCHECK ./... >"$report" 2>&1
status=$?
cat "$report"
# 3 means vulnerabilities, 1 an error of its own.
if [ "$status" = 1 ] && grep -q 'fetching vulnerabilities:' "$report"; then
  echo "SKIPPED: the vulnerability database cannot be reached from here, nothing was checked"
  exit 0
fi
exit "$status"
