"""HV-BiLSTM: every patch reads its row and its column (paper, section 3.2; after ViT-PCM).

Shapes: B images, h,w patch grid, D features.
"""

import torch
from torch import Tensor, nn


class HVBiLSTM(nn.Module):
    """A bidirectional LSTM along the rows, another along the columns, side by side: (B,h,w,D) -> (B,h,w,4*hidden).

    With hidden = D/4 the output has the input's width, as the paper asks. No norm, no projection; forget biases start
    at 1, recurrent kernels orthogonal, input kernels Glorot (the Keras initialisation of ViT-PCM; method-spec 1.1).
    timm's LSTM2d computes the same but leaves the initialisation and the choice of width to torch.
    """

    def __init__(self, width: int, hidden: int | None = None, dropout: float = 0.0, residual: bool = False) -> None:
        super().__init__()
        if hidden is None and width % 4:
            raise ValueError(f"bilstm needs an encoder width that is a multiple of 4; it is {width}")
        hidden = hidden or width // 4
        self.horizontal = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)
        self.vertical = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)
        self.dropout, self.residual = nn.Dropout(dropout), residual
        for lstm in (self.horizontal, self.vertical):
            for name, p in lstm.named_parameters():
                if name.startswith("weight_ih"):
                    nn.init.xavier_uniform_(p)
                elif name.startswith("weight_hh"):
                    nn.init.orthogonal_(p)
                else:
                    nn.init.zeros_(p)
                    if name.startswith("bias_ih"):
                        nn.init.ones_(p.data[hidden : 2 * hidden])  # torch orders the gates i, f, g, o

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_autocast_enabled(x.device.type):
            return self._read(x)
        # Few CPUs have an LSTM in bfloat16, and that of cuDNN is one in float16 under any autocast (torch's
        # AutocastRNN.cpp): there the segmentation loss's gradient of the paper's batch, some 1e-8, would be 0.
        with torch.autocast(x.device.type, enabled=False):
            return self._read(x.float())

    def _read(self, x: Tensor) -> Tensor:
        b, h, w, d = x.shape
        y = self.dropout(x)
        rows, _ = self.horizontal(y.reshape(b * h, w, d))
        columns, _ = self.vertical(y.transpose(1, 2).reshape(b * w, h, d))
        out = torch.cat([rows.reshape(b, h, w, -1), columns.reshape(b, w, h, -1).transpose(1, 2)], dim=-1)
        return x + out if self.residual else out
