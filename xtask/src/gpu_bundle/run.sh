#!/bin/sh
# Checks kiwi-host on a GPU: the recorded cases, training in each precision, and words a second. Needs python3 with torch 2.11 of the
# CUDA build, or LIBTORCH; nothing else. Prints a table, and ends with 1 if a check failed.
set -u
here=$(cd "$(dirname "$0")" && pwd)
find_torch='import importlib.util, os
found = importlib.util.find_spec("torch")
print(os.path.dirname(found.origin) if found and found.origin else "")'
torch=${LIBTORCH:-$(python3 -c "$find_torch")} || exit 2
[ -n "$torch" ] || { echo "python3 has no torch: install the CUDA build of torch 2.11, or name its folder in LIBTORCH" >&2; exit 2; }
[ -f "$torch/lib/libtorch_cuda.so" ] || { echo "$torch has no lib/libtorch_cuda.so: install the CUDA build of torch 2.11" >&2; exit 2; }
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
export LIBTORCH="$torch" KIWI_TESTS_BUILT=1 KIWI_TESTS_ROOT="$here" KIWI_TESTS_LIBTORCH="$torch"
failed=0

row() {
    printf '%-64s %s\n' "$1" "$2"
}

# Words a second of the peer, which has no float16, and ours over them: `peer PRECISION OURS`.
peer() {
    [ -f "$here/peer/pytorch_peer.py" ] || return 0
    if (cd "$here/corpus" && python3 "$here/peer/pytorch_peer.py" --source train.src --target train.tgt --device cuda --tf32 \
        --precision "$1" --batch-size 64 --warmup 10 --batches 50 --dropout 0.1 --learning-rate 0.002) \
        >"$work/peer-$1.log" 2>&1; then
        theirs=$(sed -n 's/.*"target_tokens_per_second": \([0-9.]*\).*/\1/p' "$work/peer-$1.log" | tail -n 1)
        row "  the PyTorch peer in precision $1 on the same GPU" "$theirs words/s"
        row "  ours over the peer's" "$(awk "BEGIN { print $2 / $theirs }")"
    else
        failed=1
        row "  the PyTorch peer in precision $1 on the same GPU" FAILED
        sed 's/^/    /' "$work/peer-$1.log" | tail -n 40
    fi
}

row CHECK RESULT
for test in $(cat "$here/tests.txt"); do
    if LD_LIBRARY_PATH="$torch/lib" "$here/bin/deps/gpu" --exact "$test" --nocapture >"$work/$test.log" 2>&1; then
        skipped=$(sed -n 's/^skipped: /left out: /p' "$work/$test.log" | head -n 1)
        row "$test" "${skipped:-passed}"
        sed -n 's/^summed by: \(.*\)$/\1/p' "$work/$test.log" | while read -r by; do row "  gradients are summed by" "$by"; done
        sed -n 's/^\([a-z_]*\): as recorded$/\1/p' "$work/$test.log" | while read -r case; do row "  recorded case $case" "as recorded"; done
    else
        failed=1
        row "$test" FAILED
        sed 's/^/    /' "$work/$test.log" | tail -n 40
    fi
done

for precision in 32 bf16 16; do
    name="training in precision $precision on the GPU"
    if (cd "$here/corpus" && "$here/bin/kiwi-host" train config.json --output-dir "$work/run-$precision" \
        --set trainer.precision="$precision") >"$work/train-$precision.log" 2>&1; then
        # The last epoch: by then nothing is computed for the first time.
        ours=$(sed -n 's/.*epoch [0-9]* done at .* \([0-9]*\) words\/s.*/\1/p' "$work/train-$precision.log" | tail -n 1)
        row "$name" "$ours words/s"
        [ "$precision" = 16 ] || peer "$precision" "$ours"
        row "  perplexity of the validation" \
            "$(sed -n 's/.*val_target_PERP \([^,]*\), .*/\1/p' "$work/train-$precision.log" | tail -n 1)"
        row "  warnings of libtorch" "$(grep -c 'Warning' "$work/train-$precision.log")"
    else
        failed=1
        row "$name" FAILED
        sed 's/^/    /' "$work/train-$precision.log" | tail -n 40
    fi
done
exit $failed
