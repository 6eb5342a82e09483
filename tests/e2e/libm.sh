#!/usr/bin/env bash
# No result of the C library's mathematics reaches a hash: whole runs under another one. tests/libm/shim.c, preloaded, moves every
# exp, log, pow, cos, sin, lgamma ... by 3 ULP (fma and sqrt are correctly rounded, and stay); hashes must be what they are
# without it. A probe shows that the shim works, and a scan which objects of the program ask for what (those of the library:
# objects.sh).
# usage: libm.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
rm -rf "$scratch"
mkdir -p "$scratch"
fail() { echo "libm.sh: FAILED: $*" >&2; exit 1; }
for tool in nm ldd; do command -v $tool > /dev/null || { echo "$tool is not installed"; exit 77; }; done

# ---- the shim works ---------------------------------------------------------------------------------------------------
"${CC:-cc}" -O1 -fPIC -shared -fno-builtin -w "$source/tests/libm/shim.c" -o "$scratch/shim.so" -ldl -lm
"${CC:-cc}" -O1 -fno-builtin -w "$source/tests/libm/probe.c" -o "$scratch/probe" -lm
"$scratch/probe" > "$scratch/plain"
FEDLANE_LIBM_COUNT=$scratch/count LD_PRELOAD=$scratch/shim.so "$scratch/probe" > "$scratch/moved"
functions=0
while read -r name value && read -r _ moved <&3; do
  if [ "$name" = exact ]; then
    [ "$value" = "$moved" ] || fail "the shim changed fma or sqrt: $value, $moved"
    continue
  fi
  [ "$value" != "$moved" ] || fail "the shim left $name as it was"
  grep -q "^${name%f} [1-9]" "$scratch/count" || fail "the shim did not count $name"
  functions=$((functions + 1))
done < "$scratch/plain" 3< "$scratch/moved"
echo "the shim moves $functions functions of the probe"

# ---- whole runs --------------------------------------------------------------------------------------------------------
bash "$source/tests/e2e/make_data.sh" "$scratch/data" 200 60 1
# The golden runs (every rule and method) on a Dirichlet partition; central training; then the schedules.
dirichlet='partition: {name: dirichlet, dirichlet_alpha: 0.3, min_size: 1}'
cp "$source/tests/golden/central.yaml" "$scratch"
for model in logistic lenet5 methods; do
  sed "s/^partition:.*/$dirichlet/" "$source/tests/golden/$model.yaml" > "$scratch/$model.yaml"
done
cat > "$scratch/schedules.yaml" << END
data: {format: idx, train: data/train-images-idx3-ubyte, test: data/t10k-images-idx3-ubyte}
$dirichlet
model: mlp
federated: {clients: 9, participation: 0.5, rounds: 4, local_epochs: 1, batch_size: 20, eval_every: 1}
algorithms:
  - {name: fedavg, lr: 0.1, lr_schedule: [constant, exponential, cosine]}
  - {name: fedadamw, lr: 1e-3, lr_schedule: cosine, warmup: 2}
  - {name: fedavg, lr: 0.1, lr_schedule: step, step_size: 2, step_gamma: 0.3}
  - {name: fedavg, lr: 0.1, lr_schedule: multi_step, milestones: "1+3", step_gamma: 0.7, warmup: 1}
  - {stack: [swa], rule: sgd, lr: 0.1, lr_schedule: swa, swa_start: 3, swa_lr: 0.03}
END
runs() { # FOLDER
  local model summary
  for model in central logistic lenet5 methods schedules; do
    "$fedlane" run "$scratch/$model.yaml" --threads 2 --out "$scratch/$1/$model" > "$scratch/stdout" 2> "$scratch/stderr" || {
      cat "$scratch/stderr" >&2
      fail "$model, $1"
    }
    for summary in "$scratch/$1/$model"/*/summary.json; do
      echo "$model/$(basename "$(dirname "$summary")")" \
        "$(sed -n 's/^ *"\(trajectory_\)\?hash": "\(.*\)".*/\2/p' "$summary" | tr '\n' ' ')"
    done
  done > "$scratch/$1.txt"
}
runs without
rm -f "$scratch/count"
export FEDLANE_LIBM_COUNT=$scratch/count LD_PRELOAD=$scratch/shim.so
runs under
unset LD_PRELOAD FEDLANE_LIBM_COUNT
diff "$scratch/without.txt" "$scratch/under.txt" || fail "a hash depends on the C library's mathematics"
[ "$(awk 'NF == 3 && length($2) == 64 && length($3) == 64' "$scratch/under.txt" | wc -l)" = "$(wc -l < "$scratch/under.txt")" ] ||
  fail "not every run has its two hashes"
[ "$(wc -l < "$scratch/under.txt")" -ge 20 ] || fail "only $(wc -l < "$scratch/under.txt") runs"
echo "$(wc -l < "$scratch/under.txt") runs have the same hashes under the shim; it was entered by: $(
  sort "$scratch/count" 2> /dev/null |
    awk '{ n[$1] += $2 } END { for (f in n) printf "%s (%d) ", f, n[f]; if (!NR) printf "nothing" }')"

# ---- who asks for what ---------------------------------------------------------------------------------------------------
libm=$(ldd "$fedlane" | awk '$1 ~ /^libm\.so/ { print $3 }')
[ -n "$libm" ] || fail "the program does not use libm"
nm -D --defined-only "$libm" | awk '{ sub(/@.*/, "", $NF); print $NF }' | LC_ALL=C sort -u > "$scratch/libm"
exact='fma|fmaf|sqrt|sqrtf|floor|floorf|ceil|ceilf|trunc|rint'
# Seconds of the time that is left, shown on a terminal; verdicts on speed (p, logarithms of ratios).
allowed=' cli_train.c.o:fmod guard_stats.c.o:erfc guard_stats.c.o:expm1 guard_stats.c.o:log guard_stats.c.o:pow '
objects=0
while read -r object; do
  objects=$((objects + 1))
  for symbol in $(nm -u "$object" | awk '{ print $NF }' | LC_ALL=C sort -u | LC_ALL=C join - "$scratch/libm" |
    { grep -vxE "$exact" || true; }); do
    case $allowed in
      *" $(basename "$object"):$symbol "*) ;;
      *) fail "$(basename "$object") calls $symbol of the mathematics library; allowed:$allowed" ;;
    esac
  done
done < <(find "$(dirname "$fedlane")"/CMakeFiles/{fl_harness,fedlane,fl_generic}.dir -name '*.o')
[ "$objects" -ge 20 ] || fail "only $objects objects of the program"
left=$(nm -D --undefined-only "$fedlane" | awk '{ sub(/@.*/, "", $NF); print $NF }' | LC_ALL=C sort -u |
  LC_ALL=C join - "$scratch/libm" |
  { grep -vxE "$exact" || true; } | tr '\n' ' ')
[ "$left" = "erfc expm1 fmod log pow " ] || fail "the program imports: $left"
echo "$objects objects: of the mathematics library, beside what is exact, only$allowed"
