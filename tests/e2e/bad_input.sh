#!/bin/bash
# Wrong keys, values, paths and flags: one clear message that names the place, the value, and what is allowed; exit code 2
# (1 when a file that the configuration names is at fault). $1 fedlane, $2 source folder, $3 scratch folder.
set -u
fedlane=$1; scratch=$3
rm -rf "$scratch"; mkdir -p "$scratch"; cd "$scratch" || exit 1
failed=0; count=0

# expect CODE "pattern|pattern" ARGUMENTS...: each pattern (fixed text) must be in stderr, stdout must be empty.
expect() {
  local code=$1 patterns=$2; shift 2
  "$fedlane" "$@" >out.txt 2>err.txt
  local got=$? bad=
  count=$((count + 1))
  [ $got = "$code" ] || bad="exit code $got, expected $code"
  [ -s out.txt ] && bad="$bad; something on stdout"
  [ "$(wc -l <err.txt)" -le 20 ] || bad="$bad; more than 20 lines of error"
  local IFS='|'
  for p in $patterns; do grep -qF -- "$p" err.txt || bad="$bad; no '$p'"; done
  if [ -n "$bad" ]; then failed=$((failed + 1)); echo "FAILED: fedlane $*: $bad"; cat err.txt; fi
}
# config TEXT CODE patterns: a whole configuration in c.yaml; with: data and model are there already
# (and a federated block behind it, unless TEXT says otherwise)
base() {
  printf 'data: {name: fashion_mnist}\nmodel: lenet5\n%s\n' "$1" >c.yaml
  case $1 in *federated* | *training* | *---*) ;; *) echo 'federated: {}' >>c.yaml ;; esac
}
config() { printf '%s\n' "$1" >c.yaml; expect "$2" "$3" run c.yaml --dry-run; }
with() { base "$1"; expect "$2" "$3" run c.yaml --dry-run; }

expect 2 "usage:" 
expect 2 "unknown command 'runn'|did you mean 'run'" runn
expect 2 "one configuration" run
expect 2 "nowhere.yaml|No such file" run nowhere.yaml
expect 2 "a folder" run .
base 'algorithms: [fedavg]'
expect 2 "--threads 'many'|1 to 1024" run c.yaml --threads many
expect 2 "--threads '0'" run c.yaml --threads 0
expect 2 "--isa 'sse9'" run c.yaml --isa sse9 --dry-run
expect 2 "unknown model 'mlp_0'|mlp_WIDTH" run c.yaml --set model=mlp_0 --dry-run
expect 2 "unrecognized option" run c.yaml --treads 2
expect 2 "--seeds|'x'" run c.yaml --seeds 1,x --dry-run
expect 2 "each seed once" run c.yaml --seeds 1,1 --dry-run
expect 2 "exclude each other" run c.yaml --dry-run --verify
expect 2 "exclude each other" run c.yaml --out a --resume b
expect 2 "no such folder" run c.yaml --resume nothing-here
expect 2 "--set federated.ronds=3|did you mean 'rounds'" run c.yaml --set federated.ronds=3 --dry-run
expect 2 "--set rounds|key=value" run c.yaml --set rounds --dry-run
expect 2 "--set rounds=3|did you mean 'federated.rounds'" run c.yaml --set rounds=3 --dry-run
expect 2 "did you mean 'algorithms.lr'" run c.yaml --set lr=0.1 --dry-run
expect 2 "unknown algorithm of the configuration 'fedavgg'|did you mean 'fedavg'" \
  run c.yaml --set algorithms.fedavgg.lr=0.1 --dry-run
expect 2 "lr = 'fast'" run c.yaml --set algorithms.lr=fast --dry-run
expect 2 "did you mean 'models'" list model
expect 2 "--model|'lenet'|did you mean 'lenet5'" info --model lenet
expect 1 "mini_gpt, layer embed|an image of 1x28x28|allowed: tokens (--shape says another" info --model mini_gpt
expect 2 "--shape; allowed: only with --model" info --shape 1x28x28x10
expect 2 "--json; allowed: not with --model" info --model lenet5 --json
expect 2 "--data; allowed: not with --model" info --model lenet5 --data a
expect 2 "--isa; allowed: not with --data" info --data a --isa scalar
expect 2 "report" report
expect 2 "compare" compare
expect 2 "usage: fedlane privacy|--epsilon" privacy --participation 0.1 --rounds 10 --dp_delta 1e-3
expect 2 "--participation = '1.5'|to 1" privacy --participation 1.5 --rounds 10 --dp_delta 1e-3 --epsilon 2
expect 2 "--dp_delta = '1'|to below 1" privacy --participation 0.5 --rounds 10 --dp_delta 1 --epsilon 2
expect 2 "--sampling = 'fixed'|poisson|uniform" privacy --sampling fixed
expect 1 "--epsilon = 0.001|no noise_multiplier" privacy --participation 0.1 --rounds 100 --dp_delta 1e-300 --epsilon 1e-3

config '' 2 'c.yaml|empty'
config '- a' 2 'c.yaml:1:1|not a map'
config 'data: [' 2 'c.yaml:|not YAML'
config 'model: lenet5' 2 "c.yaml|key 'data' is missing"
config $'data: fashion_mnist\nmodel: lenet5\nalgorithms: []' 2 'c.yaml:3:|empty'
config $'data: fashion_mnst\nmodel: lenet5\nalgorithms: [fedavg]' 2 "c.yaml:1:|'fashion_mnst'|did you mean 'fashion_mnist'"
config $'data: fashion_mnist\nmodel: lenet4\nalgorithms: [fedavg]' 2 "c.yaml:2:|'lenet4'|did you mean 'lenet5'"
config $'data: {format: idx, train: nowhere}\nmodel: lenet5\nfederated: {}\nalgorithms: [fedavg]' 1 "nowhere"
config $'data: {format: csv, train: a}\nmodel: lenet5\nalgorithms: [fedavg]' 2 "c.yaml:1:|'csv'|idx, npz"
config $'data: {format: npz}\nmodel: lenet5\nalgorithms: [fedavg]' 2 "train"
run='model: lenet5\nfederated: {}\nalgorithms: [fedavg]'
config "$(printf 'data: {format: libsvm, train: a, length: 3}\n'"$run")" 2 \
  "c.yaml:1:34|length would do nothing|only with format = text|sentences"
config "$(printf 'data: {format: text, train: a, predict: all}\n'"$run")" 2 "c.yaml:1:32|predict = 'all'|every|last"
config "$(printf 'data: {format: text, train: a, length: 0}\n'"$run")" 2 "length = '0'|a whole number from 1"
config "$(printf 'data: {format: text, train: a, test_part: 1}\n'"$run")" 2 "test_part = '1'|below 1"
config "$(printf 'data: {format: text, train: a, lenght: 9}\n'"$run")" 2 "'lenght'|did you mean 'length'"
config "$(printf 'data: {format: alpha_beta, train: a}\n'"$run")" 2 "train = 'a'|none, as its rows are made"
config "$(printf 'data: {format: blobs, classes: 70000}\n'"$run")" 2 "classes = '70000'|2 to 65536"
config "$(printf 'data: {format: cifar10, train: a, seed: 3}\n'"$run")" 2 "seed would do nothing|synthetic|blobs"
: >empty
for format in idx npz npy libsvm text sentences cifar10; do
  config "$(printf 'data: {format: '$format', train: empty}\n'"$run")" 1 "empty"
  expect 1 "format $format: " info --data nowhere --format $format
done
head -c 3000 /dev/urandom >noise
for format in idx npz libsvm sentences; do expect 1 "noise" info --data noise --format $format; done
with $'algorithms: [fedavg]\nalgorithms: [scaffold]' 2 "c.yaml:4:1|'algorithms' given twice|c.yaml:3:1"
with $'algoritms: [fedavg]' 2 "c.yaml:3:1|'algoritms'|did you mean 'algorithms'"
with $'algorithms: [fedavgg]' 2 "c.yaml:3:14|'fedavgg'|did you mean 'fedavg'"
with $'algorithms: [{name: fedavg, lrr: 1}]' 2 "c.yaml:3:29|'lrr'|did you mean 'lr'"
with $'algorithms: [{name: fedavg, lr: -1}]' 2 "c.yaml:3:29|'-1'|0 to"
with $'algorithms: [{name: fedavg, lr: [0.1, x]}]' 2 "c.yaml:3:39|'x'"
with $'algorithms: [{name: fedavg, lr: }]' 2 "c.yaml:3:|lr has no value"
with $'algorithms: [{name: fedavg, lr: {a: 1}}]' 2 "c.yaml:3:|lr is a map"
with $'algorithms: [{stack: [scafold], rule: sgd}]' 2 "c.yaml:3:|'scafold'|did you mean 'scaffold'"
with $'algorithms: [{name: fedavg, model: mlp}]' 2 "no run"
with $'federated: {rounds: 0}\nalgorithms: [fedavg]' 2 "c.yaml:3:13|rounds = '0'|a whole number from 1"
expect 2 "validation = '1'|a number from 0 to below 1" run c.yaml --set data.validation=1 --dry-run
expect 2 "scaling = 'half'|standard|unit|symmetric" run c.yaml --set data.scaling=half --dry-run
expect 2 "augment = 'spin'|none|crop|flip|crop_flip" run c.yaml --set data.augment=spin --dry-run
expect 2 "published = 'nowhere.csv'|can be read" run c.yaml --set published=nowhere.csv --dry-run
with $'federated: {rounds: 2.5}\nalgorithms: [fedavg]' 2 "'2.5'|a whole number"
with $'federated: {participation: 0}\nalgorithms: [fedavg]' 2 "participation = '0'|above 0"
with $'federated: {participation: nan}\nalgorithms: [fedavg]' 2 "participation = 'nan'"
with $'federated: {clients: 1e30}\nalgorithms: [fedavg]' 2 "clients = '1e30'"
with $'federated: {stop_at_target: maybe}\nalgorithms: [fedavg]' 2 "stop_at_target = 'maybe'|no|yes"
with $'federated: {stop_at_target: yes}\nalgorithms: [fedavg]' 2 \
  "c.yaml:3:13|stop_at_target = 'yes'|only with a target_accuracy above 0"
with $'federated: {sampling: poison}\nalgorithms: [fedavg]' 2 "c.yaml:3:13|sampling = 'poison'|uniform|poisson|fixed"
with $'federated: {client_dropout: 1.5}\nalgorithms: [fedavg]' 2 "c.yaml:3:13|client_dropout = '1.5'|0 to 1"
with $'federated: {available_part: 0.2}\nalgorithms: [fedavg]' 2 \
  "c.yaml:3:13|available_part would do nothing|only with availability"
with $'federated: {availability: bernoulli, available_period: 5}\nalgorithms: [fedavg]' 2 \
  "c.yaml:3:|available_period would do nothing|availability = periodic"
with $'federated: {straggler_max: 2}\nalgorithms: [fedavg]' 2 "c.yaml:3:13|straggler_max would do nothing|only with stragglers"
with $'federated: {batch: 5}\nalgorithms: [fedavg]' 2 "c.yaml:3:13|'batch'|batch_size"
with $'federated: 5\nalgorithms: [fedavg]' 2 "c.yaml:3:12|a map"
with $'partition: {name: dirichlt}\nalgorithms: [fedavg]' 2 "c.yaml:3:|'dirichlt'|did you mean 'dirichlet'"
with $'partition: {name: dirichlet, dirichlet_alpha: 0}\nalgorithms: [fedavg]' 2 "c.yaml:3:|dirichlet_alpha"
with $'seeds: [1, -2]\nalgorithms: [fedavg]' 2 "c.yaml:3:12|'-2'"
with $'seeds: []\nalgorithms: [fedavg]' 2 "one seed or more"
with $'federated: &f {rounds: 3}\nalgorithms: [fedavg]' 2 "c.yaml:3:|anchor"
with $'federated: *f\nalgorithms: [fedavg]' 2 "c.yaml:3:|alias"
with $'training: {epochs: 2}\nalgorithms: [fedavg]' 2 "c.yaml:4:14|'fedavg' is a federated method|{rule: NAME"
with $'training: {epochs: 0}\nalgorithms: [{rule: sgd}]' 2 "c.yaml:3:12|epochs = '0'|a whole number from 1"
with $'training: {rounds: 2}\nalgorithms: [{rule: sgd}]' 2 "c.yaml:3:12|unknown key of training 'rounds'|epochs"
with $'training: {epochs: 2}\nfederated: {}\nalgorithms: [{rule: sgd}]' 2 "c.yaml:3:1|'training' beside 'federated'"
with $'training: {epochs: 2}\npartition: iid\nalgorithms: [{rule: sgd}]' 2 "c.yaml:4:1|'partition' without 'federated'"
with $'training: {epochs: 2}\nalgorithms: [{stack: [scaffold], rule: sgd}]' 2 "c.yaml:4:|stage scaffold acts on clients"
with $'algorithms: [{rule: sgd, server_rule: sdg}]' 2 "c.yaml:3:26|unknown rule 'sdg'|momentum"
with $'algorithms: [{rule: sgd, server_rule: momentum, server_beta1: 1}]' 2 \
  "c.yaml:3:|unknown parameter 'server_beta1'|server_momentum"
with $'algorithms: [{rule: sgd, lr_schedule: multi_step, milestones: 5+3}]' 2 "c.yaml:3:|milestones = '5+3'|rising"
with $'algorithms: [{rule: sgd, lr_decay: 0.9}]' 2 \
  "c.yaml:3:|lr_decay = '0.9' would do nothing|only with lr_schedule = exponential"
with $'algorithms: [{rule: adam, beta3: 0.9}]' 2 "c.yaml:3:|unknown parameter 'beta3'|bias_correction"
with $'algorithms: [{rule: adamw, eps: 0}]' 2 "c.yaml:3:|eps = '0'|from 1e-38 to 1"
with $'algorithms: [{rule: shampoo, beta2: 0.9}]' 2 "c.yaml:3:|beta2 = '0.9' would do nothing|only with variant = ema"
with $'training: {epochs: 2}\nalgorithms: [{rule: adamw, m_index: global}]' 2 \
  "c.yaml:4:|m_index = 'global' would do nothing|aggregate = yes"
with $'algorithms: [{rule: sgd, block_rule: tensor}]' 2 "c.yaml:3:|block_rule = 'tensor' would do nothing|aggregate = yes"
with $'algorithms: [fedavg]\n---\na: 1' 2 "second document"

# As many layers as a file may have take no time to speak of; one more is refused.
echo 'layers:' >long.yaml
for _ in $(seq 1024); do printf '%s\n' '- linear: {out: 4}' '- relu' '- linear: {out: 8}' '- gelu'; done >>long.yaml
sed -i '$d' long.yaml && echo '- linear' >>long.yaml
timeout 60 "$fedlane" info --model long.yaml --shape 1x2x2x3 >out.txt 2>err.txt && grep -qF 'linear2048.bias' out.txt ||
  { failed=$((failed + 1)); echo "FAILED: fedlane info of 4096 layers"; cat err.txt; }
echo '- relu' >>long.yaml
expect 2 "long.yaml:4098:3: more than 4096 layers" info --model long.yaml --shape 1x2x2x3

echo "$count cases, $failed failed"
[ $failed = 0 ]
