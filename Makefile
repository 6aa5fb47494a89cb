# Thin calls of the presets in CMakePresets.json. `make quickstart` and `make test` do all set-up themselves.
.DEFAULT_GOAL := build
.PHONY: build test quickstart bench format format-check lint asan tsan clean

PRESET ?= release

bootstrap := scripts/bootstrap.sh

build: ## the program, as ./imagerank
	@$(bootstrap)
	@cmake --preset $(PRESET) >build-configure.log 2>&1 || { cat build-configure.log; exit 1; }
	@rm -f build-configure.log
	@cmake --build --preset $(PRESET) --target imagerank_program
	@ln -sfn build/$(PRESET)/src/cli/imagerank imagerank

test: ## everything, built and tested; CTest's summary closes it
	@IMAGERANK_BOOTSTRAP_LINT=1 IMAGERANK_BOOTSTRAP_TESTS=1 $(bootstrap)
	@cmake --preset $(PRESET)
	@cmake --build --preset $(PRESET)
	@ln -sfn build/$(PRESET)/src/cli/imagerank imagerank
	@ctest --preset $(PRESET)

quickstart: build ## a made-up world, three heads, one table, one ranked list
	@scripts/quickstart.sh

asan tsan: ## the tests under sanitizers
	@$(bootstrap)
	cmake --preset $@
	cmake --build --preset $@
	ctest --preset $@

bench: ## benchmarks/, see docs/benchmarks.md
	@$(bootstrap)
	cmake --preset release -DIMAGERANK_BUILD_BENCHMARKS=ON
	cmake --build --preset release

sources = $$(git ls-files -co --exclude-standard '*.h' '*.cpp')

format: ## clang-format 19 on every file
	@IMAGERANK_BOOTSTRAP_LINT=1 $(bootstrap)
	clang-format-19 -i $(sources)

format-check:
	@clang-format-19 --dry-run --Werror $(sources)

lint: format-check ## clang-format and clang-tidy 19, as errors
	@IMAGERANK_BOOTSTRAP_LINT=1 $(bootstrap)
	cmake --preset tidy
	cmake --build --preset tidy

clean:
	rm -rf build imagerank
