#!/usr/bin/env python3
"""transformers' Trainer on batches without padding: hf_trainer.py with the texts of a step laid end to end.

    python bench/peers/hf_padding_free.py --data assets/data/goemotions6            # a line of JSON a method
    ... --device cpu --tiny --steps 4 --warm-up 2 --precisions fp32 --eval 32       # whether it runs

DataCollatorWithFlattening and FlashAttention (`pip install flash-attn`), which computes in bf16. transformers lays texts
end to end for language models, whose labels are tokens; a classifier of texts needs the few lines below. Prefix tuning
is left out: PEFT puts a prefix before a row, and here that holds many texts.

On the CPU, where there is no FlashAttention, a mask does its work.
"""

import hf_trainer
import torch
import workload
from transformers import BertForSequenceClassification, DataCollatorWithFlattening
from transformers.modeling_outputs import SequenceClassifierOutput


class FlatCollator:
    """Texts → one row of all their tokens, where each begins, and a label a text."""

    def __init__(self, _tokenizer):
        self.flatten = DataCollatorWithFlattening(return_flash_attn_kwargs=True)

    def __call__(self, items):
        batch = self.flatten([{"input_ids": item["input_ids"]} for item in items])
        batch["labels"] = torch.tensor([item["label"] for item in items])
        return batch


class FlatClassifier(BertForSequenceClassification):
    """A BERT classifier whose pooler takes the first token of every text of the row."""

    def forward(self, input_ids=None, attention_mask=None, position_ids=None, labels=None, **rest):
        """One row of tokens (1,T), with FlashAttention's arguments in `rest` → logits (B,NC)"""
        starts = rest["cu_seq_lens_q"]
        if input_ids.device.type == "cpu":
            text = torch.bucketize(torch.arange(input_ids.shape[1]), starts, right=True)
            attention_mask = (text[:, None] == text)[None, None]
        rest.pop("return_dict", None)
        hidden = self.bert(input_ids, attention_mask=attention_mask, position_ids=position_ids, **rest)[0]
        pooled = self.bert.pooler(hidden[0, starts[:-1].long()].unsqueeze(1))
        logits = self.classifier(self.dropout(pooled))
        loss = None if labels is None else torch.nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)


def build(method, options, names):
    """The model of a method."""
    attention = "sdpa" if options.device == "cpu" else "flash_attention_2"
    return workload.build(method, options, names, FlatClassifier, attn_implementation=attention)


if __name__ == "__main__":
    hf_trainer.main(
        hf_trainer.Peer("hf_padding_free", ["full", "linear", "lora32"], ["bf16"], build, FlatCollator), __doc__
    )
