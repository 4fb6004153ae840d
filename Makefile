# SPDX-License-Identifier: GPL-2.0
# The workshop of the multi-fentry series; `make help` tells what there is.
# Everything here is done by the scripts of tools/testing/multi_fentry.

MF := tools/testing/multi_fentry

# As given: a '$' of the guest's shell is none of make's business.
ifneq ($(origin RUN),undefined)
override export RUN := $(value RUN)
endif
# Make passes its command line on to the scripts by the environment; MAKEFLAGS
# would carry it into the kernel's make as well.
unexport MAKEFLAGS

.PHONY: help demo check check-series check-configs unit vm bench series refresh clean selftests tree
.NOTPARALLEL:

help:
	@$(MF)/help.sh

demo:
	@$(MF)/demo.sh

check:
	@$(MF)/check.sh

check-series:
	@$(MF)/check-series.sh

check-configs:
	@$(MF)/check-configs.sh

unit:
	@$(MF)/unit.sh

vm:
	@$(MF)/vm.sh

bench:
	@$(MF)/bench.sh

selftests:
	@$(MF)/selftests.sh

series:
	@$(MF)/series.sh

refresh:
	@$(MF)/tree.sh refresh

tree:
	@$(MF)/kernel.sh tree patched

clean:
	@[ ! -d build/linux ] || [ -n "$(DISCARD)" ] || $(MF)/tree.sh unedited
	rm -rf build
