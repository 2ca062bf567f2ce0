"""The student (§3.2): the bottom layers of a pretrained encoder and named headers, as a transformers model.

Importing this package lets transformers' AutoConfig and AutoModelForSequenceClassification open saved students.
"""

from __future__ import annotations

from transformers import AutoConfig, AutoModelForSequenceClassification

from tmkd.network.student import Student, StudentConfig, StudentOutput

AutoConfig.register(StudentConfig.model_type, StudentConfig, exist_ok=True)
AutoModelForSequenceClassification.register(StudentConfig, Student, exist_ok=True)

__all__ = ["Student", "StudentConfig", "StudentOutput"]
