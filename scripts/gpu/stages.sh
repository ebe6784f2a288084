# The stages of scripts/first-light.sh, which runs each, `stage_NAME`, in a process of its own. A status of 3 means that the stage
# was left out. `result` lines go to the terminal, everything else to the log.
# shellcheck shell=bash disable=SC2034,SC2154 # stages is read, and device, bundle and work are set, by first-light.sh
#
# The name of each and its seconds, in order.
stages=(
  unpack:30      # what the machine has; unpacks Node.js, npm packages and the addon if they are missing
  build:60       # the kernels for this GPU, and the probe
  probe:25       # scripts/gpu/probe.cu, without Node.js
  hello:20       # scripts/gpu/hello.js
  step:65        # steps per second of every method, of two where kernels do not overlap, and of full fine-tuning on one stream
  repeat:30      # the same seed twice, without graphs, where kernels do not overlap, and on one stream
  operations:75  # every operation against its formula
  models:45      # whole models against their references
  sanitizer:95   # the operations under compute-sanitizer
  kernels:30     # microseconds of every operation
  peers:50       # PyTorch's attention, Trainer and PEFT, PyTorch at its best
  counters:30    # Nsight Compute on one step
)

has() { command -v "$1" >/dev/null; }
result() { echo "= $*"; }
skip() {
  echo "skipped: $*"
  exit 3
}
need() { has "$1" || skip "no $1"; }
emulated() { [ "$device" = cuda-emulated ]; }
join() { paste -sd "$1" | sed "s/$1/$1 /g"; }
# Makes each line of a file or of standard input a result.
results() {
  local line
  while IFS= read -r line; do result "$line"; done
}
# Makes a setting for this stage and all later ones.
settle() { echo "export $*" >>"$work/settings.sh" && . "$work/settings.sh"; }
# Runs a program, shows what it prints and saves it in a file; returns the program's status.
keep() { # FILE PROGRAM...
  "${@:2}" 2>&1 | tee "$work/$1"
  return "${PIPESTATUS[0]}"
}

first_error() { grep -m1 -E '^(error|[A-Za-z]*Error)\b' "$work/$1"; }

# Folders of what pip installed of NVIDIA's libraries, for the Pythons on the PATH: `include` or `lib`.
pip_folders() {
  local folder
  while IFS= read -r -d : folder; do
    compgen -G "$folder/../lib*/python3*/*-packages/nvidia/cu13/$1"
    compgen -G "$folder/../lib*/python3*/*-packages/nvidia/cublas/$1"
  done <<<"$PATH:"
}

unpack() { # ARCHIVE FOLDER
  if [ ! -f "$bundle/$1.tar.xz" ]; then
    result "$bundle/$1.tar.xz is missing: scripts/first-light.sh --pack makes it"
    return 1
  fi
  # Python reads .xz by itself.
  if has xz; then tar -xJf "$bundle/$1.tar.xz" -C "$2"; else python3 -m tarfile -e "$bundle/$1.tar.xz" "$2"; fi
}

stage_unpack() {
  local status=0 folders gpu='no nvidia-smi'
  [ -d /usr/local/cuda/bin ] && settle "PATH=\"\$PATH:/usr/local/cuda/bin\""
  has nvidia-smi && gpu=$(nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv,noheader 2>&1 | head -1)
  result "$(nproc) cores, $gpu"
  folders=$(pip_folders lib | paste -sd :)
  [ -n "$folders" ] && settle "LD_LIBRARY_PATH=\"\${LD_LIBRARY_PATH:+\$LD_LIBRARY_PATH:}$folders\""
  result "nvcc $(nvcc --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\).*/\1/p' | grep . || echo 'is not here');" \
    "$(cmake --version 2>/dev/null | head -1 | grep . || echo 'no cmake'); $(python3 --version 2>&1);" \
    "pip's libraries: ${folders:-none}"
  if ! node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' 2>/dev/null; then
    unpack node "$work" || status=1
    settle "PATH=\"$work/bin:\$PATH\" LC_ALL=C" # the packed one knows English alone
  fi
  { [ -d node_modules ] && [ -d dist ]; } || unpack packages . || status=1
  [ -f build/Release/bertune_operations.node ] || unpack addon . || status=1
  result "Node.js $(node --version 2>&1 | tail -1); $(cd build/Release 2>/dev/null && echo ./*bertune*.node ./*.so)"
  has nvidia-smi && nvidia-smi
  return $status
}

stage_build() {
  emulated && skip 'the emulated device was packed'
  need nvcc
  local began=$SECONDS probing status include
  include=$(pip_folders include | head -1)
  timeout 50 nvcc -std=c++20 -O2 -arch=native -I native ${include:+-isystem "$include"} \
    scripts/gpu/probe.cu native/cuda/{cublaslt_library,opened_library,pip_files}.cpp -o "$work/probe" -ldl >"$work/probing.txt" 2>&1 &
  probing=$!
  keep kernels.txt node scripts/gpu/build.js
  status=$?
  if [ $status = 0 ]; then
    result "the kernels for this GPU in $((SECONDS - began)) s"
  else
    result "the kernels were not built, the packed ones stay: $(grep -m1 -iE 'error|missing' "$work/kernels.txt")"
  fi
  if ! wait $probing; then
    status=1
    result "the probe was not built: $(grep -m1 -i error "$work/probing.txt")"
  fi
  cat "$work/probing.txt"
  return $status
}

stage_probe() {
  [ -x "$work/probe" ] || skip 'the probe was not built'
  local each status=0
  for each in copy gaps limit capture products; do
    keep "$each.txt" timeout 10 "$work/probe" $each || status=1
  done
  result "$(cat "$work"/{copy,gaps,limit}.txt | join ';')"
  result "$(sed 's/SUCCESS, [0-9]* nodes, replayed/works/; s/^capture //' "$work/capture.txt" | join ';')"
  result "$(sed -nE 's/^(.*) [0-9×]+: .*the first ([0-9.]+) µs.* ([0-9.]+) µs \(.*/\1 \2→\3 µs/p' "$work/products.txt" | join ';')"
  return $status
}

# A program, under memcheck where that is what is tried.
checked() {
  if [ -z "${FIRST_LIGHT_MEMCHECK:-}" ]; then
    "$@"
  else
    need compute-sanitizer
    compute-sanitizer --tool memcheck --target-processes all --error-exitcode 99 "$@"
  fi
}

stage_hello() {
  local status
  keep hello.txt checked node scripts/gpu/hello.js --device "$device"
  status=$?
  [ $status = 0 ] || result "$(first_error hello.txt)"
  grep -m1 MiB "$work/hello.txt" | results
  result "$(sed -n 's/^product in //p' "$work/hello.txt" | sed 's/largest error //' | join ';')"
  return $status
}

# Steps by the methods, and texts evaluated; fewer, and of a tiny model, where the device is emulated.
steps() { # STEPS TEXTS OPTIONS...
  local -a size=(--data assets/data/goemotions6 --steps "$1" --eval "$2")
  emulated && size=(--scale tiny --batch 4 --steps 3 --eval 4)
  checked node bench/step.js --device "$device" --precision bf16 "${size[@]}" "${@:3}"
}

# The rows of what bench/step.js printed, as `FIELDS` of awk has them.
rows_of() { # FILE FIELDS
  awk '$2 == "bf16" && length($10) == 8 { print '"$2"' }' "$1"
}

stage_step() {
  local status
  local -a amount=(300 2000 --json "$OUT/step.json")
  [ -n "${FIRST_LIGHT_RUNG:-}" ] && amount=(20 64 --method full) # whether it works at all
  keep step.txt steps "${amount[@]}"
  status=$?
  [ $status = 0 ] || result "$(first_error step.txt)"
  rows_of "$work/step.txt" '$1 " " $5 " steps/s, " $8 " nodes, loss " $9 ", " $13 " MiB"' | paste -d ';' - - | sed 's/;/; /' | results
  if [ $status != 0 ] || [ -n "${FIRST_LIGHT_RUNG:-}" ]; then return $status; fi
  BERTUNE_CUDA_PDL=off keep apart.txt steps 300 64 --method full,lora || status=1
  BERTUNE_CUDA_STREAMS=one keep one-stream.txt steps 300 64 --method full --json "$OUT/one-stream.json" || status=1
  local apart one
  apart=$(rows_of "$work/apart.txt" '$1 " " $5 " steps/s"' | join ,)
  one=$(rows_of "$work/one-stream.txt" '$1 " " $5 " steps/s, " $8 " nodes"')
  result "without overlap: $apart; one stream: $one"
  return $status
}

stage_repeat() {
  local each first digests status=0
  local -a runs=(first again 'without graphs' 'without overlap' 'on one stream') same=() others=()
  for each in "${runs[@]}"; do
    (
      [ "$each" = 'without graphs' ] && export BERTUNE_CUDA_GRAPHS=off
      [ "$each" = 'without overlap' ] && export BERTUNE_CUDA_PDL=off
      [ "$each" = 'on one stream' ] && export BERTUNE_CUDA_STREAMS=one
      steps 20 64
    ) >"$work/$each.txt" 2>&1 &
  done
  wait
  for each in "${runs[@]}"; do
    cat "$work/$each.txt"
    digests=$(rows_of "$work/$each.txt" '$1 " " $10' | join ,)
    if [ "$each" = first ]; then
      first=$digests
      result "losses: ${digests:-none}"
    elif [ -n "$first" ] && [ "$first" = "$digests" ]; then
      same+=("$each")
    else
      status=1
      others+=("$each: ${digests:-none}")
    fi
  done
  [ ${#same[@]} -gt 0 ] && result "$(printf '%s\n' "${same[@]}" | join ,): the same"
  [ ${#others[@]} -gt 0 ] && result "$(printf '%s\n' "${others[@]}" | join ';')"
  return $status
}

# Stages of scripts/test-gpu.js. When its time is over it says what it has so far, as do we.
tests() { # FILE OPTIONS...
  local program status
  node scripts/test-gpu.js --no-build --device "$device" "${@:2}" >"$work/$1" 2>&1 &
  program=$!
  trap 'trap "" TERM; wait $program; tests_results "$work/'"$1"'"; exit 143' TERM
  wait $program
  status=$?
  tests_results "$work/$1"
  return $status
}
tests_results() {
  cat "$1"
  grep -aE '^[a-z ]+ +[0-9]+ passed' "$1" | tr -s ' ' | results
  grep -aE '^  [a-z-]+: ' "$1" | sed 's/^  //; s/: failed: /: /' | join ';' | grep . | results
}

stage_operations() { tests operations.txt --only operations; }
stage_models() { tests models.txt --only goldens,cuda; }

stage_sanitizer() {
  emulated && skip 'the emulated device checks by itself'
  need compute-sanitizer
  local status=0 each
  local -a checks
  tests memcheck.txt --only sanitizer --tools memcheck --files attention,lora,embedding,layernorm &
  checks+=($!)
  tests racecheck.txt --only sanitizer --tools racecheck --files attention &
  checks+=($!)
  trap 'trap "" TERM; wait; exit 143' TERM
  for each in "${checks[@]}"; do wait "$each" || status=1; done
  return $status
}

stage_kernels() {
  local status
  local -a size=()
  emulated && size=(--scale tiny --only layernorm)
  keep kernels.txt node bench/kernels.js --device "$device" --precision bf16 --quick --json "$OUT/kernels.json" "${size[@]}"
  status=$?
  result "$(awk '$1 == "dropout_apply" && $2 == "copy" { print "copy " $8 " GB/s" }
    $1 == "linear_forward" && $2 == "product" { print "product " $9 " TFLOP/s" }' "$work/kernels.txt" | join ';')"
  grep -E ' failed: ' "$work/kernels.txt" | cut -c1-120 | head -5 | join ';' | grep . | results
  return $status
}

stage_peers() {
  emulated && skip 'PyTorch has no emulated device'
  python3 -c 'import importlib.util as i, sys; sys.exit(not all(map(i.find_spec, ["torch", "transformers", "peft"])))' 2>/dev/null ||
    skip 'no PyTorch, transformers and PEFT'
  local status=0 each
  local -a programs=(
    'attention.py --backends cudnn,flash --lengths 22,64,128,512 --calls 20'
    'hf_trainer.py --methods full,lora32 --precisions bf16 --steps 60 --eval 0'
    'torch_best.py --graphs whole --mode none --steps 100'
  )
  for each in "${programs[@]}"; do
    # shellcheck disable=SC2086 # a program and its options
    keep peer.txt timeout 20 python3 bench/peers/$each || status=1
    grep '^{' "$work/peer.txt" >>"$OUT/peers.jsonl"
  done
  python3 - "$OUT/peers.jsonl" <<'PYTHON' | results
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
rates = [f'{row["peer"]} {row["method"]} {row["steps_per_s"]:.0f} steps/s' for row in rows if "steps_per_s" in row]
times = [
    f'{row["backend"]} {row["length"]} {row["forward_us"]:.1f}+{row["backward_us"]:.1f} µs'
    for row in rows
    if "forward_us" in row and row["dropout_p"] > 0
]
print("; ".join(rates), "; ".join(times), sep="\n")
PYTHON
  return $status
}

stage_counters() {
  emulated && skip 'the emulated device has no counters'
  need ncu
  local status
  # 48 steps of about 350 kernels: a step of the last ones, which are replayed.
  ncu --clock-control none --graph-profiling node --target-processes all --launch-skip 12000 --launch-count 360 --csv --page raw \
    --metrics gpu__time_duration.sum,dram__bytes.sum,sm__warps_active.avg.pct_of_peak_sustained_active \
    --log-file "$OUT/counters.csv" node scripts/gpu/steps.js 24
  status=$?
  node scripts/gpu/counters.js "$OUT/counters.csv" | tee "$work/counters.txt" | head -3 | results
  cat "$work/counters.txt"
  return $status
}
