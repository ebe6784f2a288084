#!/usr/bin/env bash
# The first run on a GPU: finds out within nine minutes what works and what fails, on a machine that needs nothing but a driver,
# nvcc, bash and Python, and that nobody can look at afterward.
#
#   scripts/first-light.sh --pack                 on a developer's machine, in a clone that was set up: writes build/first-light
#   scripts/first-light.sh                        on the machine with the GPU: in the same tree, with that folder
#   ... --only hello,step --seconds 120           some of the stages (`--list` names them), within that time
#   ... --device cuda-emulated                    tries the script without a GPU; with --pack, packs the emulated device
#
# A stage that fails or hangs does not stop the run: each (scripts/gpu/stages.sh) has a time limit. If `hello` or `step` fails, it
# runs again with parts of the backend switched off, one after the other, and the first setting that works is kept. The terminal
# gets at most three lines per stage; $OUT/first-light.log has everything, beside the measurements. OUT defaults to build/first-light/out.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
script=scripts/first-light.sh bundle=build/first-light
# shellcheck source=scripts/gpu/stages.sh
. scripts/gpu/stages.sh

# The settings to try in turn if hello or step fails. The last one is only looked at, never kept.
rungs=(
  BERTUNE_CUDA_PDL=off
  BERTUNE_CUDA_STREAMS=one
  BERTUNE_CUDA_GRAPHS=off
  BERTUNE_GEMM_TUNING=off
  BERTUNE_GEMM=own
  'BERTUNE_CUDA_GRAPHS=off BERTUNE_GEMM=own'
  CUDA_LAUNCH_BLOCKING=1
  CUBLASLT_LOG_LEVEL=5
  FIRST_LIGHT_MEMCHECK=1
)
rung_seconds=15
# Keeps the end of each stage's output: a library that traces its calls writes more than anyone can take along.
log_bytes=600000

say() { echo "$*" | tee -a "$OUT/summary.txt"; }

# Says how a stage ended, and gives at most three lines of its results.
summarise() { # TITLE STATUS SECONDS LOG
  local ending line
  local -a lines
  mapfile -t lines < <(sed -n 's/^= \(.*[^ ].*\)/\1/p' "$4" | cut -c1-1200 | head -3)
  case $2 in
    0) ending=ok ;;
    3)
      ending=skipped
      mapfile -t lines < <(sed -n 's/^skipped: //p' "$4" | tail -1)
      ;;
    124 | 137 | 143) ending='STOPPED, its time was over' ;;
    *) ending="FAILED with status $2" ;;
  esac
  [ ${#lines[@]} -eq 0 ] && mapfile -t lines < <(grep -a '[^[:space:]]' "$4" | tail -2 | cut -c1-300)
  say "$(printf '%4d s  %s: %s after %d s. %s' $SECONDS "$1" "$ending" "$3" "${lines[0]:-}")"
  for line in "${lines[@]:1}"; do say "        $line"; done
}

# Runs a stage with settings, for at most that many seconds; returns its status.
run_stage() { # NAME SECONDS SETTING...
  local name=$1 seconds=$2 settings=${*:3} began=$SECONDS status log=$work/$1.log left=$((limit - SECONDS))
  local title="$name${settings:+ with ${settings#FIRST_LIGHT_RUNG=1 }}"
  if [ $left -lt 5 ]; then
    say "$(printf '%4d s  %s: left out, the time is over' $SECONDS "$title")"
    return 3
  fi
  env "${@:3}" FIRST_LIGHT_STAGE="$name" FIRST_LIGHT_WORK="$work" \
    timeout --kill-after=5 $((seconds < left ? seconds : left)) bash "$script" --device "$device" >"$log" 2>&1 </dev/null
  status=$?
  { echo "==== $title: status $status" && tail -c $log_bytes "$log" && echo; } >>"$OUT/first-light.log"
  summarise "$title" $status $((SECONDS - began)) "$log"
  return $status
}

# Runs a failed stage again with one part after another switched off; keeps the first setting that works.
climb() { # NAME SECONDS
  local rung
  for rung in "${rungs[@]}"; do
    # shellcheck disable=SC2086 # a rung may have several settings
    run_stage "$1" $rung_seconds FIRST_LIGHT_RUNG=1 $rung || continue
    [ "$rung" = FIRST_LIGHT_MEMCHECK=1 ] && break
    settle "$rung"
    say "        going on with $rung"
    [ "$1" = step ] && run_stage step "$2"
    return
  done
  say "        nothing helped $1"
}

run_stages() {
  local each name seconds
  work=$(mktemp -d)
  : >"$work/settings.sh"
  export OUT=${OUT:-$PWD/$bundle/out}
  mkdir -p "$OUT"
  rm -f "$OUT"/{summary.txt,first-light.log,peers.jsonl}
  for each in "${stages[@]}"; do
    name=${each%%:*} seconds=${each##*:}
    # Everything else depends on the first stage.
    [ -z "$only" ] || [ "$name" = unpack ] || [[ ",$only," == *",$name,"* ]] || continue
    run_stage "$name" "$seconds"
    case $?:$name in
      [03]:*) ;;
      *:hello | *:step) climb "$name" "$seconds" ;;
    esac
  done
  cat "${XDG_CACHE_HOME:-$HOME/.cache}"/bertune/gemm-*.txt >"$OUT/gemm-choices.txt" 2>/dev/null
  rm -rf "$work"
  say "$(printf '%4d s  the end; more in %s' $SECONDS "$OUT")"
}

device=cuda only='' limit=540 action=run_stages
while [ $# -gt 0 ]; do
  case $1:$# in
    --device:1 | --only:1 | --seconds:1) echo "$script: Expected a value behind $1" >&2 && exit 2 ;;
    --device:*) device=$2 && shift ;;
    --only:*) only=$2 && shift ;;
    --seconds:*) limit=$2 && shift ;;
    --pack:*) action=pack ;;
    --list:*) action=list ;;
    *) echo "$script: Expected --pack, --list, --device, --only or --seconds but received $1" >&2 && exit 2 ;;
  esac
  shift
done
if [ -n "${FIRST_LIGHT_STAGE:-}" ]; then
  work=$FIRST_LIGHT_WORK
  . "$work/settings.sh"
  "stage_$FIRST_LIGHT_STAGE"
  exit
fi
case $action in
  list) printf '%s\n' "${stages[@]%%:*}" ;;
  pack) node scripts/gpu/pack.js --device "$device" ;;
  *) run_stages ;;
esac
