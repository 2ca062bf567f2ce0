"""Bi-LSTM encoder (§4.3, §4.4): two layers over word vectors for the question, two more for the passage.

The parameter counts of Table 4 imply shared word vectors and headers 1024 wide (docs/paper.md).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

SPECIALS = PAD, UNKNOWN, FIRST, SEPARATOR = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")  # ids 0 to 3


class BiLSTMConfig(PreTrainedConfig):
    """Configuration of a BiLSTM. `hidden_size` is the width of h1: 2 texts × 2 directions × the units of an LSTM."""

    model_type = "tmkd-bilstm"

    vocab_size: int = 150_000
    embedding_size: int = 300
    hidden_size: int = 1024
    num_hidden_layers: int = 2
    hidden_dropout_prob: float = 0.1  # of word vectors
    type_vocab_size: int = 2  # token types choose the LSTM that reads a token
    pad_token_id: int | None = SPECIALS.index(PAD)
    sep_token_id: int | None = SPECIALS.index(SEPARATOR)


class BiLSTM(PreTrainedModel):
    """⟨question, passage⟩ → h1 = [question; passage] (pairs, hidden_size).

    A text's vector is the maximum of the top layer's states over its words; the paper does not name the pooling
    (docs/paper.md). Special tokens are no words; a text without words is read as one [PAD].
    """

    config: BiLSTMConfig
    config_class = BiLSTMConfig
    main_input_name = "input_ids"

    def __init__(self, config: BiLSTMConfig) -> None:
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.embedding_size, padding_idx=config.pad_token_id)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.question, self.passage = (
            nn.LSTM(
                config.embedding_size,
                config.hidden_size // 4,
                config.num_hidden_layers,
                batch_first=True,
                bidirectional=True,
            )
            for _ in range(2)
        )
        self.pooler = nn.Identity()  # for callers that look for a pooler: h1 is the LSTMs' output itself
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> BaseModelOutputWithPooling:
        """All int64 (pairs, longest), specials included → pooler_output (pairs, hidden_size), last_hidden_state None.

        A pair's vector does not depend on padding or on the pairs beside it.
        """
        types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        real = attention_mask.bool() & (input_ids != SPECIALS.index(FIRST)) & (input_ids != SPECIALS.index(SEPARATOR))
        texts = [
            self._read(encoder, input_ids, real & (types == kind))
            for kind, encoder in enumerate((self.question, self.passage))
        ]
        return BaseModelOutputWithPooling(pooler_output=self.pooler(torch.cat(texts, dim=1)))

    def _read(self, encoder: nn.LSTM, input_ids: Tensor, own: Tensor) -> Tensor:
        """Encode one text of each pair, the ids where `own` (pairs, longest) is true → (pairs, hidden_size / 2)."""
        lengths = own.sum(dim=1).clamp(min=1)
        # A stable sort moves the words of the text to the front, in their order.
        order = own.long().argsort(dim=1, descending=True, stable=True)[:, : int(lengths.max())]
        words = input_ids.gather(1, order) * own.gather(1, order)  # [PAD] is 0
        vectors = self.dropout(self.embeddings(words))
        packed = pack_padded_sequence(vectors, lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(encoder(packed)[0], batch_first=True, padding_value=float("-inf"))
        greatest: Tensor = states.amax(dim=1)
        return greatest
