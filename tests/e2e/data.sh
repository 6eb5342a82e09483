#!/usr/bin/env bash
# Data sets of features and text: `fedlane info --data` against readers of their own in Python, whole rows by their hash, and
# against scikit-learn where there is one; runs, with the same bits for other threads.
# usage: data.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 scratch=$3
source "$(dirname "$0")/try.bash"
cd "$scratch"

cat > make.py << 'PY'
import random
random.seed(5)
def number(): return random.choice(["1", "0.25", "-3e-2", "7.125", "0", "1e-45", "16777217", "0.1"])
for name, rows, first in (("one", 300, 1), ("one.t", 90, 1), ("zero", 50, 0)):
    with open(name, "w") as f:
        for i in range(rows):
            columns = sorted(random.sample(range(first, 40), random.randrange(0, 9)))
            if i == 0: columns = sorted(set(columns) | {first, 39})
            f.write(" ".join([random.choice(("-1", "+1", "3"))] + ["%d:%s" % (c, number()) for c in columns]) + "\n")
with open("play.txt", "w") as f:
    for i in range(60):
        said = "".join(random.choice("abc d\n.") for _ in range(90)).strip()
        f.write("%s:\n%s\n\n" % (random.choice(("Ann", "The Duke", "Bo")), said))
with open("s.tsv", "wb") as f:
    f.write(b"text\tlabel\n")
    for i in range(200):
        said = "".join(random.choice("gut schön ") for _ in range(random.randrange(1, 30)))
        f.write((said + "\t%d\n" % (i % 3)).encode())
PY
python3 make.py

# rows of the formats by the words of docs/data.md, and the hash that `info` prints of them
cat > read.py << 'PY'
import hashlib, re, struct, sys
def number(v): return struct.pack("<f", v)
def libsvm(paths, zero):
    files = [[line.split() for line in open(p)] for p in paths]
    base = 0 if zero else 1
    wide = max(int(e.split(":")[0]) for f in files for line in f for e in line[1:]) + 1 - base
    classes = sorted({int(line[0]) for line in files[0]})
    parts = []
    for f in files:
        rows = []
        for line in f:
            row = [number(0.0)] * wide
            for e in line[1:]: row[int(e.split(":")[0]) - base] = number(float(e.split(":")[1]))
            rows.append((b"".join(row), struct.pack("<I" if len(classes) > 256 else "B", classes.index(int(line[0])))))
        parts.append((2, wide, 0, rows))
    return parts
def text(path, length, stride, last, part, speakers):
    whole = open(path, "rb").read()
    voices = {}
    if speakers:
        said = re.split(rb"(?:\A|(?<=\n)\n)([^\n]+):\n", whole)[1:]
        for name, words in zip(said[::2], said[1::2]): voices[name] = voices.get(name, b"") + words
    else: voices[b""] = whole
    known = sorted(set(b"".join(voices.values())))
    parts = [[], []]
    for v in voices.values():
        cut = len(v) - int(part * len(v))
        for to, piece in ((0, v[:cut]), (1, v[cut:])):
            for at in range(0, len(piece) - length, stride):
                t = [known.index(b) for b in piece[at:at + length + 1]]
                parts[to].append((struct.pack("<%di" % length, *t[:-1]), bytes(t[-1:] if last else t[1:])))
    return [(3, length, 0 if last else length, rows) for rows in (parts if part else parts[:1])]
def sentences(path, length):
    rows = []
    for line in open(path, "rb").read().split(b"\n")[1:-1]:
        said, label = line.split(b"\t")
        rows.append((struct.pack("<%di" % length, *said[:length].ljust(length, b"\0")), bytes([int(label)])))
    return [(3, length, 0, rows)]
parts = eval(sys.argv[1])
h = hashlib.sha256()
for i in range(2):
    kind, wide, positions, rows = parts[i] if i < len(parts) else (2, 0, 0, [])
    h.update(struct.pack("<6Q", kind, len(rows), 1 if rows else 0, 1 if rows else 0, wide, positions))
    for x, y in rows: h.update(x + y)
print(h.hexdigest(), *[len(p[3]) for p in parts])
PY
same() { # PYTHON ARGUMENTS...
  local want; want=$(python3 read.py "$1"); shift
  try 0 info "$@"
  told "${want%% *}"
}
same 'libsvm(["one", "one.t"], 0)' --data one --test one.t
same 'libsvm(["one"], 0)' --data one
same 'libsvm(["zero"], 1)' --data zero
same 'libsvm(["one"], 1)' --data one --set index_base=zero
same 'text("play.txt", 12, 12, 0, 0, 0)' --data play.txt --set length=12
same 'text("play.txt", 12, 5, 1, 0.25, 0)' --data play.txt --set length=12,stride=5,predict=last,test_part=0.25
same 'text("play.txt", 10, 10, 0, 0.1, 1)' --data play.txt --set length=10,clients=speakers,test_part=0.1
told 'clients      3, of '
same 'sentences("s.tsv", 16)' --data s.tsv --set length=16
gzip -k one
same 'libsvm(["one"], 0)' --data one.gz

if python3 -c 'import sklearn' 2> /dev/null; then
  try 0 info --data one --json
  python3 - "$scratch/out" << 'PY' || fail "other counts than scikit-learn's"
import json, sys
from sklearn.datasets import load_svmlight_file
x, y = load_svmlight_file("one")
o = json.load(open(sys.argv[1]))
counts = [int((y == v).sum()) for v in o["class_values"]]
t = o["train"]
sys.exit(x.shape != (t["rows"], t["shape"][2]) or (x.data != 0).sum() != t["not_zero"] or counts != t["class_counts"])
PY
fi

cat > sparse.yaml << 'YAML'
data: {format: libsvm, train: one, test: one.t}
partition: {name: dirichlet, dirichlet_alpha: 1}
model: logistic
federated: {clients: 10, participation: 0.5, rounds: 2, batch_size: 10}
algorithms: [{name: fedavg, lr: 0.1}]
YAML
try 0 run sparse.yaml --verify
cat > text.yaml << 'YAML'
data: {format: text, train: play.txt, length: 10, clients: speakers, test_part: 0.1}
partition: natural
model: {layers: [{embedding: {tokens: 256, out: 8}}, {linear: {out: 7}}]}
federated: {clients: 3, participation: 1, rounds: 3, batch_size: 10}
algorithms: [{name: fedavg, lr: 0.5}]
YAML
try 0 run text.yaml --verify
try 0 run text.yaml --out text
python3 - text/*/run.json << 'PY' || fail "the characters are not in run.json"
import json, sys
values = json.load(open(sys.argv[1]))["data"]["class_values"]
sys.exit(values != sorted(set(b"abc d\n.")))
PY
cat > sentences.yaml << 'YAML'
data: {format: sentences, train: s.tsv, length: 16, validation: 0.2}
model: {layers: [{embedding: {tokens: 256, out: 4}}, flatten, linear]}
training: {epochs: 2, batch_size: 10}
algorithms: [{rule: sgd, lr: 0.5}]
YAML
try 0 run sentences.yaml --verify
cat > made.yaml << 'YAML'
data: {format: alpha_beta, users: 6, test_part: 0.1}
partition: natural
model: logistic
federated: {clients: 6, participation: 0.5, rounds: 2, batch_size: 10}
algorithms: [{name: fedprox, lr: 0.01}]
YAML
try 0 run made.yaml --verify
try 2 run made.yaml --set data.train=one --out no
told 'none, as its rows are made'
try 2 run made.yaml --set data.spread=2 --out no
told 'spread would do nothing; allowed: only with format = blobs'
try 0 info --data blobs --set rows=90,classes=3,test_part=0.1
told '     2 2                27          3'
bash "$2/tests/e2e/make_data.sh" images 200 40 3
cat > augment.yaml << 'YAML'
data: {format: idx, train: images, augment: crop_flip}
model: logistic
federated: {clients: 5, participation: 0.6, rounds: 3, batch_size: 10}
algorithms: [{name: fedavg, lr: 0.1}, {stack: [sam], rule: sgd, lr: 0.1}]
YAML
try 0 run augment.yaml --verify
try 0 run augment.yaml --out augmented
try 0 run augment.yaml --set data.augment=none --out plain
! cmp -s augmented/fedavg-s1/params.safetensors plain/fedavg-s1/params.safetensors || fail "augment changes nothing"
try 1 run sparse.yaml --set data.augment=flip --out no
told 'data.augment would do nothing'
try 2 run augment.yaml --set data.augment=rotate --out no
told 'none|crop|flip|crop_flip'
try 1 run text.yaml --set partition=noise --out no
told 'partition noise: its noise is of pixels'
try 1 run sparse.yaml --set data.scaling=unit --out no
told 'data.scaling would do nothing'
try 1 info --data s.tsv --format libsvm
told 's.tsv:1:1: label'
try 2 info --data s.tsv --set stride=3
told "'stride'"
try 2 info --format idx
told 'only with --data'
# More classes than a byte has: a label in words, here 300 of them.
cat > many.py << 'PY'
with open("many", "w") as f, open("many.t", "w") as t:
    for i in range(900):
        k = i % 300
        digits = " ".join("%d:1" % (40 * j + k // 17 ** j % 17 + 1) for j in range(3))
        (t if i >= 600 else f).write("%d %s\n" % (7 * k - 1000, digits))
PY
python3 many.py
same 'libsvm(["many", "many.t"], 0)' --data many --test many.t
told '2 to 2 rows a class, 0 classes without one'
cat > many.yaml << 'YAML'
data: {format: libsvm, train: many, test: many.t}
partition: {name: dirichlet_client, dirichlet_alpha: 100}
model: logistic
federated: {clients: 10, participation: 1, rounds: 40, batch_size: 20, local_epochs: 2}
algorithms: [{name: fedavg, lr: 5}]
YAML
try 0 run many.yaml --verify --set federated.rounds=2
try 0 run many.yaml --set partition=iid --out many.out
python3 - many.out/*/summary.json many.out/*/run.json << 'PY' || fail "300 classes are not learned, or not in run.json"
import json, sys
summary, run = (json.load(open(p)) for p in sys.argv[1:])
counts = run["partition"]["class_counts"]
good = run["data"]["classes"] == 300 and run["data"]["class_values"][299] == 1093 and len(counts) == 10 and len(counts[0]) == 300
sys.exit(not good or summary["best_accuracy"] < 0.9)
PY
rm -rf "$scratch"
