"""T1..TN: fine-tuned here, ready-made, or scores made elsewhere; teacher × shard → logits (§3.1.1 step 2)."""
