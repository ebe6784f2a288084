#!/usr/bin/env bash
# Bertune and PyTorch on one GPU, in turns: rounds of everybody's steps and attention, then medians and ratios.
#
#   bench/peers/run.sh --data assets/data/goemotions6 --out results/peers        (needs npm run build, and PyTorch)
#   ... --python python3 --rounds 3 --parts hf,flat,unsloth,best,attention --precisions bf16,tf32,fp32 --minutes 9
#   ... --device cpu --tiny --parts hf --rounds 1                                 whether it runs
#
# Parts: hf (Trainer and PEFT), flat (the same without padding, in bf16), unsloth (in bf16), best (torch.compile and CUDA
# graphs), attention (cuDNN, FlashAttention). Bertune's own runs go along with each. No round is begun after --minutes;
# what was measured is kept in --out, and a later call with the same --out adds to it. At the end, and by
# `node bench/peers/summary.js OUT`, the table.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

python=python3 device=cuda data=assets/data/goemotions6 out=results/peers rounds=3
parts=hf,flat,unsloth,best,attention
precisions= minutes=9 tiny=
while [ $# -gt 0 ]; do
  case $1 in
    --python | --device | --data | --out | --rounds | --parts | --precisions | --minutes)
      declare "${1#--}=$2"
      shift 2
      ;;
    --tiny) tiny=yes; shift ;;
    *) echo "run.sh: unknown option $1" >&2; exit 2 ;;
  esac
done
if [ -z "$precisions" ]; then
  case $device in cuda*) precisions=bf16,tf32,fp32 ;; *) precisions=fp32 ;; esac
fi
has() { case ",$parts," in *",$1,"*) true ;; *) false ;; esac; }

mkdir -p "$out"
step=(--device "$device" --precision "$precisions")
hf=(--device "$device" --data "$data")
best=(--device "$device" --data "$data")
kernels=(--device "$device" --only attention --quick)
attention=(--device "$device")
if [ -n "$tiny" ]; then # drawn texts: a tiny vocabulary has no room for a tokenizer's ids
  step+=(--scale tiny --steps 6 --warm-up 2 --eval 16)
  hf+=(--tiny --steps 4 --warm-up 2 --eval 16)
  best+=(--tiny --mode none --steps 2 --warm-up 1)
  kernels+=(--scale tiny)
  attention+=(--lengths 6 --calls 2 --backends math)
else
  step+=(--data "$data")
  kernels+=(--precision bf16 --texts 16,32,64)
  attention+=(--texts 16,32,64)
fi

# Runs a command whose output is a peer's; a peer that fails stops nothing.
note() { echo "run.sh: $*" >&2; }
peer() {
  local file=$1
  shift
  note "$*"
  "$@" >>"$out/$file" 2>>"$out/errors.log" || note "failed, see $out/errors.log: $*"
}

begin=$SECONDS
for round in $(seq "$rounds"); do
  if [ "$round" -gt 1 ] && [ $((SECONDS - begin)) -ge $((minutes * 60)) ]; then
    note "no time for round $round"
    break
  fi
  stamp=$(date +%s)
  if has hf || has flat || has unsloth || has best; then
    peer step.log node bench/step.js "${step[@]}" --json "$out/step-$stamp.json"
  fi
  if has hf; then peer hf.jsonl "$python" bench/peers/hf_trainer.py "${hf[@]}" --precisions "$precisions"; fi
  if has flat; then peer hf.jsonl "$python" bench/peers/hf_padding_free.py "${hf[@]}"; fi
  if has unsloth; then peer hf.jsonl "$python" bench/peers/unsloth_trainer.py "${hf[@]}"; fi
  if has best; then peer best.jsonl "$python" bench/peers/torch_best.py "${best[@]}"; fi
  if has attention; then
    peer kernels.log node bench/kernels.js "${kernels[@]}" --json "$out/kernels-$stamp.json"
    peer attention.jsonl "$python" bench/peers/attention.py "${attention[@]}"
  fi
done
node bench/peers/summary.js "$out"
