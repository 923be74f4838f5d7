# Specie: two commands set everything up and run it.
#
#   make demo   the main job, end to end, on SoftHSM and an emulated TPM
#   make test   all tests
#
#   make dev    the same box, left running for a person to play with
#   make bench  figures, as ratios within one run
#   make build  the three programs into bin/
#   make test-failover  one of the tests, told at length: a PostgreSQL cluster
#                       loses its leader under load (about a minute)
#   make screenshots    the pictures in docs/images, by the tests that use the pages
#   make generate  everything that is generated from a source in the tree

GO ?= go
export GOFLAGS ?= -buildvcs=false

# Packages whose goroutines share state run under the race detector, which
# costs five to ten times the processor; of the rules and the till, what happens
# at once does. All the others run without it.
RACE := ./server ./ledger/sqlite ./hsm ./ledger/postgres ./api/... ./fault ./ledger/batch ./signer ./tpm/...
# What takes longest begins first, so that nothing runs alone at the end.
LONG := ./cmd/specied ./wallet ./issuer ./ceremony ./cmd/specie-ceremony ./ledger/postgres/failovertest ./cmd/specie ./opening ./demo ./merchant/desk/desktest ./merchant ./registration
# Most of those wait for TPMs, disks and other programs: with two packages a
# processor none is idle. vet has looked already.
TEST := $(GO) test -vet=off -p $$(($$(getconf _NPROCESSORS_ONLN) * 2))
ATONCE := AtOnce|Concurrent|Races|ManyTimes|WhileTheBankWorks

.PHONY: all setup build demo dev test test-failover bench screenshots generate vet clean

all: build

setup:
	@scripts/setup

build: setup
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/specie ./cmd/specie
	$(GO) build -trimpath -o bin/ ./cmd/specied ./cmd/specie-ceremony

demo: build
	@$(GO) run ./demo -bin bin

dev: build
	@bin/specied dev

vet:
	$(GO) vet ./...

test: setup vet build
	$(TEST) $(LONG) $$($(GO) list ./... | grep -v -x -F "$$($(GO) list $(RACE))")
	$(TEST) -race $(RACE)
	$(TEST) -race -run '$(ATONCE)' ./issuer ./merchant ./registration

test-failover: setup
	$(GO) test -count=1 -v ./ledger/postgres/failovertest

bench: setup build
	@scripts/bench

screenshots: setup
	SPECIE_SCREENSHOTS=docs/images $(GO) test -count=1 ./merchant/desk/desktest ./dashboard

generate:
	$(GO) generate ./...

clean:
	rm -rf bin
