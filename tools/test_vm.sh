#!/bin/bash
# Runs the tests that need what the running kernel lacks under kernels that have it: tools/test_vm.sh [PATH...]
# First under user-mode Linux, and what that lacks too (nftables nat) under Debian's kernel in qemu; there a skip is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONDONTWRITEBYTECODE=1
(($#)) || set -- tests/kernel tests/e2e
mkdir -p build/vm
pytest=(.venv/bin/pytest -p no:cacheprovider -o timeout=300)

# A collection failure says what failed; a list of tests is of no interest.
.venv/bin/pytest -p no:cacheprovider --collect-only -qq --defer=build/vm/uml.txt "$@" >build/vm/collect.log || { cat build/vm/collect.log; exit 1; }
if [[ ! -s build/vm/uml.txt ]]; then
  echo "The running kernel has everything that the tests need: no test is left for a VM."
  exit 0
fi

if [[ $(dpkg --print-architecture) == amd64 ]]; then
  echo "$(wc -l <build/vm/uml.txt) tests need what this kernel lacks and run under user-mode Linux:"
  tools/vm.sh uml "${pytest[@]}" --defer=build/vm/qemu.txt @build/vm/uml.txt
else
  cp build/vm/uml.txt build/vm/qemu.txt  # Debian has user-mode Linux for amd64 alone
fi
if [[ -s build/vm/qemu.txt ]]; then
  echo "$(wc -l <build/vm/qemu.txt) tests need still more and run under Debian's kernel in qemu:"
  tools/vm.sh qemu "${pytest[@]}" --require-kernel @build/vm/qemu.txt
fi
