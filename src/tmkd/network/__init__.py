"""Student network (§3.2) for transformers: bottom layers of a pretrained encoder or a Bi-LSTM, and named headers.

Importing this package lets transformers' AutoConfig and AutoModelForSequenceClassification open saved students.
"""

from __future__ import annotations

from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from tmkd.network.bilstm import BiLSTM, BiLSTMConfig
from tmkd.network.student import Student, StudentOutput, open_student
from tmkd.network.student_config import StudentConfig

AutoConfig.register(BiLSTMConfig.model_type, BiLSTMConfig, exist_ok=True)
AutoModel.register(BiLSTMConfig, BiLSTM, exist_ok=True)
AutoConfig.register(StudentConfig.model_type, StudentConfig, exist_ok=True)
AutoModelForSequenceClassification.register(StudentConfig, Student, exist_ok=True)

__all__ = ["Student", "StudentConfig", "StudentOutput", "open_student"]
