# Sourced by tests of the program after fedlane= and scratch=: an empty scratch folder, and commands with the exit code and the
# words that they should have. What the last command printed is in $scratch/out and $scratch/err.
rm -rf "$scratch"
mkdir -p "$scratch"
fail() { echo "${0##*/}: FAILED: $*" >&2; cat "$scratch/out" "$scratch/err" >&2; exit 1; }
try() { # EXIT_CODE ARGUMENTS...
  local want=$1 got=0; shift
  "$fedlane" "$@" > "$scratch/out" 2> "$scratch/err" || got=$?
  [ $got = "$want" ] || fail "exit code $got, not $want: fedlane $*"
}
told() { grep -qF -- "$1" "$scratch/out" "$scratch/err" || fail "not told: $1"; }
