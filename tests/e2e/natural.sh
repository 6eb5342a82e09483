#!/usr/bin/env bash
# A data set that names its clients (NPZ with client_train) is divided by them. usage: natural.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 scratch=$3
fail() { echo "natural.sh: FAILED: $*" >&2; cat "$scratch/err.txt" >&2; exit 1; }
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"
python3 - << 'PY'
import struct, zipfile

def npy(descr, shape, data):
    header = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (descr, shape)
    header += " " * (-(len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data

def images(n):
    return npy("|u1", "(%d, 4, 4)" % n, bytes(40 * (i % 3) + (7 * i + 3 * p) % 60 for i in range(n) for p in range(16)))
def labels(n): return npy("|u1", "(%d,)" % n, bytes(i % 3 for i in range(n)))

clients = [(90, 5, 40, 5)[i % 4] for i in range(60)]
for name, named in (("named", True), ("plain", False)):
    with zipfile.ZipFile(name + ".npz", "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("x_train.npy", images(60)); z.writestr("y_train.npy", labels(60))
        z.writestr("x_test.npy", images(12)); z.writestr("y_test.npy", labels(12))
        if named: z.writestr("client_train.npy", npy("<i8", "(60,)", struct.pack("<60q", *clients)))
PY
cat > c.yaml << 'YAML'
data: {format: npz, train: named.npz}
partition: natural
model: logistic
federated: {clients: 3, participation: 1, rounds: 2, batch_size: 10}
algorithms: [{name: fedavg, lr: 0.1}]
YAML
"$fedlane" run c.yaml --out out > out.txt 2> err.txt || fail "exit code $?"
python3 - out/*/partition.json << 'PY' || fail "other lists than client_train's"
import json, sys
lists = json.load(open(sys.argv[1]))["index"]
clients = [(90, 5, 40, 5)[i % 4] for i in range(60)]
sys.exit(lists != [[i for i in range(60) if clients[i] == c] for c in (5, 40, 90)])
PY
refused() { # PATTERN SET
  local code=0
  "$fedlane" run c.yaml --set "$2" --out no > out.txt 2> err.txt || code=$?
  [ "$code" = 1 ] && grep -q -e "$1" err.txt || fail "--set $2: exit code $code, wanted '$1'"
}
refused 'partition natural: clients = 4; allowed: 3' federated.clients=4
refused 'partition natural: the data name no clients; needed is an NPZ file with client_train' data.train=plain.npz
rm -rf "$scratch"
