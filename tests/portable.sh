#!/bin/sh
# Run a command as an old processor would, with so many threads, and progress bars forced on or off in notebooks:
#     sh tests/portable.sh THREADS always|never COMMAND [ARGUMENT...]
# The oldest instructions that PyTorch, oneDNN and MKL offer round differently in the last digits, and a slow machine shows
# bars that a fast one does not: an output that a test compares must depend on neither.
set -eu

threads=$1 bars=$2
shift 2
exec env ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2 \
    OMP_NUM_THREADS="$threads" MKL_NUM_THREADS="$threads" VIZCOURSE_BARS="$bars" "$@"
