#!/usr/bin/env bash
# scripts/setup --list, and what it says where it can install nothing: without root, without apt, on AArch64. Nothing is installed
# here: the commands that could are stubs. --help. Arguments: PROGRAM SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
. "$source/tests/e2e/try.bash"

# A machine that has these tools and nothing else; a stub is a script of that name.
machine() { # NAME TOOLS...
  bin=$scratch/$1
  mkdir "$bin"
  shift
  for tool in sh cat sed cut dirname mktemp rm env "$@"; do ln -s "$(command -v "$tool")" "$bin/$tool"; done
  stub uname 'echo x86_64'
}
stub() { printf '#!/bin/sh\n%s\n' "$2" > "$bin/$1"; chmod +x "$bin/$1"; }
setup() { # EXIT_CODE ARGUMENTS...
  local want=$1 got=0; shift
  env -u CONDA_PREFIX PATH="$bin" ${conda:+CONDA_PREFIX=$conda} "$bin/sh" "$source/scripts/setup" "$@" \
    > "$scratch/out" 2> "$scratch/err" < /dev/null || got=$?
  [ $got = "$want" ] || fail "exit code $got, not $want: scripts/setup $*"
}
untold() { ! grep -qF -- "$1" "$scratch/out" "$scratch/err" || fail "told: $1"; }
conda=""

machine plain
setup 0 --list
told "apt: cmake ninja-build gcc g++"
told "dnf: cmake ninja-build gcc gcc-c++"
told "conda-forge: cmake ninja c-compiler cxx-compiler"
untold catch2
setup 0 --list dnf
[ "$(cat "$scratch/out")" = "cmake ninja-build gcc gcc-c++ pkgconf-pkg-config libyaml-devel jansson-devel zlib-devel \
numactl-devel openssl-devel python3 python3-matplotlib python3-numpy" ] || fail "not the names alone"
setup 0 --list conda-forge --test
told "libnuma"
told "catch2 benchmark"
untold aarch64
setup 0 --test --list apt
told "gcc-aarch64-linux-gnu"
stub uname 'echo aarch64'
setup 0 --list apt --test
untold aarch64
untold qemu
told catch2
setup 2 --lsit
told "allowed: --test, --onednn, --list"
setup 2 dnf
told "only with --list"
setup 2 --test --onednn
told "exclude each other"

# Asked for help, the scripts that install and build only print how they are used.
for script in setup quickstart test; do
  for option in --help -h; do
    got=0
    PATH="$bin" "$bin/sh" "$source/scripts/$script" $option > "$scratch/out" 2> "$scratch/err" < /dev/null || got=$?
    [ $got = 0 ] || fail "exit code $got, not 0: scripts/$script $option"
    grep -q "^usage: scripts/$script \[" "$scratch/out" || fail "no usage: scripts/$script $option"
    if [ -s "$scratch/err" ] || grep -q '^#\|set -eu' "$scratch/out"; then fail "more than its usage: scripts/$script $option"; fi
  done
done

# No apt: names for what is here, and nothing else happens.
setup 1
told "cmake is missing, and there is no apt here: nothing was installed"
told "dnf: cmake"
stub dnf 'echo called; exit 9'
setup 1
told "sudo dnf install cmake ninja-build"
told "scripts/download fashion_mnist"
untold called
conda=/somewhere
setup 1
told "conda install -c conda-forge cmake ninja"
conda=""
for tool in cmake ninja cc c++ pkg-config python3; do stub $tool 'exit 0'; done
setup 0
stub pkg-config '[ "$2" != jansson ]'
setup 1
told "the library jansson is missing"

# apt without root: what is missing, and no more.
machine user
stub dpkg-query 'case "$3" in cmake | gcc) echo "ii " ;; *) exit 1 ;; esac'
stub id 'echo 1000'
stub apt-get 'echo called; exit 9'
setup 1
told "neither root nor has sudo: nothing was installed"
told "apt-get install --no-install-recommends ninja-build g++"
untold called
untold " cmake"

# With root, and apt that fails: its words.
stub id 'echo 0'
stub apt-get 'echo "no network" >&2; exit 100'
setup 1
told "no network"
told "apt-get failed"
stub dpkg-query 'echo "ii "'
setup 0
echo "setup.sh: passed"
