#!/usr/bin/env bash
# A program that has set a locale with a decimal comma gets the same numbers from the library as any other.
# usage: locale.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
scratch=$3
rm -rf "$scratch"
mkdir -p "$scratch"
command -v localedef > /dev/null || { echo "SKIP: no localedef to make a locale with a decimal comma"; exit 77; }
[ -r /usr/share/i18n/locales/de_DE ] || {
  echo "SKIP: no sources of locales (Debian: locales) to make one with a decimal comma"
  exit 77
}
localedef -i de_DE -f UTF-8 "$scratch/de_DE.UTF-8" || { echo "locale.sh: FAILED: localedef" >&2; exit 1; }
LOCPATH=$scratch LC_ALL=de_DE.UTF-8 "$scratch/../fedlane-unit" "[comma]" | tee "$scratch/out.txt"
grep -q "1 test case" "$scratch/out.txt"       # none matched is no success
