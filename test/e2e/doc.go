// Package e2e tests ovn-egress from outside: pods ask a server beyond the cluster who they are. The specs are in the
// _test files, one claim each, with the rule of the manuals (seeds) or of existing behaviour (spec) that it proves;
// the other files are the words that they are written in.
//
//	go test ./test/e2e -count=1 -timeout 25m                             # as root
//	go test ./test/e2e -count=1 -ginkgo.label-filter=smoke
//
// Variables of the environment:
//
//	E2E_OVN   release of OVN: trixie (default), distro or sid
//	E2E_NAME  name of the cluster that is made and removed again, default e2e
//	E2E_KEEP  if not empty, the cluster is left behind, for inspection
//
// Executables that are missing in bin/ are built; those that exist are used as they are, so `make build` comes first
// after a change (`make test-e2e` does it).
package e2e
