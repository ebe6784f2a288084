#!/usr/bin/env python3
"""hf_trainer.py on models that Unsloth has loaded and patched.

    python bench/peers/unsloth_trainer.py --data assets/data/goemotions6            # a line of JSON a method and precision

Needs `pip install unsloth` and a GPU: without either it says so, in its line of JSON. Full fine-tuning and LoRA, which are
what Unsloth trains.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

try:
    import unsloth  # before transformers, which it patches
except Exception as error:
    print(json.dumps({"peer": "unsloth", "error": f"unsloth cannot be imported: {error!r}"[:600]}))
    sys.exit(1)

import hf_trainer  # noqa: E402
import workload  # noqa: E402
from transformers import AutoModelForSequenceClassification, DataCollatorWithPadding  # noqa: E402


def build(method, options, names):
    """The model of a method: random weights, saved for Unsloth to load."""
    with tempfile.TemporaryDirectory() as folder:
        workload.build("full", options, names).save_pretrained(folder)
        for file in Path(options.model).glob("tokenizer*"):
            shutil.copy(file, folder)
        model, _ = unsloth.FastModel.from_pretrained(
            model_name=folder,
            auto_model=AutoModelForSequenceClassification,
            num_labels=len(names),
            load_in_4bit=False,
            full_finetuning=method == "full",
            use_gradient_checkpointing=False,
        )
    if method == "full":
        return model
    rank = int(method.removeprefix("lora"))
    return unsloth.FastModel.get_peft_model(
        model,
        task_type="SEQ_CLS",
        r=rank,
        lora_alpha=4 * rank,
        lora_dropout=0.1,
        target_modules=["query", "value"],
        use_gradient_checkpointing=False,
    )


if __name__ == "__main__":
    hf_trainer.main(
        hf_trainer.Peer("unsloth", ["full", "lora32"], ["bf16"], build, DataCollatorWithPadding), __doc__
    )
