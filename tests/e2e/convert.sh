#!/usr/bin/env bash
# scripts/convert: tables, LEAF's JSON and image folders become NPZ files that the program reads, rows and classes as they were.
# usage: convert.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
. "$source/tests/e2e/try.bash"
export PYTHONDONTWRITEBYTECODE=1
cd "$scratch"
convert() { # EXIT_CODE ARGUMENTS...
  local want=$1 got=0; shift
  "$source/scripts/convert" "$@" > "$scratch/out" 2> "$scratch/err" || got=$?
  [ $got = "$want" ] || fail "exit code $got, not $want: scripts/convert $*"
}
info() { try 0 info --data "$1"; }

printf 'a,who,b,kind\n1,ann,0.5,yes\n-2,bo,1e3,no\n3,ann,0,yes\n' > t.csv
convert 0 table t.csv t.npz --client who
info t.npz
told 'train        3 rows of 1x1x2 features, 1 label a row, 5 numbers not 0'
told 'clients      2, of 1 to 2 rows'
cp t.npz again.npz
convert 0 table t.csv t.npz --client who
cmp -s t.npz again.npz || fail "the same table gives other bytes"
convert 1 table t.csv no.npz
told "t.csv:2: column 'who' is 'ann'; allowed: finite numbers, or --drop it"
convert 1 table t.csv no.npz --label color
told "no column 'color'; allowed: a, who, b, kind"
awk 'BEGIN { print "a,kind"; for (i = 0; i < 600; i++) printf "%d,%d\n", i, i % 300 }' > many.csv
convert 0 table many.csv many.npz
told 'y_train        i4  600'
info many.npz
told 'npz          npz, 300 classes'
printf 'a,b\n1,2\n3\n' > short.csv
convert 1 table short.csv no.npz
told 'short.csv:3: 1 columns; allowed: 2'

python3 - << 'PY'
import json
def put(name, users):
    json.dump({"users": list(users), "num_samples": [len(u["x"]) for u in users.values()], "user_data": users}, open(name, "w"))
put("f.json", {"u1": {"x": [[0.0, 1.0, 128 / 255, 0.2]] * 3, "y": [0, 1, 5]}, "u2": {"x": [[1.0] * 4], "y": [1]}})
put("s.json", {"A": {"x": ["abca", "bcab"], "y": ["b", "c"]}, "B": {"x": ["ccba"], "y": ["a"]}})
put("n.json", {"A": {"x": [[0.5, -7.0], [2.0, 1.0]], "y": [3.0, 4.0]}})
put("bad.json", {"A": {"x": [[0.5, -7.0]], "y": []}})
PY
convert 0 leaf f.json f.npz
info f.npz
told 'train        4 rows of 1x2x2 pixels'
told 'clients      2, of 1 to 3 rows'
convert 0 leaf s.json s.npz --test s.json
info s.npz
told 'test         3 rows of 1x1x4 tokens, 1 label a row'
convert 0 leaf n.json n.npz
info n.npz
told 'train        2 rows of 1x1x2 features'
convert 1 leaf bad.json no.npz
told "user 'A' has not as many y as x"
convert 1 leaf t.csv no.npz
told 'not JSON'
python3 - << 'PY' || fail "other rows than LEAF's"
import struct, sys, zipfile
good = zipfile.ZipFile("s.npz").read("tokens_train.npy")[-48:] == struct.pack("<12i", 0, 1, 2, 0, 1, 2, 0, 1, 2, 2, 1, 0)
good = good and zipfile.ZipFile("f.npz").read("x_train.npy")[-16:] == bytes([0, 255, 128, 51] * 3 + [255] * 4)
good = good and zipfile.ZipFile("n.npz").read("x_train.npy")[-16:] == struct.pack("<4f", 0.5, -7, 2, 1)
sys.exit(not good)
PY

# Words by their number in the training rows, then by their letters; the table of another file; what is no sentence.
printf 'sentence\tlabel\nA b  a c\t1\nb a\t0\nc \303\251 d\t1\n' > w.tsv
printf 'd b c e\t0\n' > v.tsv
convert 0 words w.tsv w.npz --test v.tsv --length 3 --most 4
info w.npz
told 'train        3 rows of 1x1x3 tokens, 1 label a row'
told 'test         1 rows of 1x1x3 tokens, 1 label a row'
convert 1 words v.tsv no.npz
told '1 classes; allowed: 2 to 2^24'
printf 'd b\t1\nz a\t1\n' > u.tsv                      # class 1 of w.npz, though the only one here
convert 0 words u.tsv u.npz --length 2 --as w.npz
printf 'd b\t7\n' > n.tsv
convert 1 words n.tsv no.npz --as w.npz
told "n.tsv: label '7'; allowed: those of w.npz"
python3 - << 'PY' || fail "other words than the table's"
import struct, sys, zipfile
def last(file, name, n): return list(struct.unpack("<%di" % n, zipfile.ZipFile(file).read(name)[-4 * n:]))
good = last("w.npz", "tokens_train.npy", 9) == [2, 3, 2, 3, 2, 0, 4, 1, 5] and last("w.npz", "tokens_test.npy", 3) == [5, 3, 4]
good = good and last("u.npz", "tokens_train.npy", 4) == [5, 3, 1, 2]
good = good and zipfile.ZipFile("u.npz").read("y_train.npy")[-2:] == bytes([1, 1])
sys.exit(not good)
PY
convert 1 words w.tsv no.npz --as t.npz
told 't.npz: no table of words; allowed: a file of scripts/convert words'
printf 'good\t1\nno tab\n' > n.tsv
convert 1 words n.tsv no.npz
told "n.tsv:2: 1 parts, the last 'no tab'; allowed: a text, a tab and a label from 0"
printf 'good\t1\nbad\t9999999999\n' > n.tsv
convert 1 words n.tsv no.npz
told "n.tsv:2: 2 parts, the last '9999999999'; allowed: a text, a tab and a label from 0 to 999999999"
for bad in '["a"]' '{"words": 3}' '{"words": [1, 2]}' '{"words": ["a"], "classes": 2}'; do
  python3 -c 'import sys, zipfile; zipfile.ZipFile("o.npz", "w").writestr("about.json", sys.argv[1])' "$bad"
  convert 1 words w.tsv no.npz --as o.npz
  told 'o.npz: no table of words; allowed: a file of scripts/convert words'
done
for length in 0 65537; do
  convert 1 words w.tsv no.npz --length $length
  told "--length $length --most 8190; allowed: from 1, --length to 65536"
done
printf 'a,b\n1,2\n\377,1\n' > latin.csv
printf 'good\t1\nna\357ve\t0\n' > latin.tsv
printf '{"users": ["\377"]}' > latin.json
convert 1 table latin.csv no.npz
told 'latin.csv:3: byte 0xff; allowed: a text in UTF-8'
convert 1 words latin.tsv no.npz
told 'latin.tsv:2: byte 0xef; allowed: a text in UTF-8'
convert 1 leaf latin.json no.npz
told 'latin.json:1: byte 0xff; allowed: a text in UTF-8'

# Arguments come first: before what the conversion needs (a Pillow that cannot be imported lies in the way), before a row is read.
mkdir -p hidden/PIL empty one/cat two/cat two/dog
echo 'raise ImportError' > hidden/PIL/__init__.py
touch one/cat/0.png two/cat/0.png two/dog/0.png
without_pillow() { PYTHONPATH=hidden convert "$@"; }
without_pillow 1 images nowhere no.npz
told "source 'nowhere': not there; allowed: a folder of folders, one a class, of .png"
without_pillow 1 images t.csv no.npz
told "source 't.csv': a file; allowed: a folder of folders"
without_pillow 1 images two no.npz --test nowhere
told "--test 'nowhere': not there"
without_pillow 1 images two nowhere/no.npz
told "out 'nowhere/no.npz': no such folder; allowed: a file in a folder that is there"
without_pillow 1 images two hidden
told "out 'hidden': a folder"
without_pillow 1 images two no.npz --size 4
told "--size '4'; allowed: HxW"
without_pillow 1 images empty no.npz
told "empty: no images; allowed: a folder of folders"
without_pillow 1 images one no.npz
told "1 classes; allowed: 2 to 2^24"
mv one/cat one/bird
without_pillow 1 images two no.npz --test one
told "one: class 'bird'; allowed: those of the training rows"
without_pillow 1 images two no.npz
told 'images need Pillow'
for kind in leaf words table; do
  convert 1 $kind nowhere no.npz
  told "source 'nowhere': not there; allowed: a "
  convert 1 $kind bad.json no.npz --test nowhere
  told "--test 'nowhere': not there"
  convert 1 $kind bad.json nowhere/no.npz
  told "out 'nowhere/no.npz': no such folder"
  [ $kind != leaf ] || continue
  convert 1 $kind one no.npz
  told "source 'one': a folder; allowed: a "
done
convert 1 words bad.json no.npz --as nowhere
told "--as 'nowhere': not there; allowed: a file of scripts/convert words"

if python3 -c 'import PIL' 2> /dev/null; then
  python3 - << 'PY'
from PIL import Image
import os
for name, color in (("cat", (255, 0, 10)), ("dog", (0, 200, 30))):
    os.makedirs("pictures/" + name)
    for i in range(2): Image.new("RGB", (5, 3 + i), color).save("pictures/%s/%d.png" % (name, i))
PY
  convert 1 images pictures no.npz
  told '4x5 pixels, those before it 3x5; allowed: one size, or --size HxW'
  convert 0 images pictures p.npz --size 4x4
  info p.npz
  told 'train        4 rows of 3x4x4 pixels'
fi
[ ! -e no.npz ] || fail "a file was written"
rm -rf "$scratch"
