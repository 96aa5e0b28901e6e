"""Words a second of the forward pass of a PyTorch model on a whole text, one JSON line; see `cargo xtask bench --score`.

The model is that of the script that is given first, which must have `Predictor`, `Batch`, `encode` and `build` and lie beside its
`bench_common.py`. Nothing is trained: evaluation mode, no gradients, batches of sentences of like lengths, the negative
log-likelihood of each word and nothing else.
"""
import importlib.util
import json
import os
import resource
import sys
import time

script = os.path.abspath(sys.argv[1])
if "MALLOC_MMAP_THRESHOLD_" not in os.environ:
    # Freed memory is kept, as a tuned script has it.
    os.environ.update(MALLOC_MMAP_THRESHOLD_="4294967296", MALLOC_TRIM_THRESHOLD_="17179869184", THP_MEM_ALLOC_ENABLE="1")
    os.execv(sys.executable, [sys.executable, *sys.argv])
sys.path.insert(0, os.path.dirname(script))
spec = importlib.util.spec_from_file_location("peer", script)
peer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(peer)
import bench_common  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

args = bench_common.arguments(__doc__).parse_args(sys.argv[2:])
bench_common.prepare(args)
sides = [bench_common.read_lines(path) for path in (args.source, args.target)]
vocabularies = [bench_common.vocabulary(lines, args.max_size, args.min_frequency) for lines in sides]
pairs = [[[vocabulary.get(word, bench_common.UNK) for word in line.split()] for line, vocabulary in zip(pair, vocabularies)]
         for pair in zip(*sides)]
pairs.sort(key=lambda pair: (len(pair[1]), len(pair[0])), reverse=True)
size = args.batch_size
model = peer.build(args, vocabularies).to(args.device).eval()
total = 0.0
with torch.inference_mode(), bench_common.autocast(args):
    for warm in (True, False):
        started = time.perf_counter()
        words, total = 0, torch.zeros((), device=args.device)
        for start in range(0, len(pairs) if not warm else min(len(pairs), 2 * size), size):
            batch = peer.Batch(*map(list, zip(*pairs[start:start + size])))
            words += batch.words
            batch = batch.to(args.device)
            total += F.cross_entropy(model(batch).float(), batch.gold, reduction="none").sum()
        total = float(total)
        seconds = time.perf_counter() - started
print(json.dumps({
    "implementation": "pytorch-peer-forward",
    "target_tokens_per_second": round(words / seconds, 2),
    "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    "target_tokens": words, "seconds": round(seconds, 3), "nll_per_token": round(total / max(words, 1), 5),
    "batch_size": size, "threads": args.threads, "device": args.device, "torch": torch.__version__,
}))
