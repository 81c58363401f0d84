"""The head for networks in torch: against autograd in float64, torch's optimizer, and itself changed from outside."""

from __future__ import annotations

import copy
import gc
import io
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from torch import library

from thrifty.errors import ModelError
from thrifty.slide import LSHConfig, LSHLinear

F = torch.nn.functional
Tensor: Any = torch.Tensor


def everything(neurons: int, **options: Any) -> LSHConfig:
    """All neurons are active."""
    return LSHConfig(**{"k": 1, "tables": 4, "active": neurons, **options})


def batch(rows: int, length: int, neurons: int, seed: int = 0) -> tuple[Any, Any]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(rows, length, generator=g), torch.randint(0, neurons, (rows,), generator=g)


def apart(got: Any, exact: Any) -> float:
    """Largest difference, relative to the largest number."""
    return float((got.double() - exact.double()).abs().max() / exact.double().abs().max())


def reference(head: Any, h: Any, labels: Any, ids: Any = None, loss: str = "softmax") -> dict[str, Any]:
    """Loss and gradients in float64 by autograd, over the neurons ``ids`` alone; ``labels`` is a 0/1 matrix."""
    w, x = head.weight.detach().double().requires_grad_(), h.detach().double().requires_grad_()
    b = (torch.zeros(head.out_features) if head.bias is None else head.bias.detach()).double().requires_grad_()
    ids = torch.arange(head.out_features) if ids is None else ids
    z, y = (x @ w.T + b)[:, ids], labels.double()[:, ids]
    if loss == "softmax":
        value = -((y / y.sum(1, keepdim=True)) * torch.log_softmax(z, 1)).sum(1).mean()
    else:
        value = F.binary_cross_entropy_with_logits(z, y, reduction="none").sum(1).mean()
    value.backward()
    return {"loss": value.detach(), "w": w.grad, "b": b.grad, "h": x.grad}


def one_hot(labels: Any, neurons: int) -> Any:
    return F.one_hot(labels, neurons)


@pytest.mark.parametrize("precision", ["f32", "bf16"])
@pytest.mark.parametrize(("rows", "length", "neurons"), [(7, 13, 50), (33, 16, 200), (64, 130, 90)])
def test_gradients_of_all_neurons(rows: int, length: int, neurons: int, precision: Any) -> None:
    head = LSHLinear(length, neurons, config=everything(neurons), precision=precision, fused=False)
    h, labels = batch(rows, length, neurons)
    h.requires_grad_()
    exact = reference(head, h, one_hot(labels, neurons))
    loss = head.loss(h, labels)
    loss.backward()
    bound = 1e-5 if precision == "f32" else 2e-2
    got = {"loss": loss.detach(), "w": head.weight.grad.to_dense(), "b": head.bias.grad.to_dense(), "h": h.grad}
    assert head.weight.grad.is_sparse
    for name, value in exact.items():
        assert apart(got[name], value) < bound, name


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_active_subsets(kind: Any) -> None:
    """The loss is that of the neurons with gradients, and no other has one."""
    head = LSHLinear(24, 500, config=LSHConfig(k=2, tables=10, active=60, each=2), loss=kind, fused=False)
    h, _ = batch(20, 24, 500)
    h.requires_grad_()
    rng = np.random.default_rng(0)
    rows = [rng.choice(500, int(n), replace=False).tolist() for n in rng.integers(1, 4, 20)]
    y = torch.stack([F.one_hot(torch.tensor(r), 500).sum(0) for r in rows])
    head.loss(h, rows).backward()
    ids = head.weight.grad._indices()[0]
    assert len(ids) == 60
    exact = reference(head, h, y, ids, kind)
    assert apart(head.weight.grad.to_dense(), exact["w"]) < 1e-5
    assert apart(head.bias.grad.to_dense(), exact["b"]) < 1e-5
    assert apart(h.grad, exact["h"]) < 1e-5
    head.zero_grad()
    assert head.loss(h, rows, "sum").item() == pytest.approx(20 * exact["loss"].item(), rel=0.2)


def test_forms_of_labels() -> None:
    head = LSHLinear(16, 40, config=everything(40))
    h, labels = batch(6, 16, 40)
    matrix = csr_matrix(one_hot(labels, 40).numpy())
    indptr = torch.arange(7)
    forms = [labels, labels.int(), labels.numpy(), labels.tolist(), [[i] for i in labels.tolist()], matrix]
    forms += [(indptr, labels), (indptr.numpy(), labels.numpy()), labels.view(2, 3)]
    with torch.no_grad():
        losses = {head.loss(h.view(2, 3, 16) if i == 8 else h, form).item() for i, form in enumerate(forms)}
    assert len(losses) == 1


def test_logq_is_unbiased() -> None:
    """Sums of exponentials over random sets are in the mean that of all neurons, within 4 standard errors."""
    h, labels = batch(4, 16, 300)
    for family, draw in (("uniform", "uniform"), ("log_uniform", "log_uniform"), ("exact", "log_uniform")):
        config = LSHConfig(family=family, active=60, each=5, random=draw, correction="logq")
        head = LSHLinear(16, 300, config=config, lr=1.0)
        with torch.no_grad():
            head.weight.mul_(4)
            logits = head(h)
            whole = torch.exp(torch.logsumexp(logits, 1) - logits[torch.arange(4), labels]).mean()
            head.lr = 0.0
        values = []
        for _ in range(600):
            rows = []
            for row in range(4):
                loss = head.loss(h[row : row + 1].requires_grad_(), labels[row : row + 1])
                loss.backward()
                rows.append(np.exp(loss.item()))
            values.append(np.mean(rows))
        error = np.std(values) / len(values) ** 0.5
        slack = 0.02 * float(whole) if draw == "log_uniform" else 0.0
        assert abs(np.mean(values) - float(whole)) < 4 * error + slack


def test_no_gradients_no_training() -> None:
    head = LSHLinear(16, 100, config=everything(100))
    h, labels = batch(5, 16, 100)
    before = head.weight.detach().clone()
    with torch.no_grad():
        loss = head.loss(h, labels)
    assert not loss.requires_grad
    assert loss.item() == pytest.approx(F.cross_entropy(head(h), labels).item(), rel=1e-5)
    assert torch.equal(before, head.weight)
    assert head.stats()["pending"] == head.stats()["steps"] == 0


def test_forgotten_graphs_leave_nothing() -> None:
    head = LSHLinear(16, 100)
    h, labels = batch(5, 16, 100)
    kept = [head.loss(h.requires_grad_(), labels) for _ in range(3)]
    assert head.stats()["pending"] == len(head._engine.pending) == 3
    kept[1].backward(retain_graph=True)
    assert head.stats()["pending"] == 2
    with pytest.raises(ValueError, match="one backward pass"):
        kept[1].backward()
    kept.clear()
    gc.collect()
    assert head.stats()["pending"] == len(head._engine.pending) == 0


def test_frozen_heads_pass_gradients_on() -> None:
    head = LSHLinear(16, 100, config=everything(100)).requires_grad_(False)
    h, labels = batch(5, 16, 100)
    before = head.weight.clone()
    head.loss(h.requires_grad_(), labels).backward()
    assert apart(h.grad, reference(head, h, one_hot(labels, 100))["h"]) < 1e-5
    assert torch.equal(before, head.weight)
    head.weight.requires_grad_()
    with pytest.raises(ValueError, match="bias: frozen"):
        head.loss(h, labels)


def found(head: LSHLinear, h: Any) -> list[int]:
    """The best neuron of each row, from the tables."""
    return head.predict(h, k=1, sparse=True)[0][:, 0].tolist()


def planted(neurons: int = 400) -> tuple[Any, Any]:
    """A weight whose rows are far apart, and rows that equal some of them."""
    weight = torch.randn(neurons, 32, generator=torch.Generator().manual_seed(1))
    return weight, weight[::40].clone()


def outside(head: LSHLinear, weight: Any, how: str) -> None:
    if how == "load_state_dict":
        head.load_state_dict({"weight": weight, "bias": torch.zeros(len(weight))})
    elif how == "assign":
        head.load_state_dict({"weight": weight.clone(), "bias": torch.zeros(len(weight))}, assign=True)
    elif how == "in place":
        with torch.no_grad():
            head.weight.copy_(weight)
    elif how == "data":
        head.weight.data = weight.clone()
    elif how == "parameter":
        head.weight = torch.nn.Parameter(weight.clone())
    else:
        head.weight.grad = head.weight.detach() - weight
        torch.optim.SGD([head.weight], lr=1.0).step()


WAYS = ["load_state_dict", "assign", "in place", "data", "parameter", "optimizer"]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("how", WAYS)
def test_changes_from_outside_are_seen(how: str, fused: bool) -> None:
    head = LSHLinear(32, 400, config=LSHConfig(k=2, tables=20, active=100), fused=fused)
    weight, h = planted()
    with torch.no_grad():
        head.bias.zero_()
    head.predict(h, k=1, sparse=True)
    outside(head, weight, how)
    assert found(head, h) == list(range(0, 400, 40))
    assert head.recall(h, k=1) == 1.0


def test_changes_between_loss_and_step_are_seen() -> None:
    head = LSHLinear(32, 400, config=LSHConfig(k=2, tables=20, active=100), precision="bf16", lr=1e-6)
    weight, h = planted()
    with torch.no_grad():
        head.bias.zero_()
    loss = head.loss(h.clone().requires_grad_(), torch.arange(10))
    outside(head, weight, "in place")
    loss.backward()
    assert apart(head.weight.detach(), weight) < 1e-2
    assert found(head, h) == list(range(0, 400, 40))


def rehashed(head: LSHLinear, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Counts whole refreshes from now on."""
    calls: list[str] = []
    refresh = head._engine.refresh
    monkeypatch.setattr(head._engine, "refresh", lambda weight: (calls.append("refresh"), refresh(weight)))
    return calls


def test_steps_of_torch_hash_only_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    head = LSHLinear(32, 400, config=LSHConfig(k=2, tables=20, active=50, rehash=400), fused=False)
    optimizer = torch.optim.SparseAdam(list(head.parameters()), lr=0.1)
    h, labels = batch(16, 32, 400)
    head.loss(h, labels)
    calls = rehashed(head, monkeypatch)
    for _ in range(5):
        optimizer.zero_grad()
        head.loss(h, labels).backward()
        optimizer.step()
    copied = LSHLinear(32, 400, config=head.config, fused=False)
    copied.load_state_dict(head.state_dict())
    assert calls == []
    # Tables that followed the steps answer as those that are made from the weights.
    for got, expected in zip(head.predict(h, 5, candidates=20), copied.predict(h, 5, candidates=20), strict=True):
        assert torch.equal(got, expected)
    # Something else beside the step, or a step that touches other rows: all rows.
    head.loss(h, labels).backward()
    with torch.no_grad():
        head.weight.mul_(1.5)
    optimizer.step()
    head.loss(h, labels)
    assert len(calls) == 1
    optimizer.zero_grad()
    head.loss(h, labels).backward()
    torch.optim.SGD(list(head.parameters()), lr=0.1, momentum=0.9).step()
    head.loss(h, labels)
    assert len(calls) == 2


def test_fused_steps_hash_only_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    head = LSHLinear(32, 400, config=LSHConfig(k=2, tables=20, active=50, rehash=10))
    h, labels = batch(16, 32, 400)
    head.loss(h, labels)
    calls = rehashed(head, monkeypatch)
    for _ in range(5):
        head.loss(h, labels).backward()
    assert calls == []
    assert head.stats()["queue"] > 0
    copied = copy.deepcopy(head)
    for got, expected in zip(head.predict(h, 5, candidates=20), copied.predict(h, 5, candidates=20), strict=True):
        assert torch.equal(got, expected)
    assert head.stats()["queue"] == 0


def test_state_dicts_go_both_ways() -> None:
    linear = torch.nn.Linear(16, 100)
    head = LSHLinear.from_linear(linear, everything(100), seed=4)
    h, labels = batch(5, 16, 100)
    assert list(head.state_dict()) == list(linear.state_dict()) == ["weight", "bias"]
    assert torch.equal(head(h), linear(h))
    for _ in range(3):
        head.loss(h, labels).backward()
    back = head.to_linear()
    assert torch.equal(back(h), head(h))
    assert not torch.equal(back(h), linear(h))
    linear.load_state_dict(head.state_dict())
    without = LSHLinear.from_linear(torch.nn.Linear(16, 100, bias=False))
    assert without.bias is None
    assert list(without.to_linear().state_dict()) == ["weight"]


@pytest.mark.parametrize("precision", ["f32", "bf16", "bf16-stochastic"])
def test_copies_go_on_alike(precision: Any) -> None:
    """Moments, steps and f32 behind bf16 are copied: with all neurons active the next steps are the same bytes."""
    head = LSHLinear(16, 60, config=everything(60), precision=precision, lr=0.02)
    for seed in range(3):
        head.loss(*batch(8, 16, 60, seed)).backward()
    file = io.BytesIO()
    torch.save(head, file)
    file.seek(0)
    copies = [copy.deepcopy(head), pickle.loads(pickle.dumps(head)), torch.load(file, weights_only=False)]
    for seed in range(3, 6):
        for each in (head, *copies):
            each.loss(*batch(8, 16, 60, seed)).backward()
    for each in copies:
        assert torch.equal(head.weight, each.weight)
        assert torch.equal(head.bias, each.bias)
        assert each.stats()["steps"] == 6
        assert each.lr == 0.02


def test_conversions() -> None:
    head = LSHLinear(16, 60, config=everything(60), lr=0.02)
    h, labels = batch(8, 16, 60)
    head.loss(h, labels).backward()
    bias = head.bias.detach().clone()
    network = torch.nn.Sequential(torch.nn.Linear(16, 16), head).to(torch.bfloat16)
    assert head.weight.dtype == torch.bfloat16
    assert torch.equal(head.bias, bias)
    assert head.precision == "bf16"
    head.loss(network[0](h.bfloat16()), labels).backward()
    assert network[0].weight.grad.dtype == torch.bfloat16
    assert head.stats()["steps"] == 2
    head.float().loss(h, labels).backward()
    assert (head.precision, head.weight.dtype, head.stats()["steps"]) == ("f32", torch.float32, 3)
    assert head.cpu() is head
    for wrong in (head.double, head.half):
        with pytest.raises(TypeError, match="float32 or bfloat16"):
            wrong()
    with pytest.raises(ValueError, match="works on the CPU"):
        head.to("meta")
    assert head.weight.dtype == torch.float32


def test_bytes_do_not_depend_on_threads() -> None:
    heads = [LSHLinear(24, 3000, config=LSHConfig(tables=10, active=500), seed=2, threads=t) for t in (1, 2)]
    heads[1].load_state_dict(heads[0].state_dict())
    for step in range(4):
        gradients = []
        for head in heads:
            h, labels = batch(40, 24, 3000, step)
            head.loss(h.requires_grad_(), labels).backward()
            gradients.append(h.grad)
        assert torch.equal(*gradients)
    assert torch.equal(heads[0].weight, heads[1].weight)
    assert torch.equal(heads[0].bias, heads[1].bias)


def test_a_network_learns() -> None:
    torch.manual_seed(0)
    trunk = torch.nn.Sequential(torch.nn.Linear(20, 32), torch.nn.ReLU())
    head = LSHLinear(32, 1000, config=LSHConfig(active=200, correction="logq"), lr=0.02)
    optimizer = torch.optim.Adam(trunk.parameters(), lr=0.02)
    inputs, labels = torch.randn(300, 20), torch.randperm(1000)[:300]
    for _ in range(60):
        optimizer.zero_grad()
        head.loss(trunk(inputs), labels).backward()
        optimizer.step()
    with torch.no_grad():
        h = trunk(inputs)
        assert (head.predict(h, 1)[0][:, 0] == labels).float().mean() > 0.9
        assert (head.predict(h, 1, sparse=True)[0][:, 0] == labels).float().mean() > 0.8


def test_predictions() -> None:
    head = LSHLinear(16, 100, config=LSHConfig(k=2, tables=6))
    h, _ = batch(6, 16, 100)
    ids, scores = head.predict(h.view(2, 3, 16), k=7)
    exact = head(h).topk(7)
    assert ids.shape == scores.shape == (2, 3, 7)
    assert torch.equal(ids.view(6, 7), exact.indices)
    torch.testing.assert_close(scores.view(6, 7), exact.values)
    ids, scores = head.predict(h, k=7, candidates=5)
    none = ids == -1
    assert bool(none[:, 5:].all())
    assert not bool(none[:, 0].any())
    exact = torch.where(none, -torch.inf, head(h).gather(1, ids.clamp(min=0)))
    torch.testing.assert_close(scores, exact)
    assert 0 <= head.recall(h, 3, candidates=5) <= head.recall(h, 3) <= 1


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiles_without_a_break(backend: str) -> None:
    torch._dynamo.reset()
    torch.manual_seed(1)
    trunk = torch.nn.Linear(12, 16)
    plain = LSHLinear(16, 200, config=LSHConfig(k=2, tables=5, active=64), lr=0.01)
    compiled = copy.deepcopy(plain)

    def loss(head: LSHLinear, x: Any, labels: Any) -> Any:
        return head.loss(torch.relu(trunk(x)), labels) * 2

    fast = torch.compile(loss, fullgraph=True, backend=backend)
    for step in range(4):
        x, labels = batch(9, 12, 200, step)
        gradients = []
        for head, f in ((plain, loss), (compiled, fast)):
            trunk.zero_grad()
            f(head, x, labels).backward()
            gradients.append(trunk.weight.grad.clone())
        assert torch.equal(*gradients)
    assert torch.equal(plain.weight, compiled.weight)
    assert torch.equal(plain.bias, compiled.bias)
    out = fast(compiled, x, labels)
    del out
    with torch.no_grad():
        fast(compiled, x, labels)
    # A graph of rows that need no gradient still trains.
    only = torch.compile(compiled.loss, fullgraph=True, backend=backend)
    only(torch.randn(9, 16), labels).backward()
    gc.collect()
    assert (compiled.stats()["steps"], compiled.stats()["pending"]) == (5, 0)
    assert int(compiled._clock) == 5


def test_operators_are_well_defined() -> None:
    head = LSHLinear(16, 50, config=everything(50))
    h, labels = batch(4, 16, 50)
    arguments = (h, head.weight, head.bias, head._clock, labels, None, head._handle)
    library.opcheck(torch.ops.thrifty.slide_loss.default, arguments, test_utils=("test_schema", "test_faketensor"))


ERRORS = [
    (lambda head, h, y: head.loss(h[:, :9], y), ValueError, "h: the last dimension must be 16"),
    (lambda head, h, y: head.loss(h[:0], y[:0]), ValueError, "h: no rows"),
    (lambda head, h, y: head.loss(h.long(), y), TypeError, "h: a floating-point"),
    (lambda head, h, y: head.loss(h.numpy(), y), TypeError, "h: a torch tensor"),
    (lambda head, h, y: head.loss(h.to("meta"), y), ValueError, "h: a tensor on meta"),
    (lambda head, h, y: head.loss(h, y.to("meta")), ValueError, "labels: a tensor on meta"),
    (lambda head, h, y: head.loss(h, y[:4]), ValueError, "labels: 4 for 5 rows"),
    (lambda head, h, y: head.loss(h, y.float()), TypeError, "labels: integers"),
    (lambda head, h, y: head.loss(h, [1, 2, 100, 3, 4]), ValueError, "labels: row 2 has 100; labels are from 0 to 99"),
    (lambda head, h, y: head.loss(h, [1, 2, 3, -1, 4]), ValueError, "labels: row 3 has -1"),
    (lambda head, h, y: head.loss(h, [[1], [2], [3], [5, 200], [4]]), ValueError, "labels: row 3 has 200"),
    (lambda head, h, y: head.loss(h, [[1], [2], [], [5], [4]]), ValueError, "labels: row 2 has none"),
    (lambda head, h, y: head.loss(h, [[1], [2]]), ValueError, "labels: 2 rows of labels for 5"),
    (lambda head, h, y: head.loss(h, (torch.tensor([0, 2, 1, 3, 4, 5]), y)), ValueError, "indptr must ascend"),
    (lambda head, h, y: head.loss(h * torch.nan, y), ValueError, "hidden: row 0 has NaN at unit 0"),
    (lambda head, h, y: head.loss(h, y, "none"), ValueError, "reduction: 'none'"),
    (lambda head, h, y: head.predict(h, 101), ValueError, "k: 101 is not possible"),
    (lambda head, h, y: head.predict(h, 5, candidates=0), ValueError, "candidates: 0"),
    (lambda head, h, y: head.__setattr__("lr", -1.0), ValueError, "lr: -1"),
    (lambda head, h, y: LSHLinear(16, 100, precision="f16"), ValueError, "precision: 'f16'"),
    (lambda head, h, y: LSHLinear(16, 100, loss="hinge"), ValueError, "loss: 'hinge'"),
    (lambda head, h, y: LSHLinear(16, 0), ValueError, "out_features: 0"),
    (lambda head, h, y: LSHLinear(16, 100, config=LSHConfig(random="x")), ValueError, "random: 'x'"),
    (
        lambda head, h, y: LSHLinear(16, 100, config=LSHConfig(correction="logq"), loss="sigmoid"),
        ValueError,
        "correction: 'logq'",
    ),
    (
        lambda head, h, y: LSHLinear(16, 100, config=LSHConfig(family="uniform")).predict(h, 5, sparse=True),
        ValueError,
        "family: 'uniform' has no tables",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS, ids=[e[2] for e in ERRORS])
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    head = LSHLinear(16, 100)
    h, labels = batch(5, 16, 100)
    with pytest.raises(error, match=text.replace("(", r"\(")):
        call(head, h, labels)


def test_weights_that_are_no_numbers() -> None:
    head = LSHLinear(16, 100, config=everything(100))
    h, labels = batch(5, 16, 100)
    loss = head.loss(h, labels)
    with pytest.raises(ModelError, match="gradient is inf"):
        (loss * torch.inf).backward()
    del loss
    with torch.no_grad():
        head.bias.fill_(torch.nan)
    with pytest.raises(ModelError, match="loss: nan after 0 steps"):
        head.loss(h, labels)
    gc.collect()
    assert head.stats()["pending"] == 0


def test_weights_of_another_form() -> None:
    head = LSHLinear(16, 100)
    h, labels = batch(5, 16, 100)
    network = torch.nn.ModuleDict({"head": head})
    network.forward = lambda h: head.loss(h, labels)  # type: ignore[method-assign]
    other = {"head.weight": torch.randn(100, 16, requires_grad=True)}
    with pytest.raises(ValueError, match="another weight than when"):
        torch.func.functional_call(network, other, (h,)).backward()
    head.weight = torch.nn.Parameter(torch.randn(16, 100).T)
    with pytest.raises(ValueError, match="weight: contiguous memory"):
        head.loss(h, labels)
    head.weight = torch.nn.Parameter(torch.randn(100, 16).double())
    with pytest.raises(TypeError, match="weight: torch.float32 is needed"):
        head.loss(h, labels)
