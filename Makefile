# The two commands for a newcomer: make demo, make test. The others are what they are made of.
GO      ?= go
BIN     := bin
SUDO    := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: build bootstrap images demo demo-down test check lint fmt vet bench clean

build: ## The three programs. node-agent is reproducible: the same source gives the same bytes.
	$(GO) build -o $(BIN)/ ./cmd/hostctl ./cmd/hostd
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags='-s -w' -o $(BIN)/ ./cmd/node-agent

bootstrap: ## Installs what is missing on a Debian or Ubuntu machine and starts a Docker engine where none answers.
	@$(SUDO) agent/images/bootstrap

images: bootstrap ## The node images. What is there already isn't built again.
	@$(SUDO) agent/images/build

demo: images build ## A whole platform on this machine: push, sites, DNS. Leaves it running; see .demo/env.
	@$(SUDO) $(GO) run ./tests/demo up

demo-down: ## Removes all that make demo has made, and only that.
	@$(SUDO) $(GO) run ./tests/demo down

# Packages are tested in this order, as many at a time as there are cores: the longest two first, or one of them is left to run by
# itself at the end.
test: images build ## All tests, on the real parts, with the race detector.
	$(SUDO) env "PATH=$$PATH" $(GO) test -race -shuffle=on -timeout 40m ./tests/e2e ./tests/faults ./...
	$(GO) test -run Histories ./planner

check: fmt vet lint ## What a change must pass besides the tests.

fmt:
	@test -z "$$(gofmt -l cmd reconciler schema planner executors agent examples migrations tests)" || { gofmt -d cmd reconciler schema planner executors agent examples migrations tests; exit 1; }

vet:
	$(GO) vet ./...

lint:
	$(GO) tool -modfile=tools/go.mod golangci-lint run

bench: ## Figures, as ratios within one run.
	$(GO) test -run='^$$' -bench=. -benchtime=1x ./...

clean:
	rm -rf $(BIN)
