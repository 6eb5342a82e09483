#!/usr/bin/env bash
# scripts/download against a server of this machine: the right file, a wrong one, one cut in the middle, a mirror that is dead, an
# archive; what is there and whole stays, what is there and is not whole is never replaced.
# Arguments: PROGRAM SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
. "$source/tests/e2e/try.bash"
export PYTHONDONTWRITEBYTECODE=1

fetch() { # EXIT_CODE ARGUMENTS...
  local want=$1 got=0; shift
  "$source/scripts/download" "$@" > "$scratch/out" 2> "$scratch/err" || got=$?
  [ $got = "$want" ] || fail "exit code $got, not $want: scripts/download $*"
}
fetch 0 --list
told "cifar10: "
told "mnist/train-images-idx3-ubyte.gz  440fcabf"
told "tiny-shakespeare/input.txt  86c4e6aa"
told "char-rnn/master/data/tinyshakespeare/input.txt"
told "sst2/SST-2.zip  d67e16fb"
fetch 2 mnits
told "unknown set 'mnits'; allowed: mnist"
fetch 2
told "no set; allowed"
mkdir "$scratch/place"
echo "not the images" > "$scratch/place/train-images-idx3-ubyte.gz"
fetch 1 mnist --to "$scratch/to" --from "$scratch/place"
told "allowed: 440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
[ -z "$(find "$scratch/to" -type f)" ] || fail "something wrong was kept"
fetch 1 a9a --to "$scratch/to" --from "$scratch/nowhere"
told "No such file"

python3 - "$source/scripts/download" "$scratch" <<'PY'
import contextlib, hashlib, http.server, importlib.machinery, importlib.util, io, os, sys, tarfile, threading, zipfile
script, scratch = sys.argv[1:]
loader = importlib.machinery.SourceFileLoader("download", script)
download = importlib.util.module_from_spec(importlib.util.spec_from_loader("download", loader))
loader.exec_module(download)

body = bytes(range(256)) * 5000
packed = io.BytesIO()
with tarfile.open(fileobj=packed, mode="w:gz") as t:
    for name in ("set/one.bin", "set/two.bin"):
        member = tarfile.TarInfo(name)
        member.size = 3000
        t.addfile(member, io.BytesIO(body[:3000]))
outside = io.BytesIO()
with tarfile.open(fileobj=outside, mode="w:gz") as t:
    member = tarfile.TarInfo("../escaped")
    member.size = 3
    t.addfile(member, io.BytesIO(b"abc"))

def zipped(**named):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("set/", b"")
        for name, data in named.items():
            z.writestr(name, data)
    return made.getvalue()


files = {"/a": body, "/bad/a": body[:-1] + b"x", "/pack.tar.gz": packed.getvalue(), "/out.tar.gz": outside.getvalue(),
         "/pack.zip": zipped(**{"set/one.bin": body[:3000], "set/two.bin": body[:3000]}),
         "/out.zip": zipped(**{"../escaped": b"abc"}), "/no.zip": b"no archive"}
asked = []


class Server(http.server.BaseHTTPRequestHandler):
    """Knows parts, but for paths below /whole."""

    def do_GET(self):
        path, since = self.path.replace("/whole", ""), self.headers.get("Range")
        asked.append((self.path, since))
        found = files.get(path)
        if found is None:
            self.send_error(404)
            return
        first = int(since[6:-1]) if since and not self.path.startswith("/whole") else 0
        if first >= len(found):
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(found) - first))
        self.end_headers()
        self.wfile.write(found[first:])

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
here = "http://127.0.0.1:%d/" % server.server_port
sha = lambda b: hashlib.sha256(b).hexdigest()


def run(name, places, files_of, *arguments):
    """(exit code, what it said)"""
    download.SETS = {name: ("", name, places, files_of)}
    sys.argv = ["download", name, "--to", scratch + "/got", *arguments]
    said = io.StringIO()
    asked.clear()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = download.main()
    return code, said.getvalue()


def read(path):
    with open(scratch + "/got/" + path, "rb") as f:
        return f.read()


one = [("a", sha(body))]
dead = "http://127.0.0.1:9/"
code, said = run("one", [dead, here + "bad/", here], one)                # a dead place, a wrong one, the right one
assert code == 0 and read("one/a") == body and asked[-1] == ("/a", None), (said, asked)
stamp = os.stat(scratch + "/got/one/a").st_mtime_ns
code, said = run("one", [here], one)
assert code == 0 and "there already" in said and not asked and os.stat(scratch + "/got/one/a").st_mtime_ns == stamp
with open(scratch + "/got/one/a", "ab") as f:
    f.write(b"more")
code, said = run("one", [here], one)
assert code == 1 and "not replaced" in said and read("one/a").endswith(b"more") and not asked, said
for where, head, asks in (("", body[:1000], [("/a", "bytes=1000-")]), ("", body, [("/a", "bytes=1280000-")]),
                          ("whole/", body[:1000], [("/whole/a", "bytes=1000-")]),
                          ("", b"another" * 100, [("/a", "bytes=700-"), ("/a", None)])):
    os.remove(scratch + "/got/one/a")
    with open(scratch + "/got/one/a.part", "wb") as f:
        f.write(head)
    code, said = run("one", [here + where], one)
    assert code == 0 and read("one/a") == body and asked == asks, (where, said, asked)
    assert not os.path.exists(scratch + "/got/one/a.part")
code, said = run("two", [here + "bad/"], one)
assert code == 1 and said.count("SHA-256 " + sha(files["/bad/a"])) == 1 and os.listdir(scratch + "/got/two") == [], said
code, said = run("three", [here], [("nothing", sha(b""))])
assert code == 1 and "Not Found" in said and "--from FOLDER" in said, said

for kind in ("tar.gz", "zip"):
    file = [("pack." + kind, sha(files["/pack." + kind]))]
    code, said = run(kind, [here], file)
    assert code == 0 and read(kind + "/set/one.bin") == read(kind + "/set/two.bin") == body[:3000], said
    os.remove(scratch + "/got/" + kind + "/set/two.bin")
    code, said = run(kind, [here], file)
    assert code == 0 and said.count("unpacked") == 1 and read(kind + "/set/two.bin") == body[:3000] and not asked, said
    code, said = run("out", [here], [("out." + kind, sha(files["/out." + kind]))])
    assert code == 1 and "folders below" in said and not os.path.exists(scratch + "/got/escaped"), said
code, said = run("no", [here], [("no.zip", sha(files["/no.zip"]))])
assert code == 1 and "zip" in said, said

os.makedirs(scratch + "/mirror")
with open(scratch + "/mirror/a", "wb") as f:
    f.write(body)
for place in (scratch + "/mirror", "file://" + scratch + "/mirror"):
    for head in (b"", body[:77]):
        if os.path.exists(scratch + "/got/four/a"):
            os.remove(scratch + "/got/four/a")
        os.makedirs(scratch + "/got/four", exist_ok=True)
        if head:
            with open(scratch + "/got/four/a.part", "wb") as f:
                f.write(head)
        code, said = run("four", [dead], one, "--from", place)
        assert code == 0 and read("four/a") == body, said
PY
echo "download.sh: passed"
