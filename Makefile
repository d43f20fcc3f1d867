# `make help` lists the targets.
SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# OVN release of the end-to-end tests: trixie, distro or sid.
E2E_OVN ?=
# Which end-to-end tests run: a Ginkgo label filter.
E2E_LABELS ?=
# Further flags of `go test`; -json for unit and cluster tests comes from the gate.
TEST_FLAGS ?=
CONTAINER_ENGINE ?= podman

COMMANDS = $(wildcard cmd/*) $(wildcard test/cluster/cmd/*)
# Tools are built from pinned modules of their own and cached by Go.
CONTROLLER_GEN = go tool -modfile=tools/go.mod controller-gen
GOLANGCI_LINT  = go tool -modfile=tools/lint/go.mod golangci-lint
GOVULNCHECK    = go tool -modfile=tools/lint/go.mod govulncheck

# Stages of the gate, in this order.
STAGES = deps build verify-generate vet lint vuln test-unit test-cluster test-e2e test-smoke

##@ Start here

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: deps build ## See it work: a cluster, an EgressIP, a lost node (root, a few minutes the first time)
	@scripts/demo.sh

.PHONY: test
test: ## Run all that gates a change; prints how long each stage took (root, at most 30 minutes on two cores)
	@go run ./scripts/gate $(STAGES)

##@ Build

.PHONY: all
all: generate build ## Generate and build

.PHONY: build
build: ## Build all commands into bin/
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -o bin/ $(COMMANDS:%=./%)

.PHONY: generate
generate: ## Write CRDs and deep copies from pkg/api
	$(CONTROLLER_GEN) object crd paths=./pkg/api/... output:crd:dir=manifests/crds

.PHONY: images
images: ## Build the container images egress-controller and egress-agent
	for name in controller agent; do \
	  $(CONTAINER_ENGINE) build --tag egress-$$name --file images/$$name/Containerfile .; \
	done

.PHONY: clean
clean: ## Remove what was built; clusters are removed by `bin/netcluster down`, caches are Go's
	rm -rf bin

##@ Check

.PHONY: verify-generate
verify-generate: ## Fail if `make generate` changes anything, and show the difference
	@before=$$(mktemp -d); trap 'rm -rf "$$before"' EXIT; \
	cp -R pkg/api "$$before/api"; cp -R manifests/crds "$$before/crds"; \
	$(MAKE) --no-print-directory generate; \
	diff -ru "$$before/api" pkg/api && diff -ru "$$before/crds" manifests/crds || \
	  { echo 'generated files were out of date: commit what `make generate` has just written' >&2; exit 1; }

.PHONY: vet
vet: ## Run go vet
	go vet ./...

.PHONY: lint
lint: ## Run golangci-lint (.golangci.yml); compiling it takes a minute or two, once
	$(GOLANGCI_LINT) run ./...

.PHONY: vuln
vuln: ## Look for known vulnerabilities in code that we call; without a network, say so and go on
	@GOVULNCHECK='$(GOVULNCHECK)' scripts/vuln.sh

.PHONY: test-unit
test-unit: ## Run the unit tests, with the race detector
	go test -race -shuffle=on -timeout 10m $(TEST_FLAGS) $$(go list ./... | grep -v '^github.com/ovn-egress/ovn-egress/test/')

.PHONY: test-cluster
test-cluster: build ## Run the tests of the test bed (root)
	go test -race -timeout 15m $(TEST_FLAGS) ./test/cluster/...

.PHONY: test-e2e
test-e2e: build ## Run the end-to-end tests on E2E_OVN (trixie) that match E2E_LABELS (root)
	E2E_OVN=$(or $(E2E_OVN),trixie) go test -v ./test/e2e -count=1 -timeout 25m \
	  -ginkgo.v -ginkgo.label-filter='$(E2E_LABELS)'

.PHONY: test-smoke
test-smoke: ## Run the end-to-end tests labelled smoke on the distribution's OVN (root)
	@$(MAKE) --no-print-directory test-e2e E2E_OVN=$(or $(E2E_OVN),distro) E2E_LABELS=smoke

.PHONY: test-full
test-full: ## Run the gate, then all end-to-end tests on the distribution's and on the newest OVN (root, long)
	@go run ./scripts/gate $(STAGES) test-e2e-distro test-e2e-sid

.PHONY: test-e2e-distro test-e2e-sid
test-e2e-distro test-e2e-sid: test-e2e-%:
	@$(MAKE) --no-print-directory test-e2e E2E_OVN=$*

.PHONY: bench
bench: deps build ## Measure, and write docs/benchmarks.md (root)
	go run ./test/bench

##@ Machine

.PHONY: deps
deps: ## Install the Debian packages that this machine lacks; starts no service (root)
	@scripts/deps.sh
