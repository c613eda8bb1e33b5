"""What Python's transformers says of model folders; bench/transformers.ts starts it.

Reads lines of JSON {"folder", "ids", "out", "remote"} and writes for each, to the path "out", the float32 logits of ids
[rows, length], and one line of JSON {"error"} (null where there was none) to stdout.
"""

import json
import sys

import torch
import transformers

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
print(json.dumps({"version": transformers.__version__}), flush=True)
for line in sys.stdin:
    work = json.loads(line)
    try:
        model, info = transformers.AutoModelForCausalLM.from_pretrained(
            work["folder"],
            dtype=torch.float32,
            attn_implementation="eager",
            trust_remote_code=work["remote"],
            local_files_only=True,
            output_loading_info=True,
        )
        for kind in "missing_keys", "unexpected_keys", "mismatched_keys":
            if info[kind]:
                raise ValueError(f"{kind}: {info[kind]}")
        with torch.no_grad():
            logits = model.eval()(torch.tensor(work["ids"])).logits
        with open(work["out"], "wb") as file:
            file.write(logits.contiguous().numpy().tobytes())
        if "save" in work:
            model.save_pretrained(work["save"])
        print(json.dumps({"error": None}), flush=True)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"[:300]}), flush=True)
