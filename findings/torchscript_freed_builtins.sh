#!/bin/sh
# Scripting a module fails, once in a long while, because torch mistakes one of its attributes for a
# built-in function.
#
# The guess: torch.jit.script of the same module in the same program gives the same result each time.
#
# The behaviour: torch.jit knows its built-in functions by id() in a table. When an operator gets one
# more overload, the function behind it is replaced and freed, but its id stays in the table. Whatever
# Python object comes to lie at that address is compiled as that operator. A bound function and a tuple
# of four numbers have the same size, so the padding of a convolution (a tuple of four) is a likely
# tenant: "builtin cannot be used as a value", in torch/nn/modules/conv.py, in one process of many.
# Importing torch.ao.quantization.quantize_fx is enough to leave such ids behind.
#
# Versions: torch 2.13.0, Python 3.11.
#
# Why it matters: whoever builds TorchScript in a process that has defined operators (torch.ao,
# torchvision, torch.library) gets a failure that no rerun shows again. A way out: take the ids of a
# module's attributes that are not callable out of the table before scripting.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
cat > "$folder/show.py" <<'PYTHON'
import warnings

import torch

warnings.simplefilter("ignore")


class Shift(torch.nn.Module):
    def __init__(self, numbers):
        super().__init__()
        self.numbers = numbers

    def forward(self, x):
        return x + self.numbers[0]


library = torch.library.Library("demo", "FRAGMENT")
library.define("twice(Tensor x) -> Tensor")
freed = id(torch.ops.demo.twice._op)
library.define("twice.by(Tensor x, int n) -> Tensor")
torch.ops.demo.twice._op

kept = [(n, 1, 1, 1) for n in range(1000)]
(tenant,) = [numbers for numbers in kept if id(numbers) == freed]
another = next(numbers for numbers in kept if numbers is not tenant)

torch.jit.script(Shift(another))
print("a tuple: scripted")
try:
    torch.jit.script(Shift(tenant))
    print("a tuple where a function was: scripted")
except RuntimeError as error:
    print("a tuple where a function was:", str(error).strip().splitlines()[0])
PYTHON
cat > "$folder/expected" <<'TEXT'
a tuple: scripted
a tuple where a function was: builtin cannot be used as a value:
TEXT
"$folder/venv/bin/python" "$folder/show.py" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"

# Seen on 2026-11-30:
#   a tuple: scripted
#   a tuple where a function was: builtin cannot be used as a value:
