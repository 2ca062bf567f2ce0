"""The paper's other body (§4.3, §4.4): a 2-layer Bi-LSTM over word vectors for the question, one more for the passage.

The counts of Table 4 (docs/paper.md) say: two encoders that share their word vectors, and headers 1024 wide.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

SPECIALS = PAD, UNKNOWN, FIRST, SEPARATOR = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")  # ids 0 to 3


class BiLSTMConfig(PreTrainedConfig):
    """Its shape. `hidden_size` is the width of h1: two texts, two directions, so four times the units of an LSTM."""

    model_type = "tmkd-bilstm"

    vocab_size: int = 150_000
    embedding_size: int = 300
    hidden_size: int = 1024
    num_hidden_layers: int = 2
    hidden_dropout_prob: float = 0.1  # of word vectors
    type_vocab_size: int = 2  # a pair comes with token types: they say which encoder reads what
    pad_token_id: int | None = SPECIALS.index(PAD)
    sep_token_id: int | None = SPECIALS.index(SEPARATOR)


class BiLSTM(PreTrainedModel):
    """⟨question, passage⟩ → h1 = [question; passage] (pairs, hidden_size).

    A text's vector is, of each number of the top layer's states, the greatest over its words: the paper does not say
    how states become a vector (docs/paper.md). Special tokens are no words; a text without any reads as one [PAD].
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
        self.pooler = nn.Identity()  # h1 is what both encoders give; there is something to read, and nothing to learn
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
        """One text of each pair, the ids where `own` (pairs, longest) → (pairs, hidden_size / 2)."""
        lengths = own.sum(dim=1).clamp(min=1)
        # A text's words stand side by side, so those of all pairs are moved to the front by one stable sort.
        order = own.long().argsort(dim=1, descending=True, stable=True)[:, : int(lengths.max())]
        words = input_ids.gather(1, order) * own.gather(1, order)  # [PAD] is 0
        vectors = self.dropout(self.embeddings(words))
        packed = pack_padded_sequence(vectors, lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(encoder(packed)[0], batch_first=True, padding_value=float("-inf"))
        greatest: Tensor = states.amax(dim=1)
        return greatest
