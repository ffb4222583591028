#!/usr/bin/env bash
# Extracts features as a SLURM array, each task a part of the clips; under plain bash it is one part: all of them.
#
#   sbatch examples/extract_array.sh --corpora meld iemocap --preset smil --data DIR --offline
#   sbatch --gpus-per-task=1 --array=0-3 examples/extract_array.sh --corpora meld --preset smil --device cuda --jobs 1
#   bash examples/extract_array.sh --corpora meld --preset weightless
#
# What is finished is kept: to go on after a time limit or a fault, submit the whole array again. A single number
# (--array=3) is refused by exit code 3, since SLURM then counts one part.
#SBATCH --job-name=mer-extract
#SBATCH --array=0-9
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --time=08:00:00
set -euo pipefail

part=${SLURM_ARRAY_TASK_ID:-0}
parts=${SLURM_ARRAY_TASK_COUNT:-1}
exec mer extract --shard "$part/$parts" --jobs "${SLURM_CPUS_PER_TASK:-1}" "$@"
